"""Rows of users and items → effects whose error counts what rows of a user and rows of an item share."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats.effect import Effect, Spread, effect

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]


def compare_two_way(
    metric: str,
    treatment: Ratio,
    control: Ratio,
    treatment_items: Labels,
    control_items: Labels,
    *,
    level: float = 0.95,
) -> Effect:
    """The effect on a ratio whose rows belong to a user (the ratio's clusters) and to an item (n,).

    The variance is that of users plus that of items minus that of their pairs (Cameron, Gelbach & Miller 2011), the
    freedom one less than the fewer of the two. An item is the same in both arms, so what it adds to both cancels. It
    answers for other users AND other items like these; to know what a change does to this catalogue, users are enough
    (`compare`). Where the formula falls below users alone, users alone count.
    """
    for name, arm, items in (("treatment", treatment, treatment_items), ("control", control, control_items)):
        if not len(arm.numerator) or len(items) != len(arm.numerator):
            raise TableError(
                f"metric '{metric}': the {name} has {len(arm.numerator)} rows and {len(items)} items. Every row needs "
                "its item, and every arm rows."
            )
    rows = len(treatment.numerator)
    influence = np.zeros((rows + len(control.numerator), 2))
    influence[:rows, 0], influence[rows:, 1] = treatment.influence(), control.influence()
    users = pd.factorize(np.concatenate([treatment.clusters, control.clusters]))[0]
    items = pd.factorize(np.concatenate([treatment_items, control_items]))[0]
    both = pd.factorize(users.astype(np.int64) * (int(items.max()) + 1) + items)[0]
    by_user, n_users = _covariance(influence, users)
    by_item, n_items = _covariance(influence, items)
    two_way = by_user + by_item - _covariance(influence, both)[0]
    contrast = np.array([1.0, -1.0])
    method, freedom = "two-way clusters, users and items", min(n_users, n_items) - 1
    if not contrast @ two_way @ contrast > contrast @ by_user @ contrast or np.diag(two_way).min() < 0:
        two_way, method, freedom = by_user, "user clusters; items add no variance", n_users - 1
    spread = Spread(float(two_way[0, 0]), float(two_way[1, 1]), float(two_way[0, 1]), max(freedom, 1))
    counts = (len(np.unique(users[:rows])), len(np.unique(users[rows:])))
    return effect(metric, treatment.value, control.value, spread, counts=counts, level=level, method=method)


def _covariance(influence: Array, codes: npt.NDArray[Any]) -> tuple[Array, int]:
    """(2, 2) covariance of the two arms' values with rows (n, 2) summed within clusters, and the number of clusters."""
    count = int(codes.max()) + 1
    totals = np.stack([np.bincount(codes, weights=column, minlength=count) for column in influence.T], axis=1)
    small = count / (count - 1) if count > 1 else np.nan
    covariance: Array = (small * (totals.T @ totals)).astype(np.float64, copy=False)
    return covariance, count
