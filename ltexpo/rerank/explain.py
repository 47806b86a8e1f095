"""Final lists + plain lists + boosts → one list before and after, and why every item stands where it stands."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import TableError


@dataclass(frozen=True)
class Explanation:
    """One list before and after, slot by slot; prints as a table."""

    request: str
    slots: pd.DataFrame
    """rank, before, after, rank_before, boost, goal, clicks (attention × (score after − score before))."""

    def to_pandas(self) -> pd.DataFrame:
        """The slots."""
        return self.slots

    def __str__(self) -> str:
        shown = self.slots.astype(object).where(self.slots.notna(), "")
        total = self.slots["clicks"].sum()
        text = shown.to_string(index=False, float_format=lambda number: f"{number:.4g}")
        return f"request {self.request}: expected clicks {total:+.4f}\n{text}"


def explain(
    request: str, rankings: pd.DataFrame, control: pd.DataFrame, boosts: pd.DataFrame, items: pd.DataFrame
) -> Explanation:
    """The list of `request` before and after; `items` gives titles. Raises `TableError` for an unknown request."""
    after = rankings[rankings[Columns.Request] == request]
    before = control[control[Columns.Request] == request]
    if after.empty:
        raise TableError(f"request '{request}' has no list in rankings. Give one of its request_ids.")
    name = items.set_index(Columns.Item)[Columns.Title]
    goal = boosts.set_index(Columns.Item)["goal"]
    slots = after.merge(before, on=Columns.Rank, how="left", suffixes=("", "_plain")).sort_values(Columns.Rank)
    gained = slots[Columns.Score].astype(np.float64) - slots[f"{Columns.Score}_plain"].fillna(0.0).astype(np.float64)
    plain_rank = before.set_index(Columns.Item)[Columns.Rank]
    return Explanation(request, pd.DataFrame({
        "rank": slots[Columns.Rank].to_numpy(),
        "before": _named(slots[f"{Columns.Item}_plain"], name),
        "after": _named(slots[Columns.Item], name),
        "rank_before": slots[Columns.Item].map(plain_rank).astype("Int64").to_numpy(),
        "boost": slots[Columns.Price].to_numpy(),
        "goal": slots[Columns.Item].map(goal).to_numpy(),
        "clicks": (slots[Columns.Exposure] * gained).to_numpy(),
    }))


def _named(ids: "pd.Series[str]", name: "pd.Series[str]") -> "pd.Series[str]":
    titles = ids.map(name).fillna("").str.slice(0, 40)
    return (ids.fillna("–") + " " + titles).str.strip().reset_index(drop=True)
