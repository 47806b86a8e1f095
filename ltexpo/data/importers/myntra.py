"""Myntra fashion products (Kaggle): styles.csv and images/ID.jpg → a catalogue without events.

Display names hold commas that the file does not quote: a row with too many cells gets them back into its name, and is
counted; one with too few is left out. Brands stand only inside the names, so `brand` stays away.
"""

import csv
from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.files import find_file, open_text
from ltexpo.errors import ColumnError, TableError

NAME = "productDisplayName"
ATTRIBUTES = ("gender", "masterCategory", "subCategory", "baseColour", "season", "year", "usage")


def import_myntra(path: Path) -> Imported:
    """The products of styles.csv; pictures are taken from images/ where they are there."""
    styles = find_file(path, "styles.csv", source="myntra")
    header, rows, joined, short = _read(styles)
    table = pd.DataFrame(rows, columns=header, dtype=object).replace("", None)
    ids = table["id"]
    items = pd.DataFrame({
        Columns.Item: ids,
        Columns.Title: table[NAME],
        Columns.Category: table["articleType"],
        **{name: table[name] for name in ATTRIBUTES},
        Columns.Image: table[Columns.Image] if Columns.Image in header else ids + ".jpg",
    })
    return Imported(
        items=items,
        left_out={"items: row with too few cells": short} if short else {},
        tolerated={"items: unquoted comma in the name": joined} if joined else {},
        image_root=path / "images",
    )


def _read(styles: Path) -> tuple[list[str], list[list[str]], int, int]:
    """Header, rows of its width, how many had their name joined, how many were too short."""
    with open_text(styles) as lines:
        reader = csv.reader(lines)
        try:
            header = next(reader, [])
            missing = [name for name in ("id", NAME, "articleType", *ATTRIBUTES) if name not in header]
            if missing:
                lacks = ", ".join(f"'{name}'" for name in missing)
                raise ColumnError(
                    f"{styles}: lacks {lacks}; found {', '.join(header) or 'nothing'}. Give Myntra's styles.csv."
                )
            cells = [row for row in reader if row]
        except (UnicodeDecodeError, OSError, EOFError, csv.Error) as error:
            raise TableError(f"{styles}: line {reader.line_num + 1} is not readable ({error}). Mend it.") from error
    width, name = len(header), header.index(NAME)
    rows = []
    joined = short = 0
    for row in cells:
        extra = len(row) - width
        short += extra < 0
        joined += extra > 0
        if extra >= 0:
            rows.append([*row[:name], ",".join(row[name : name + extra + 1]), *row[name + extra + 1 :]])
    return header, rows, joined, short
