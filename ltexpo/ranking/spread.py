"""Scores of logged impressions + clicks → how far the truth of a single user and product lies from its score.

A calibrated score is the mean chance of all pairs that look alike to the model; each of them has a chance of its own.
One impression of a pair says nothing of how far apart these are, as a click comes at the mean rate either way. Two of
the same pair do: given the chance they are independent, so whoever clicked once clicks again more often the wider the
chances scatter. So the clicks on pairs that were shown more than once are fitted by maximum likelihood: the chance is
logit-normal with the score as its mean, and τ is the standard deviation of its log-odds (a logistic-normal mixture of
Bernoullis, as in Bock & Aitkin 1981). Whether a pair is shown again may hang on its first click, so the likelihood is
that of what came after it, given the first click.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit

from ltexpo.columns import Tier
from ltexpo.metrics.logit_normal import LARGEST_TAU, location, quadrature, std
from ltexpo.ranking.rolling import LabelDay

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MIN_CLICKS = 200
"""Fewer clicks than this on pairs that were shown again say too little: the standard error is then over a quarter."""
_PRIOR_LOG_TAU, _PRIOR_LOG_TAU_STD = 0.0, 0.7
_PRIOR_TIER_STD = 0.15
"""How far a tier's log τ may well be from that of all."""
_PRIOR_SHIFT_STD, _PRIOR_SLOPE_STD = 1.0, 0.3
_NUDGE, _LEAST = 1e-3, 1e-300
_NODES, _WEIGHTS = quadrature(21)


