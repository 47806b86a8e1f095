"""Catalogue → the attribute values of every item, one (item, value) row each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns

NOT_ATTRIBUTES = (
    Columns.Item, Columns.Title, Columns.Description, Columns.Image, Columns.Price, Columns.CreatedAt,
)
PATH = " > "
"""Joins the levels of a path such as 'Beauty > Makeup > Lips'."""


def attribute_columns(items: pd.DataFrame) -> list[str]:
    """Columns that hold attributes: whatever is not text, picture, time or a fraction."""
    return [column for column in items.columns if column not in NOT_ATTRIBUTES and _is_attribute(items[column])]


def attribute_values(items: pd.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.int64], "pd.Series[str]"]]:
    """For every attribute column its name, and (item row, value) of every value held, each pair once.

    A list holds several values, and so does a path: each of its levels.
    """
    for column in attribute_columns(items):
        given = items[column].reset_index(drop=True).explode().dropna().astype(str)
        path = given.str.contains(PATH, regex=False)
        if path.any():
            levels = given[path].str.split(PATH, regex=False).explode()
            given = pd.concat([given[~path], levels]).sort_index(kind="stable")
        held = pd.DataFrame({"row": given.index.to_numpy(dtype=np.int64), "value": given.to_numpy()}).drop_duplicates()
        yield column, held["row"].to_numpy(), held["value"]


def _is_attribute(values: "pd.Series[Any]") -> bool:
    return not (pd.api.types.is_float_dtype(values) or pd.api.types.is_datetime64_any_dtype(values))
