"""Scores + clicks of many users on the same products → how much wider chances scatter than on pairs shown again.

τ (see `spread`) is learnt from pairs that were shown more than once: mostly products that are shown much, and so are
known well. The score of a product that is less known may be off for everybody alike. How far, single impressions tell:
users of one product then click more alike than their scores have it. So the products' part of the variance is fitted
as τ is, with a product in place of a pair, in each tier and on the pairs that τ comes from; what the tier's has over
theirs is added to τ². The tiers' scores are by trees that did not learn from the product: the others follow the noise
of its clicks, which hides how far they are off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit

from ltexpo.columns import Tier
from ltexpo.metrics.logit_normal import location, quadrature
from ltexpo.ranking.calibrate_tiers import MIN_EVENTS
from ltexpo.ranking.rolling import LabelDay

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

_MOST = 50
"""Impressions of one product: more would pin it down closer than the nodes lie."""
_PRIOR_LOG, _PRIOR_LOG_STD = float(np.log(0.4)), 1.0
_PRIOR_SHIFT_STD, _PRIOR_SLOPE_STD = 1.0, 0.3
_LEAST, _LARGEST = 0.02, 3.0
_NODES, _WEIGHTS = quadrature(15)


@dataclass(frozen=True)
class Singles:
    """n pairs of a user and a product, each where it was shown first."""

    score: Floats
    """(n,) as τ was learnt with."""
    strange: Floats
    """(n,) by trees that did not learn from the product."""
    tier: npt.NDArray[np.object_]
    item: npt.NDArray[np.int64]
    examined: Floats
    clicked: Rows
    again: Rows
    """(n,) whether the pair was shown once more."""

    @classmethod
    def of(cls, days: Sequence[LabelDay], score: Floats, strange: Floats) -> "Singles":
        """Of label days, oldest first, on which impressions were logged; scores (N,) of all their rows."""
        item = np.concatenate([day.candidates.item for day in days])
        typed = [np.zeros(len(day.user_ids), object) if day.queries is None else day.queries for day in days]
        pair = pd.DataFrame({
            "user": np.concatenate([day.group for day in days]), "item": item,
            "query": np.concatenate([one[day.candidates.user] for one, day in zip(typed, days, strict=True)]),
        })
        shown = np.concatenate([
            np.ones(len(day.outcome)) if day.looks is None else np.bincount(day.looks.row, minlength=len(day.outcome))
            for day in days
        ])
        first = ~pair.duplicated().to_numpy()
        times = pair.assign(shown=shown).groupby(list(pair), sort=False)["shown"].transform("sum").to_numpy()
        examined = np.concatenate([
            np.ones(len(day.outcome)) if day.examined is None else day.examined for day in days
        ])
        return cls(
            score[first], strange[first], np.concatenate([day.tier[day.candidates.item] for day in days])[first],
            item[first], examined[first], (np.concatenate([day.outcome for day in days]) > 0)[first], times[first] > 1,
        )


def product_excess(singles: Singles, taus: "dict[str, float]", tau: float) -> dict[str, float]:
    """Tier → what is to be added to the square of its τ (`taus`, or `tau` of all), 0 or more.

    A tier with hardly any click scatters as the tier before it does.
    """
    excess, known = {}, 0.0
    of_all = _variance(singles, singles.again, singles.score, tau)
    for name in Tier.All:
        here = singles.tier == name
        own = taus.get(name, tau)
        base = _variance(singles, singles.again & here, singles.score, own) if name in taus else of_all
        if singles.clicked[here].sum() >= MIN_EVENTS:
            known = _variance(singles, here, singles.strange, own)
        excess[name] = max(known - base, 0.0)
    return excess


def _variance(singles: Singles, rows: Rows, score: Floats, tau: float) -> float:
    """Variance of products' log-odds around `score`, a part of `tau`² (maximum a posteriori)."""
    at = np.flatnonzero(rows)
    at = at[np.argsort(singles.item[at], kind="stable")]
    item = singles.item[at]
    at = at[np.arange(len(at)) - np.searchsorted(item, item) < _MOST]
    if not len(at):
        return 0.0
    starts = np.flatnonzero(np.diff(singles.item[at], prepend=-1))
    missed, examined, log_odds = 1.0 - singles.clicked[at], singles.examined[at], logit(score[at])
    centre = float(log_odds.mean())

    def loss(place: Floats) -> float:
        width = float(np.exp(place[0]))
        mu = location(expit(centre + place[1] + place[2] * (log_odds - centre)), width)
        chance = examined[:, None] * expit(mu[:, None] + width * _NODES)
        seen = np.add.reduceat(np.log(np.abs(missed[:, None] - chance)), starts)
        top = seen.max(axis=1)
        fit = (top + np.log(np.exp(seen - top[:, None]) @ _WEIGHTS)).sum()
        off = (place[0] - _PRIOR_LOG) / _PRIOR_LOG_STD, place[1] / _PRIOR_SHIFT_STD, (place[2] - 1) / _PRIOR_SLOPE_STD
        return float(np.square(off).sum() / 2 - fit)

    bounds = [(np.log(_LEAST), np.log(_LARGEST)), (-5.0, 5.0), (0.05, 3.0)]
    found = minimize(loss, [_PRIOR_LOG, 0.0, 1.0], method="L-BFGS-B", bounds=bounds).x
    # What is left to the users flattens the log-odds of the mean: σ(x) averaged over N(0, s²) is about
    # σ(x / √(1 + π s² / 8)) (MacKay 1992). Here s² = τ² − the variance that is looked for.
    flat = float(np.exp(2 * found[0]))
    return min(flat * (1 + np.pi * tau**2 / 8) / (1 + np.pi * flat / 8), tau**2)
