"""An Amazon knowledge graph in the format of PGPR (SIGIR 2019) and CAFE (CIKM 2020) → contract tables and edges.

Files, gzip, in the folder or its subfolders pgpr/ and cafe/: product, users, brand, category, brand_p_b,
category_p_c, and where they are there also_bought_p_p, also_viewed_p_p, bought_together_p_p with related_product;
train_labels and test_labels (CAFE: user, products…) or train and test (PGPR: user, product, words). Line i of a
*_p_* file belongs to line i of product, and holds line numbers of the other file; so do the labels.

There are no titles (left empty) and no times: training purchases stand at `TRAIN_TIME`, test purchases at
`TEST_TIME`, so that `time_split(events, TEST_TIME)` gives back the published split. A product's categories are an
unordered set; `category` is its rarest one in the catalogue, `category_path` all of them from common to rare.
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.files import find_file, find_optional, text_lines
from ltexpo.errors import ImportFormatError

TRAIN_TIME, TEST_TIME = "2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z"
RELATIONS = ("also_bought", "also_viewed", "bought_together")
SOURCE = "amazon-kg"


def import_amazon_kg(path: Path) -> Imported:
    """Products with brand and categories, the published train and test purchases, edges between products."""
    graph = next((folder for folder in (path / "pgpr", path) if find_optional(folder, "product.txt")), path)
    products, users = _values(graph, "product.txt"), _values(graph, "users.txt")
    parts = []
    for part, time in (("train", TRAIN_TIME), ("test", TEST_TIME)):
        pairs = _pairs(_labels_file(path, graph, part), len(users), len(products))
        parts.append(pd.DataFrame({
            Columns.User: [users[user] for user, _ in pairs],
            Columns.Item: [products[item] for _, item in pairs],
            Columns.Event: EventKind.Purchase,
            Columns.Timestamp: pd.Timestamp(time),
        }))
    events = pd.concat(parts, ignore_index=True)
    repeated = events.duplicated([Columns.User, Columns.Item])
    left_out = {"events: repeated user and product": int(repeated.sum())} if repeated.any() else {}
    edges, outside = _edges(graph, products)
    if outside:
        left_out["edges: target not in the catalogue"] = outside
    return Imported(
        _items(graph, products), events[~repeated], left_out=left_out,
        remarks={
            "timestamp": f"fictive: {TRAIN_TIME} marks the published training part, {TEST_TIME} the test part; "
                         "order and recency mean nothing",
            "category": "the rarest of the product's categories; the source lists them without order",
        },
        extra={"edges": edges} if len(edges) else {},
    )


def _items(graph: Path, products: list[str]) -> pd.DataFrame:
    brands, categories = _values(graph, "brand.txt"), _values(graph, "category.txt")
    of_brand = _links(find_file(graph, "brand_p_b.txt", source=SOURCE), len(products), len(brands))
    of_category = _links(find_file(graph, "category_p_c.txt", source=SOURCE), len(products), len(categories))
    spread = Counter(code for codes in of_category for code in codes)
    paths = [
        [categories[code] for code in sorted(codes, key=lambda code: (-spread[code], categories[code]))]
        for codes in of_category
    ]
    return pd.DataFrame({
        Columns.Item: products,
        Columns.Title: None,
        # One brand of the published file has an empty name.
        Columns.Brand: pd.Series([brands[codes[0]] or None if codes else None for codes in of_brand], dtype=object),
        Columns.Category: pd.Series([names[-1] if names else None for names in paths], dtype=object),
        "category_path": pd.Series([" > ".join(names) or None for names in paths], dtype=object),
    })


def _edges(graph: Path, products: list[str]) -> tuple[pd.DataFrame, int]:
    """source, relation, target of the edges inside the catalogue, and how many lead out of it."""
    files = {name: file for name in RELATIONS if (file := find_optional(graph, f"{name}_p_p.txt"))}
    rows: list[tuple[str, str, str]] = []
    outside = 0
    catalogue = set(products)
    related = _values(graph, "related_product.txt") if files else []
    for name, file in files.items():
        for product, codes in zip(products, _links(file, len(products), len(related)), strict=True):
            inside = [(product, name, related[code]) for code in codes if related[code] in catalogue]
            outside += len(codes) - len(inside)
            rows += inside
    return pd.DataFrame(rows, columns=["source", "relation", "target"]), outside


def _labels_file(path: Path, graph: Path, part: str) -> Path:
    for folder in (path / "cafe", path, graph):
        if found := find_optional(folder, f"{part}_labels.txt", f"{part}.txt"):
            return found
    return find_file(path / "cafe" if (path / "cafe").is_dir() else path, f"{part}_labels.txt", source=SOURCE)


def _pairs(file: Path, n_users: int, n_products: int) -> list[tuple[int, int]]:
    """User and product lines of a labels file (user, products…) or a PGPR review file (user, product, words)."""
    reviews = not file.name.startswith(("train_labels", "test_labels"))
    pairs = []
    for number, line in text_lines(file):
        cells = line.split("\t") if reviews else line.split()
        if not cells:
            continue
        user, *items = _codes(cells[:2] if reviews else cells, file, number)
        _refuse_beyond(user, n_users, file, number, "users.txt")
        for item in items:
            _refuse_beyond(item, n_products, file, number, "product.txt")
            pairs.append((user, item))
    return pairs


def _links(file: Path, n_rows: int, n_targets: int) -> list[list[int]]:
    """Per product, the line numbers in the other file that it is linked with."""
    links = []
    for number, line in text_lines(file):
        codes = _codes(line.split(), file, number)
        for code in codes:
            _refuse_beyond(code, n_targets, file, number, "the file it points into")
        links.append(codes)
    if len(links) != n_rows:
        raise ImportFormatError(
            f"{file}: has {len(links)} lines, expected {n_rows}, one for each line of product.txt. "
            "Take all files from one download."
        )
    return links


def _values(graph: Path, name: str) -> list[str]:
    return [line.strip() for _, line in text_lines(find_file(graph, name, source=SOURCE))]


def _codes(cells: list[str], file: Path, number: int) -> list[int]:
    try:
        return [int(cell) for cell in cells]
    except ValueError as error:
        raise ImportFormatError(
            f"{file} line {number}: holds {cells[0][:40]!r}, expected line numbers only. Get the file again."
        ) from error


def _refuse_beyond(code: int, size: int, file: Path, number: int, target: str) -> None:
    if not 0 <= code < size:
        raise ImportFormatError(
            f"{file} line {number}: points at line {code} of {target}, which has {size} (from 0). "
            "Take all files from one download."
        )
