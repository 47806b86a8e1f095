"""What users' days added up to → the totals of each metric: numerator and denominator of every user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Tier
from ltexpo.simulate.behaviour import totals

TAIL = (Tier.Tail, Tier.New)


@dataclass(frozen=True)
class Metric:
    """A ratio of two sums over users."""

    numerator: tuple[str, ...]
    denominator: tuple[str, ...]
    """Columns of `totals.NAMES`, added up; `users` is 1 for each."""
    meaning: str = ""
    """What it is, in a line, for whoever reads the numbers."""


def _of(what: str, *tiers: str) -> tuple[str, ...]:
    return tuple(f"{what}_{tier}" for tier in tiers)


USERS: Final = "users"

METRICS: Final[Mapping[str, Metric]] = {
    "clicks per visit": Metric(("clicks",), ("visits",), "clicks, per visit; a visit shows one list"),
    "click-through rate": Metric(("clicks",), ("impressions",), "clicks, per product shown in a slot"),
    "tail share of exposure": Metric(
        _of("exposure", *TAIL), _of("exposure", *Tier.All),
        "share of exposure (slots shown, by their chance to be looked at) of tail and new products",
    ),
    "tail share of clicks": Metric(_of("clicks", *TAIL), ("clicks",), "share of clicks of tail and new products"),
    "tail clicks per visit": Metric(_of("clicks", *TAIL), ("visits",), "clicks on tail and new products, per visit"),
    "conversion": Metric(("purchases",), ("clicks",), "purchases, per click"),
    "purchases per visit": Metric(("purchases",), ("visits",), "purchases, per visit"),
    "revenue per visit": Metric(("revenue",), ("visits",), "prices of what was bought, per visit"),
    "slots seen per visit": Metric(("depth",), ("visits",), "rank of the deepest slot looked at, mean over visits"),
    "visits per user": Metric(("visits",), (USERS,), "visits during the test, per user"),
    "day-1 retention": Metric(
        ("back_1",), ("due_1",), "of the days on which a user came, the share after which she came on the next day",
    ),
    "day-7 retention": Metric(
        ("back_7",), ("due_7",), "of the days on which a user came, the share after which she came on the seventh day",
    ),
    "value per user": Metric(("revenue",), (USERS,), "prices of what was bought during the test, per user"),
}
"""What is read of every arm, and the only place that says what each of these is."""

TIER_METRICS: Final[Mapping[str, Metric]] = {
    f"{name}, {tier}": metric
    for tier in Tier.All
    for name, metric in {
        "share of exposure": Metric(_of("exposure", tier), _of("exposure", *Tier.All)),
        "click-through rate": Metric(_of("clicks", tier), _of("impressions", tier)),
        "clicks per visit": Metric(_of("clicks", tier), ("visits",)),
        "purchases per visit": Metric(_of("purchases", tier), ("visits",)),
    }.items()
}
"""The same by item tier."""


def reading(
    lived: npt.NDArray[np.float64], metrics: Mapping[str, Metric]
) -> tuple[pd.DataFrame, dict[str, tuple[str, str]]]:
    """`lived` (U, `totals.WIDTH`) → one row per user with the totals of `metrics`, and their columns' names.

    `user_id` is the user's place: comparing thousands of strings once a metric would cost more than the test.
    """
    column = {name: place for place, name in enumerate(totals.NAMES)}
    table: dict[str, object] = {"user_id": np.arange(len(lived))}
    pairs = {}
    for name, metric in metrics.items():
        sides = {"above": metric.numerator, "below": metric.denominator}
        for side, parts in sides.items():
            table[f"{name}: {side}"] = (
                np.ones(len(lived)) if parts == (USERS,) else lived[:, [column[part] for part in parts]].sum(axis=1)
            )
        pairs[name] = (f"{name}: above", f"{name}: below")
    return pd.DataFrame(table), pairs
