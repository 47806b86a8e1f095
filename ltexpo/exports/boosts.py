"""boosts.parquet + the catalogue → every item's boost, and the shift that keeps them above zero."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, TableError

MOST_ID_BYTES = 512
"""Elasticsearch and OpenSearch refuse a longer _id."""


@dataclass(frozen=True, eq=False)
class BoostTable:
    """What is added to each item's score: 0 for items that no goal moves."""

    item_ids: npt.NDArray[np.object_]
    """(I,) the whole catalogue, sorted."""
    boosts: npt.NDArray[np.float64]
    """(I,)"""

    @classmethod
    def of(cls, boosts: pd.DataFrame, item_ids: "pd.Series[str]", *, where: str) -> Self:
        """`boosts` (item_id, boost) over the catalogue; raises `ColumnError` or `TableError`, naming `where`."""
        for column in (Columns.Item, "boost"):
            if column not in boosts.columns:
                raise ColumnError(f"{where}: lacks '{column}'; found {', '.join(map(str, boosts.columns)) or 'none'}. "
                                  "Run 'ltexpo rerank' again.")
        amount = pd.to_numeric(boosts["boost"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero(~np.isfinite(amount))
        if len(wrong):
            at = int(wrong[0])
            raise ColumnError(
                f"{where} row {at}: boost is {boosts['boost'].iloc[at]!r}, not a finite number ({len(wrong):,} such "
                "rows). Run 'ltexpo rerank' again."
            )
        twice = boosts[Columns.Item].duplicated()
        if twice.any():
            raise TableError(f"{where}: item_id '{boosts[Columns.Item][twice].iloc[0]}' stands there twice "
                             f"({int(twice.sum()):,} repeated rows). Run 'ltexpo rerank' again.")
        ids = np.sort(item_ids.to_numpy(dtype=object))
        at_item = pd.Index(ids).get_indexer(pd.Index(boosts[Columns.Item].astype(object)))
        if (at_item < 0).any():
            raise TableError(
                f"{where}: item_id '{boosts[Columns.Item].iloc[int(np.argmin(at_item))]}' is not in the catalogue "
                f"({int((at_item < 0).sum()):,} such rows). Give the --data that the lists were made from."
            )
        whole = np.zeros(len(ids))
        whole[at_item] = amount
        return cls(ids, whole)

    @property
    def shift(self) -> float:
        """What is added to every boost so that none is below or at zero; 0 where none is negative.

        Added to every document alike, it changes no order. A power of two: it stays the same from day to day, so that
        documents whose boost did not change are not written again.
        """
        least = float(self.boosts.min(initial=0.0))
        return 0.0 if least >= 0 else float(2.0 ** (np.floor(np.log2(-least)) + 1))

    def refuse_long_ids(self) -> None:
        """Raise `TableError` on an item_id that cannot be a document's _id."""
        for item in self.item_ids:
            size = len(item.encode())
            if size > MOST_ID_BYTES:
                raise TableError(f"item_id '{item[:40]}…' has {size} bytes; search engines take ids of "
                                 f"{MOST_ID_BYTES} bytes at most. Leave the format out, or shorten the id.")
