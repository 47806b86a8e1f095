"""Items + tiers → the arrays that an experiment needs of each item."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.errors import TableError


@dataclass(frozen=True)
class Catalogue:
    """I items in the order of their ids."""

    ids: "pd.Index[str]"
    price: npt.NDArray[np.float64]
    """(I,) 0 where unknown."""
    tier: npt.NDArray[np.int8]
    """(I,) place in `Tier.All`."""
    category: npt.NDArray[np.int32]
    """(I,) −1 − i where item i has none, so that it is like no other."""
    seller: npt.NDArray[np.int64]
    """(I,) code of the seller, −1 where unknown."""
    sellers: "pd.Index[str]"

    @classmethod
    def of(cls, items: pd.DataFrame, tiers: pd.DataFrame) -> "Catalogue":
        """`items` with the tier of each in `tiers`; raises `TableError` where one has none."""
        items = items.sort_values(Columns.Item, ignore_index=True)
        ids = pd.Index(items[Columns.Item])
        tier = pd.Index(Tier.All).get_indexer(pd.Index(ids.map(tiers.set_index(Columns.Item)[Columns.Tier])))
        if (tier < 0).any():
            raise TableError(f"tiers: item_id '{ids[tier < 0][0]}' has no tier. Assign tiers over the full catalogue.")
        nothing = pd.Series(np.nan, index=items.index)
        category = pd.factorize(items.get(Columns.Category, nothing))[0]
        seller, sellers = pd.factorize(items.get(Columns.Seller, nothing), sort=True)
        return cls(
            ids, np.asarray(items.get(Columns.Price, nothing).fillna(0.0), dtype=np.float64), tier.astype(np.int8),
            np.asarray(np.where(category < 0, -1 - np.arange(len(ids)), category), dtype=np.int32),
            seller.astype(np.int64), pd.Index(sellers, dtype=str),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def codes(self, item_ids: "pd.Series[str]", *, source: str) -> npt.NDArray[np.int64]:
        """Codes of `item_ids`; raises `TableError` on one that is not in the catalogue."""
        codes = self.ids.get_indexer(pd.Index(item_ids))
        if (codes < 0).any():
            raise TableError(f"{source}: item_id '{item_ids.iloc[int(np.argmax(codes < 0))]}' is not in items "
                             f"({int((codes < 0).sum())} such rows).")
        return np.asarray(codes, dtype=np.int64)
