"""Items with their tiers → the cells that catalogue and demand are divided into, and what the catalogue lacks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.images import check_images
from ltexpo.monitor.drift import price_cells
from ltexpo.monitor.rows import Row

EMPTY, MISSING_PICTURES, CATALOGUE = "items without a value", "missing pictures", "catalogue"
NO_VALUE = "no value"


@dataclass(frozen=True)
class Catalogue:
    """The items as they are now."""

    items: pd.DataFrame
    """item_id, tier, and the other columns of items."""
    divided_by: tuple[str, ...]
    root: Path | None = None

    @cached_property
    def index(self) -> "pd.Index[Any]":
        """item_ids in order."""
        index: pd.Index[Any] = pd.Index(self.items[Columns.Item])
        return index

    @cached_property
    def cells(self) -> dict[str, "pd.Series[Any]"]:
        """Column → each item's cell (I,): a category, from one power of 2 to the next of prices, a tier."""
        found = {}
        for column in self.divided_by:
            if column not in self.items.columns:
                continue
            values = self.items[column]
            cells = price_cells(values) if pd.api.types.is_numeric_dtype(values) else values.astype(object)
            found[column] = cells.where(cells.notna(), NO_VALUE).astype(str)
        return found

    def rows(self, day: str, *, pictures: bool) -> list[Row]:
        """Shares of the cells, gaps by column, and items without a picture that can be found."""
        n = len(self.items)
        rows = []
        for column, cells in self.cells.items():
            rows += [
                Row(day, CATALOGUE, f"{column}={cell}", float(share), n=n)
                for cell, share in cells.value_counts(normalize=True).sort_index().items()
            ]
        for column in self.items.columns:
            if column not in (Columns.Item, Columns.Tier, Columns.Image):
                rows.append(Row(day, EMPTY, column, float(self.items[column].isna().mean()), n=n))
        if pictures and Columns.Image in self.items.columns:
            there = check_images(self.items, self.root, decode=False)
            rows.append(Row(day, MISSING_PICTURES, value=float(1 - there.ok / max(n, 1)), n=n))
        return rows

    def codes(self, item_ids: "pd.Series[Any]") -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Places of items in the catalogue (n,), −1 where it does not hold them."""
        return np.asarray(self.index.get_indexer(pd.Index(item_ids)), dtype=np.int64)
