"""Final lists + plain lists + boosts → one list before and after, and why every item stands where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, TableError

WIDTH = 80
"""Columns of a terminal that an explanation fits."""
_INDENT = 7 * " "


@dataclass(frozen=True)
class Explanation:
    """One list before and after, slot by slot; prints slots that changed with their reasons."""

    request: str
    slots: pd.DataFrame
    """rank, before, after, rank_before, boost, goal, clicks (attention × (score after − score before)), and, where
    they were given, reasons: why the item matches the user."""

    def to_pandas(self) -> pd.DataFrame:
        """The slots."""
        return self.slots

    def __str__(self) -> str:
        moved = self.slots[self.slots["before"] != self.slots["after"]]
        if moved.empty and "reasons" not in self.slots.columns:
            return f"request {self.request}: the plain list stands ({len(self.slots)} slots)"
        lines = [
            f"request {self.request}: {len(moved)} of {len(self.slots)} slots changed, "
            f"expected clicks {self.slots['clicks'].sum():+.4f}"
        ]
        for slot in self.slots.to_dict("records"):
            lines.append(f"{slot['rank']:>3}  {_cut(slot['after'], WIDTH - 5)}")
            if "reasons" in slot:
                lines += wrap(slot["reasons"], WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
            if slot["before"] == slot["after"]:
                continue
            lines.append(f"       in place of {_cut(slot['before'], WIDTH - 19)}")
            rank = slot["rank_before"]
            came = "not in the plain list" if pd.isna(rank) else f"rank {int(rank)} before"
            boosted = slot["boost"] and not pd.isna(slot["goal"])
            paid = f"boost {slot['boost']:+.4g} for {slot['goal']}, " if boosted else ""
            lines.append(f"       {came}, {paid}clicks {slot['clicks']:+.4f}")
        return "\n".join(lines)


def explain(
    request: str, rankings: pd.DataFrame, control: pd.DataFrame, boosts: pd.DataFrame, items: pd.DataFrame, *,
    reasons: Mapping[str, str] | None = None,
) -> Explanation:
    """The list of `request` before and after; `items` gives titles, `reasons` (item_id → words) why each item matches.

    Raises `TableError` for an unknown request, `ColumnError` for a table that 'ltexpo rerank' did not write so.
    """
    lists = (Columns.Request, Columns.Rank, Columns.Item, Columns.Score, Columns.Exposure, Columns.Price)
    for table, name, columns in (
        (rankings, "rankings", lists), (control, "control", lists), (boosts, "boosts", (Columns.Item, "goal")),
    ):
        lacking = [column for column in columns if column not in table.columns]
        if lacking:
            raise ColumnError(f"{name}: lacks '{lacking[0]}', which an explanation needs. Run 'ltexpo rerank' first.")
    after = rankings[rankings[Columns.Request] == request]
    before = control[control[Columns.Request] == request]
    if after.empty:
        raise TableError(f"request '{request}' has no list in rankings. Give one of its request_ids.")
    titles = items.set_index(Columns.Item)[Columns.Title]
    goal = boosts.drop_duplicates(Columns.Item).set_index(Columns.Item)["goal"]
    slots = after.merge(before, on=Columns.Rank, how="left", suffixes=("", "_plain")).sort_values(Columns.Rank)
    gained = slots[Columns.Score].astype(np.float64) - slots[f"{Columns.Score}_plain"].fillna(0.0).astype(np.float64)
    plain_rank = before.set_index(Columns.Item)[Columns.Rank]
    made = pd.DataFrame({
        "rank": slots[Columns.Rank].to_numpy(),
        "before": _named(slots[f"{Columns.Item}_plain"], titles),
        "after": _named(slots[Columns.Item], titles),
        "rank_before": slots[Columns.Item].map(plain_rank).astype("Int64").to_numpy(),
        "boost": slots[Columns.Price].to_numpy(),
        "goal": slots[Columns.Item].map(goal).to_numpy(),
        "clicks": (slots[Columns.Exposure] * gained).to_numpy(),
    })
    if reasons is not None:
        made["reasons"] = slots[Columns.Item].map(reasons).to_numpy()
    return Explanation(request, made)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _named(ids: "pd.Series[str]", name: "pd.Series[str]") -> "pd.Series[str]":
    return (ids.fillna("–") + " " + ids.map(name).fillna("")).str.strip().reset_index(drop=True)
