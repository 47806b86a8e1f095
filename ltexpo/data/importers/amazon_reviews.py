"""Amazon reviews of 2018 (Ni et al., EMNLP 2019) and 2023 (Hou et al., arXiv 2403.03952): JSON lines → contract tables.

The folder holds reviews and product metadata, plain or .gz, under any names: which is which, and of which year, is
read off the first line of each file. Files are read line by line in batches. In 2023 the product is the parent_asin;
the variant that was bought stays in the attribute `asin`. Pictures are addresses on the web and stay addresses.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from ltexpo.columns import Columns, EventKind
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.convert import as_numbers, as_price, as_times
from ltexpo.data.importers.files import json_lines, listing
from ltexpo.errors import ImportFormatError

BATCH = 100_000
RELATIONS = {"also_buy": "also_bought", "also_view": "also_viewed", "bought_together": "bought_together"}
Row = dict[str, Any]


def import_amazon_reviews(path: Path) -> Imported:
    """Products, ratings with their texts, and the also-bought graph where the metadata has it (edges.parquet)."""
    files = _sort_files(path)
    years = {year for _, year in files}
    if len(years) > 1 or {role for role, _ in files} != {"reviews", "metadata"}:
        held = "; ".join(f"{role} of {year} ({paths[0].name})" for (role, year), paths in files.items())
        raise ImportFormatError(
            f"{path}: expected reviews and metadata of one year (2018 or 2023) as JSON lines; found {held or 'no JSON'}"
            f" among {listing(path)}. Give a folder with one reviews file and its metadata file."
        )
    year = years.pop()
    tolerated: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    metadata = files["metadata", year]
    items = _frame(_item(value, year, tolerated) for file in metadata for _, value in json_lines(file))
    read_event = _event_2018 if year == 2018 else _event_2023
    events = _events(files["reviews", year], read_event, "s" if year == 2018 else "ms", left_out)
    edges = _edges(metadata, "asin" if year == 2018 else "parent_asin", set(items[Columns.Item].dropna()), left_out)
    return Imported(
        items, events, left_out=dict(left_out), tolerated=dict(tolerated),
        extra={"edges": edges} if len(edges) else {},
    )


def _sort_files(path: Path) -> dict[tuple[str, int], list[Path]]:
    files: dict[tuple[str, int], list[Path]] = {}
    for file in sorted(path.iterdir()):
        if not file.name.removesuffix(".gz").endswith((".json", ".jsonl")):
            continue
        _, first = next(json_lines(file), (0, {}))
        files.setdefault(_kind(file, first), []).append(file)
    return files


def _kind(file: Path, first: Row) -> tuple[str, int]:
    if "reviewerID" in first:
        return "reviews", 2018
    if "user_id" in first and "parent_asin" in first:
        return "reviews", 2023
    if "parent_asin" in first:
        return "metadata", 2023
    if "asin" in first:
        return "metadata", 2018
    raise ImportFormatError(
        f"{file}: its first line is neither a review nor a product of the 2018 or 2023 format; it holds "
        f"{', '.join(list(first)[:8]) or 'nothing'}. Take the file out of the folder or give another folder."
    )


def _events(
    files: list[Path], read: Callable[[Row], Row], unit: Literal["s", "ms"], left_out: Counter[str]
) -> pd.DataFrame:
    events = _frame(read(value) for file in files for _, value in json_lines(file))
    where = ", ".join(map(str, files))
    events[Columns.Rating] = as_numbers(events[Columns.Rating], f"{where}: rating")
    events[Columns.Timestamp] = as_times(events[Columns.Timestamp], f"{where}: time", unit=unit)
    events[Columns.Event] = EventKind.Rating
    repeated = events.duplicated([Columns.User, Columns.Item, Columns.Timestamp, Columns.Rating, Columns.Text])
    if repeated.any():
        left_out["events: repeated review"] += int(repeated.sum())
    return events[~repeated]


def _event_2018(value: Row) -> Row:
    return {
        Columns.User: _text(value.get("reviewerID")), Columns.Item: _text(value.get("asin")),
        Columns.Timestamp: value.get("unixReviewTime"), Columns.Rating: value.get("overall"),
        Columns.Text: _text(value.get("reviewText")), "summary": _text(value.get("summary")),
        "verified": _flag(value.get("verified")),
    }


def _event_2023(value: Row) -> Row:
    return {
        Columns.User: _text(value.get("user_id")), Columns.Item: _text(value.get("parent_asin")),
        Columns.Timestamp: value.get("timestamp"), Columns.Rating: value.get("rating"),
        Columns.Text: _text(value.get("text")), "summary": _text(value.get("title")),
        "verified": _flag(value.get("verified_purchase")), "asin": _text(value.get("asin")),
    }


def _item(value: Row, year: int, tolerated: Counter[str]) -> Row:
    price, mended = as_price(value.get("price"))
    if mended:
        tolerated[f"items: {mended}"] += 1
    path = _texts(value.get("category" if year == 2018 else "categories"))
    top = _text(value.get("main_cat" if year == 2018 else "main_category"))
    if year == 2018:
        description = _texts(value.get("description")) or _texts(value.get("feature"))
        picture = next(iter(_texts(value.get("imageURLHighRes")) + _texts(value.get("imageURL"))), None)
    else:
        description = _texts(value.get("features")) + _texts(value.get("description"))
        picture = _picture_2023(value.get("images"))
    return {
        Columns.Item: _text(value.get("asin" if year == 2018 else "parent_asin")),
        Columns.Title: _text(value.get("title")),
        Columns.Description: "\n".join(description) or None,
        Columns.Brand: _text(value.get("brand" if year == 2018 else "store")),
        Columns.Category: path[-1] if path else top,
        Columns.Price: price,
        "category_path": " > ".join(path) or top,
        "image_url": picture,
    }


def _edges(metadata: list[Path], key: str, catalogue: set[str], left_out: Counter[str]) -> pd.DataFrame:
    """source, relation, target of the edges inside the catalogue; the others are counted.

    The files are read a second time, because the catalogue is known only at their end.
    """
    rows: list[tuple[str, str, str]] = []
    for product in (value for file in metadata for _, value in json_lines(file)):
        source = _text(product.get(key))
        for field, name in RELATIONS.items():
            targets = dict.fromkeys(_texts(product.get(field)))
            inside = [(source, name, target) for target in targets if source and target in catalogue]
            rows += inside
            if len(inside) < len(targets):
                left_out["edges: target not in the catalogue"] += len(targets) - len(inside)
    edges = pd.DataFrame(rows, columns=["source", "relation", "target"])
    repeated = edges.duplicated()
    if repeated.any():
        left_out["edges: repeated"] += int(repeated.sum())
    return edges[~repeated]


def _frame(rows: Iterator[Row]) -> pd.DataFrame:
    """`rows`, all with the same keys, as a frame; kept as Arrow batches while reading, which are far smaller."""
    parts, batch = [], []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            parts.append(_batch(batch))
            batch = []
    if batch:
        parts.append(_batch(batch))
    frame: pd.DataFrame = pa.concat_tables(parts, promote_options="permissive").to_pandas()
    return frame


def _batch(rows: list[Row]) -> pa.Table:
    try:
        return pa.Table.from_pylist(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ImportFormatError(f"a rating or time is a number in some lines, text in others ({error}).") from error


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _texts(value: object) -> list[str]:
    cells = value if isinstance(value, list) else [value]
    return [text for cell in cells if (text := _text(cell))]


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _picture_2023(images: object) -> str | None:
    """Address of the main picture: a list of {hi_res, large, thumb, variant}, or one dict of lists."""
    if isinstance(images, dict):
        images = [{size: (cells or [None])[0] for size, cells in images.items() if isinstance(cells, list)}]
    first = images[0] if isinstance(images, list) and images and isinstance(images[0], dict) else {}
    return _text(first.get("hi_res")) or _text(first.get("large"))