@dataclass(frozen=True)
class Repeats:
    """m impressions of n pairs of a user and a product that were each shown more than once."""

    score: Floats
    """(n,) from before the pair's first impression, by a model that did not learn from its user."""
    tier: npt.NDArray[np.object_]
    """(n,) of the product then."""
    user: npt.NDArray[Any]
    """(n,)"""
    pair: Codes
    """(m,) of 0 to n − 1, sorted; within a pair in the order of the log."""
    examined: Floats
    """(m,)"""
    clicked: npt.NDArray[np.bool_]
    """(m,)"""

    @classmethod
    def of(cls, days: Sequence[LabelDay], scores: Sequence[Floats]) -> "Repeats":
        """Of label days, oldest first, on which impressions were logged, and the scores (n,) of their candidates."""
        # What a user typed makes another pair of the same product, whose chance is another.
        names: dict[Any, int] = {}
        askers = []
        for day in days:
            typed = [""] * len(day.user_ids) if day.queries is None else day.queries
            both = zip(day.user_ids, typed, strict=True)
            askers.append(np.array([names.setdefault(name, len(names)) for name in both], dtype=np.int64))
        user_of = pd.factorize(np.array([name for name, _ in names], dtype=object))[0]
        size = max(len(day.tier) for day in days)
        key, score, tier, looks = [], [], [], []
        for day, asker, own in zip(days, askers, scores, strict=True):
            key.append(asker[day.candidates.user] * size + day.candidates.item)
            score.append(own)
            tier.append(day.tier[day.candidates.item])
            if day.looks is not None:
                looks.append((key[-1][day.looks.row], day.looks.examined, day.looks.clicked))
        # np.unique gives the first place of each key: that of the oldest day.
        known, first = np.unique(np.concatenate(key), return_index=True)
        shown = np.searchsorted(known, np.concatenate([one for one, _, _ in looks]))
        again = np.bincount(shown, minlength=len(known)) > 1
        order = np.argsort(shown, kind="stable")
        order = order[again[shown[order]]]
        pair = np.unique(shown[order], return_inverse=True)[1].astype(np.int64)
        return cls(
            np.concatenate(score)[first][again], np.concatenate(tier)[first][again], user_of[known[again] // size],
            pair, np.concatenate([one for _, one, _ in looks])[order],
            np.concatenate([one for _, _, one in looks])[order],
        )

    @property
    def clicks(self) -> int:
        """Clicks on all of them."""
        return int(self.clicked.sum())

    def where(self, kept: npt.NDArray[np.bool_]) -> "Repeats":
        """Those of the pairs marked in `kept` (n,)."""
        rows = kept[self.pair]
        number = np.cumsum(kept) - 1
        return Repeats(
            self.score[kept], self.tier[kept], self.user[kept], number[self.pair[rows]], self.examined[rows],
            self.clicked[rows],
        )


@dataclass(frozen=True)
class Spread:
    """The log-odds of the true chance scatter normally, with standard deviation τ, around what the score says."""

    tau: float
    error: float
    """Standard error of τ, users taken as independent."""
    tiers: Mapping[str, float]
    """Tier → its own τ, where it has enough clicks on pairs shown again; the others have that of all."""
    pairs: int
    clicks: int
    """Pairs shown again, and the clicks on them, that it was learnt from."""
    excess: Mapping[str, float] = field(default_factory=dict)
    """Tier → what its products add to τ² for being less known than those shown again (see `product_spread`)."""

    def tau_of(self, tier: npt.NDArray[np.object_]) -> Floats:
        """τ (n,) of products of `tier` (n,)."""
        tau = np.full(len(tier), self.tau)
        for name in Tier.All:
            own = self.tiers.get(name, self.tau)
            tau[tier == name] = min(np.sqrt(own**2 + self.excess.get(name, 0.0)), LARGEST_TAU)
        return tau

    def std(self, score: npt.ArrayLike, tier: npt.NDArray[np.object_]) -> Floats:
        """Standard deviation (n,) of the true chance around each `score` (n,) of products of `tier` (n,).

        τ is itself known to its error only, log τ about normally, so that what is told is √E τ² = τ exp((error / τ)²):
        intervals that took τ as known would hold too seldom.
        """
        return std(score, self.tau_of(tier) * np.exp(np.square(self.error / self.tau)))

    def record(self) -> dict[str, Any]:
        """Plain values, JSON-ready."""
        return {**vars(self), "tiers": dict(self.tiers), "excess": dict(self.excess)}


def fit_spread(repeats: Repeats) -> Spread | None:
    """τ of all, and of each tier that has enough clicks, drawn towards that of all; None with too few clicks.

    The mean of log-odds may be off by a shift and a slope on these pairs (they are not shown at random, and scores may
    be calibrated for what was not shown): both are fitted beside τ, or the difference would pass for spread.

    Clicks on the same product must be independent given the chance. Where users never click a product again because
    they have it, τ comes out too small.
    """
    if repeats.clicks < MIN_CLICKS:
        return None
    found, error = _fit(repeats, _PRIOR_LOG_TAU, _PRIOR_LOG_TAU_STD)
    spread = Spread(found, error, {}, len(repeats.score), repeats.clicks)
    tiers = {}
    for name in Tier.All:
        own = repeats.where(repeats.tier == name)
        if own.clicks >= MIN_CLICKS:
            tiers[name] = _fit(own, float(np.log(found)), _PRIOR_TIER_STD)[0]
    return replace(spread, tiers=tiers)


def _fit(repeats: Repeats, prior: float, prior_std: float) -> tuple[float, float]:
    """τ, most probable a posteriori, and its standard error: a sandwich over users."""
    starts = np.r_[0, np.flatnonzero(np.diff(repeats.pair)) + 1]
    mid, width = np.array([prior, 0.0, 1.0]), np.array([prior_std, _PRIOR_SHIFT_STD, _PRIOR_SLOPE_STD])
    log_odds, missed = logit(repeats.score), 1.0 - repeats.clicked
    centre = float(log_odds.mean())

    def each(place: Floats) -> Floats:
        """(n,) log-likelihood of every pair: of what came after its first impression, given that."""
        tau, shift, slope = np.exp(place[0]), place[1], place[2]
        mean = expit(centre + shift + slope * (log_odds - centre))
        mu = location(mean, tau)
        chance = repeats.examined[:, None] * expit(mu[:, None] + tau * _NODES)[repeats.pair]
        seen = np.multiply.reduceat(np.abs(missed[:, None] - chance), starts) @ _WEIGHTS
        first = np.abs(missed[starts] - repeats.examined[starts] * mean)
        return np.asarray(np.log(np.maximum(seen, _LEAST) / np.maximum(first, _LEAST)))

    def loss(place: Floats) -> float:
        return float(-each(place).sum() + (np.square((place - mid) / width)).sum() / 2)

    bounds = [(np.log(0.02), np.log(LARGEST_TAU)), (-5.0, 5.0), (0.05, 3.0)]
    place = minimize(loss, mid, method="L-BFGS-B", bounds=bounds).x
    steps = _NUDGE * np.eye(3)
    gradient = np.stack([(each(place + step) - each(place - step)) / (2 * _NUDGE) for step in steps], axis=1)
    users = np.unique(repeats.user, return_inverse=True)[1]
    of_user = np.stack([np.bincount(users, weights=column) for column in gradient.T], axis=1)
    # The mean outer product of the pairs' gradients stands for the curvature (Berndt et al. 1974).
    bend = np.linalg.inv(gradient.T @ gradient + np.diag(1 / np.square(width)))
    variance = bend @ (of_user.T @ of_user + np.diag(1 / np.square(width))) @ bend
    tau = float(np.exp(place[0]))
    return tau, tau * float(np.sqrt(variance[0, 0]))
