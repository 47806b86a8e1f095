"""Scores + outcomes → how often what was clicked scores above what was not."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ltexpo.errors import InputError
from ltexpo.metrics.intervals import Ratio

Array = npt.NDArray[np.float64]


def auc_ratio(
    score: npt.ArrayLike, outcome: npt.ArrayLike, *, weight: npt.ArrayLike | None = None,
    clusters: npt.NDArray[Any] | None = None,
) -> Ratio | None:
    """Area under the ROC curve: P(a row with outcome 1 scores above one with 0), ties count half; None without both.

    All (n,). `weight` is how much each row without the outcome counts, such as the probability that it was looked at.
    Both samples' parts of the variance (DeLong et al. 1988) are in the influence of the ratio, so that `estimate` and
    `difference` give intervals over `clusters`.
    """
    s, y = np.asarray(score, dtype=np.float64), np.asarray(outcome, dtype=bool)
    w = np.ones(len(s)) if weight is None else np.asarray(weight, dtype=np.float64)
    if s.ndim != 1 or s.shape != y.shape or s.shape != w.shape:
        raise InputError(f"score {s.shape}, outcome {y.shape}, weight {w.shape}: give one of each per row.")
    n = int(y.sum())
    if n == 0 or w[~y].sum() <= 0:
        return None
    above = _mass_below(s[~y], w[~y], s[y])  # of each row with the outcome: share of the others below it
    below = 1 - _mass_below(s[y], np.ones(n), s[~y])
    share = w[~y] / w[~y].sum()
    numerator, denominator = np.empty(len(s)), np.zeros(len(s))
    numerator[y], denominator[y] = above / n, 1 / n
    # These sum to 0: they move the variance and not the value.
    numerator[~y] = share * (below - above.mean())
    return Ratio.of(numerator, denominator, clusters)


def _mass_below(values: Array, weight: Array, at: Array) -> Array:
    """Share of the weight of `values` below each of `at`, what is equal counting half."""
    order = np.argsort(values, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weight[order])])
    first, last = (np.searchsorted(values[order], at, side=side) for side in ("left", "right"))
    return np.asarray((sums[first] + sums[last]) / 2 / sums[-1])
