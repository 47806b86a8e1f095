"""Catalogue → the text of each item: its title, then the values of its attributes."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError

_NOT_TEXT = (Columns.Item, Columns.Seller, Columns.Image, Columns.Description, Columns.Title)


def text_columns(items: pd.DataFrame, columns: Sequence[str] | None = None) -> list[str]:
    """`columns` if they are there; by default title, brand, category and each further column of words.

    Description, seller and columns whose values are mostly codes without a letter are no such words. Raises
    `ColumnError` when one of `columns` is not in `items`.
    """
    if columns is not None:
        for name in columns:
            if name not in items.columns:
                found = ", ".join(items.columns)
                raise ColumnError(f"items lacks '{name}', which the text is to be made of; found {found}.")
        return list(columns)
    return [Columns.Title, *(name for name in items.columns if name not in _NOT_TEXT and _is_words(items[name]))]


def item_parts(items: pd.DataFrame, columns: Sequence[str] | None = None) -> list[tuple[str, ...]]:
    """The values that make up each item's text, in the order of the columns, each distinct value once."""
    cells = [items[name].astype(object).to_list() for name in text_columns(items, columns)]
    return [tuple(dict.fromkeys(part for cell in row for part in _values(cell))) for row in zip(*cells, strict=True)]


def join_parts(parts: Sequence[str]) -> str:
    """The text that an encoder sees: the parts, with commas between."""
    return ", ".join(parts)


def item_texts(items: pd.DataFrame, columns: Sequence[str] | None = None) -> list[str]:
    """The text of each item; empty where it has no title and no attribute."""
    return [join_parts(parts) for parts in item_parts(items, columns)]


def _is_words(values: "pd.Series[Any]") -> bool:
    given = values.dropna()
    if not (pd.api.types.is_string_dtype(given) or pd.api.types.is_object_dtype(given)) or not len(given):
        return False
    sample = [cell for cell in map(_values, given.iloc[:1000]) if cell]
    lettered = sum(any(letter.isalpha() for value in cell for letter in value) for cell in sample)
    return 2 * lettered > len(sample)


def _values(cell: object) -> list[str]:
    if isinstance(cell, str):
        text = " ".join(cell.split())
        return [text] if text else []
    if isinstance(cell, bytes) or not hasattr(cell, "__iter__"):
        return []
    return [text for value in cell for text in _values(value)]
