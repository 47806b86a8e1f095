"""Items + training events → each item's tier: head, tail or new."""

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns, EventKind, Tier
from ltexpo.config import Settings
from ltexpo.errors import ColumnError


class TailSpec(Settings):
    """Which products count as the long tail; the one definition behind every table."""

    head_share: float = Field(0.8, gt=0, lt=1)
    """The head is the smallest set of items that together hold this share of training interactions."""
    column: str | None = None
    """Take the tier from this column of items (values head, tail, new) instead of counting interactions."""
    events: tuple[Literal["impression", "click", "cart", "purchase", "rating"], ...] = EventKind.Interactions
    """The events that count as an interaction."""

    def __str__(self) -> str:
        if self.column is not None:
            return f"tiers from column '{self.column}'"
        return (
            f"head = fewest items with {self.head_share:.0%} of training interactions, new = no interaction, "
            "tail = the rest of the full catalogue"
        )

    def assign(self, items: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
        """One row per item of `items`, in its order: item_id, interactions, tier.

        `events` are training events only; ties at the head's edge break by item_id.
        """
        counted = events.loc[events[Columns.Event].isin(self.events), Columns.Item].value_counts()
        interactions = items[Columns.Item].map(counted).fillna(0).astype(np.int64).to_numpy()
        tiers = self._from_column(items) if self.column else self._from_counts(items[Columns.Item], interactions)
        return pd.DataFrame({
            Columns.Item: items[Columns.Item].to_numpy(),
            Columns.Interactions: interactions,
            Columns.Tier: tiers,
        })

    def _from_column(self, items: pd.DataFrame) -> np.ndarray:
        if self.column not in items.columns:
            raise ColumnError(f"tail.column '{self.column}' is not in items; found {', '.join(items.columns)}.")
        tiers = items[self.column]
        odd = ~tiers.isin(Tier.All)
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            raise ColumnError(
                f"items: '{self.column}' row {row} is {tiers.iloc[row]!r}, expected one of {', '.join(Tier.All)}."
            )
        return tiers.to_numpy(dtype=object)

    def _from_counts(self, item_ids: pd.Series, interactions: np.ndarray) -> np.ndarray:
        order = np.lexsort((item_ids.to_numpy(dtype=object).astype(str), -interactions))
        cumulative = np.cumsum(interactions[order])
        tiers = np.full(len(interactions), Tier.Tail, dtype=object)
        if len(cumulative) and cumulative[-1] > 0:
            # Items are in the head up to and including the one that reaches the share.
            head_size = int(np.searchsorted(cumulative, self.head_share * cumulative[-1])) + 1
            tiers[order[:head_size]] = Tier.Head
        tiers[interactions == 0] = Tier.New
        return tiers


def tier_summary(tiers: pd.DataFrame) -> pd.DataFrame:
    """Per tier: items, item_share, interactions, interaction_share."""
    grouped = tiers.groupby(Columns.Tier)[Columns.Interactions].agg(["size", "sum"])
    grouped = grouped.reindex(list(Tier.All), fill_value=0)
    total = max(int(grouped["sum"].sum()), 1)
    return pd.DataFrame({
        Columns.Tier: grouped.index,
        "items": grouped["size"].to_numpy(),
        "item_share": (grouped["size"] / max(len(tiers), 1)).to_numpy(),
        "interactions": grouped["sum"].to_numpy(),
        "interaction_share": (grouped["sum"] / total).to_numpy(),
    })
