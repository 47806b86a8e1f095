"""Lists before and after → the products that gained most exposure, and whose exposure each of them took."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltexpo.columns import Columns


@dataclass(frozen=True)
class Displaced:
    """A product that lost exposure to a gainer."""

    item_id: str
    exposure: float
    """How much of its exposure went to the gainer."""


@dataclass(frozen=True)
class Gainer:
    """A product's exposure before and after, and where the gain came from."""

    item_id: str
    before: float
    after: float
    lists: int
    """In how many lists it entered or moved up."""
    displaced: tuple[Displaced, ...]
    """Who lost most to it, largest first."""
    displaced_products: int
    """How many products lost exposure to it in all."""


def top_gainers(
    control: pd.DataFrame, rankings: pd.DataFrame, *, n: int = 10, n_displaced: int = 3
) -> list[Gainer]:
    """The `n` products whose total exposure rose most from `control` to `rankings`, ties by item_id.

    Both tables hold request_id, item_id, exposure. Within a list, what each product lost is shared out to the products
    that gained there in proportion to their gains, so nothing lost is counted twice.
    """
    moves = _moves(control, rankings)
    totals = moves.groupby(Columns.Item, sort=True)[["before", "after"]].sum()
    totals["gain"] = totals["after"] - totals["before"]
    best = totals[totals["gain"] > _NOISE].sort_values("gain", ascending=False, kind="stable").head(n)
    gained = moves[(moves["change"] > _NOISE)]
    lost = moves.loc[moves["change"] < -_NOISE, [Columns.Request, Columns.Item, "change"]]
    lost = lost.rename(columns={Columns.Item: "loser", "change": "loss"})
    all_gains = gained.groupby(Columns.Request)["change"].sum()
    result = []
    for item_id, total in best.iterrows():
        own = gained.loc[gained[Columns.Item] == item_id, [Columns.Request, "change"]]
        share = pd.DataFrame({
            Columns.Request: own[Columns.Request],
            "share": own["change"] / own[Columns.Request].map(all_gains),
        })
        paired = lost.merge(share, on=Columns.Request)
        taken = (-paired["loss"] * paired["share"]).groupby(paired["loser"], sort=True).sum()
        taken = taken.sort_values(ascending=False, kind="stable")
        result.append(Gainer(
            item_id=str(item_id),
            before=float(total["before"]),
            after=float(total["after"]),
            lists=len(own),
            displaced=tuple(Displaced(str(loser), float(value)) for loser, value in taken.head(n_displaced).items()),
            displaced_products=len(taken),
        ))
    return result


_NOISE = 1e-9
"""Sums of equal exposures in another order differ by rounding; that is no gain."""


def _moves(control: pd.DataFrame, rankings: pd.DataFrame) -> pd.DataFrame:
    """One row per list and product whose exposure there differs or not: before, after, change."""
    keys = [Columns.Request, Columns.Item]
    before, after = (
        lists[[*keys, Columns.Exposure]].rename(columns={Columns.Exposure: name})
        for lists, name in ((control, "before"), (rankings, "after"))
    )
    moves = before.merge(after, on=keys, how="outer").fillna({"before": 0.0, "after": 0.0})
    moves["change"] = moves["after"].to_numpy(np.float64) - moves["before"].to_numpy(np.float64)
    return moves
