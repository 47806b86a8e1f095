"""Items' impressions and clicks → how many impressions each needs for a test, and how many to pool."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ltexpo.errors import ColumnError, ConfigError, TableError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TailPower:
    """Which items can be tested alone, and how many of the others must be pooled."""

    table: pd.DataFrame
    """item_id, impressions, clicks, rate (shrunken), needed (impressions of both arms), pool (items; 1: alone)."""
    relative: float
    chance: float

    def to_pandas(self) -> pd.DataFrame:
        """The table of items."""
        return self.table

    def says(self, item_id: str) -> str:
        """One sentence on one item."""
        rows = self.table[self.table["item_id"] == item_id]
        if rows.empty:
            raise TableError(f"item '{item_id}' is not among the {len(self.table):,} items of the table.")
        needed, shown, pool = rows[["needed", "impressions", "pool"]].to_numpy(np.float64)[0]
        return _sentence(f"item {item_id}", needed, shown, pool)

    def __str__(self) -> str:
        alone = int((self.table["pool"] == 1).sum())
        middle = self.table[["needed", "impressions", "pool"]].median()
        return (
            f"{alone:,} of {len(self.table):,} items can be tested alone for {self.relative:+.0%} clicks per "
            f"impression with a chance of {self.chance:.0%}; "
            + _sentence("the middle one", middle["needed"], middle["impressions"], middle["pool"])
        )


def tail_power(
    items: pd.DataFrame,
    *,
    relative: float = 0.1,
    chance: float = 0.8,
    level: float = 0.95,
    design_effect: float = 1.0,
) -> TailPower:
    """`items` (item_id, impressions, clicks of a period as long as the test) → the impressions that each one needs.

    To find a `relative` change of clicks per impression with equal arms, both together need
    2 (z + z')² (p (1 − p) + p' (1 − p')) / (p' − p)² impressions (Fleiss 1981), times `design_effect` when a user's
    impressions hang together. A rare item's own rate says little, so p is shrunken to the rate of all: the posterior
    mean of a beta-binomial fitted by moments (Kleinman 1973). An item that lacks impressions is pooled with others of
    the average impressions.
    """
    lacking = sorted({"item_id", "impressions", "clicks"} - set(items.columns))
    if lacking:
        raise ColumnError(f"items lack {', '.join(lacking)}; found {', '.join(items.columns)}.")
    if not 0 < abs(relative) < 1 or not 0 < chance < 1 or not design_effect >= 1:
        raise ConfigError(
            "relative must lie within ±1 and not be 0, chance within 0 to 1, design_effect from 1; found "
            f"{relative:g}, {chance:g}, {design_effect:g}."
        )
    shown = items["impressions"].to_numpy(np.float64)
    clicks = items["clicks"].to_numpy(np.float64)
    if not ((clicks >= 0) & (clicks <= shown)).all() or not clicks.sum() > 0:
        raise TableError("items need clicks of 0 to their impressions, and one click in all, or no rate is known.")
    rate = shrunken_rates(clicks, shown)
    treated = np.minimum(rate * (1 + relative), 1.0)
    z = ndtri(0.5 + level / 2) + ndtri(chance)
    variance = rate * (1 - rate) + treated * (1 - treated)
    needed = np.ceil(2 * z**2 * variance / np.square(treated - rate) * design_effect)
    lacks = np.maximum(needed - shown, 0.0)
    table = pd.DataFrame({
        "item_id": items["item_id"].to_numpy(), "impressions": items["impressions"].to_numpy(),
        "clicks": items["clicks"].to_numpy(), "rate": rate, "needed": needed.astype(np.int64),
        "pool": 1 + np.ceil(lacks / shown.mean()).astype(np.int64),
    })
    return TailPower(table, relative, chance)


def shrunken_rates(clicks: Array, impressions: Array) -> Array:
    """(items,) clicks per impression, drawn to the rate of all the more, the more alike the items are."""
    overall = float(clicks.sum() / impressions.sum())
    if overall == 1:
        return np.ones(len(clicks))
    weight = impressions / impressions.sum()
    own = np.divide(clicks, impressions, out=np.full(len(clicks), overall), where=impressions > 0)
    # Weighted variance of the rates = noise of counts + variance between items.
    spread = float(weight @ np.square(own - overall))
    noise = overall * (1 - overall) * int((impressions > 0).sum()) / float(impressions.sum())
    between = (spread - noise * (1 - float(weight @ weight))) / max(1 - float(weight @ weight), 1e-12)
    if between <= 0:
        return np.full(len(clicks), overall)
    strength = max(overall * (1 - overall) / between - 1, 0.0)
    rates: Array = (clicks + strength * overall) / np.maximum(impressions + strength, 1e-12)
    return np.clip(rates, 1e-12, 1 - 1e-12)


def _sentence(name: str, needed: float, impressions: float, pool: float) -> str:
    if pool <= 1:
        return f"{name} needs {needed:,.0f} impressions and has {impressions:,.0f}: test it alone"
    return f"{name} needs {needed:,.0f} impressions and has {impressions:,.0f}: pool it with {pool - 1:,.0f} others"
