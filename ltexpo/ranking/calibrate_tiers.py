"""Blend scores + tiers + what happened → P(click | examined), for head, tail and new products apart.

At equal blend score a tail product is clicked less than a head product, and its score says less: it rests on fewer
interactions, so that the best of many tail products owe more of their score to chance. One map for all would promise
of the tail what only the head holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from ltexpo.columns import Tier
from ltexpo.ranking.calibrate import Calibration, calibration_from, calibration_record, fit_calibration

Floats = npt.NDArray[np.float64]

MIN_EVENTS = 50
"""Fewer clicks or interactions than this cannot tell a probability."""
_OWN_CURVE = 500
"""From this many clicks a tail or new tier has an isotonic map of its own; below, steps would follow single clicks."""
_PRIOR_CLICKS = 10.0
"""The prior odds of a tier weigh like this many expected clicks."""
_PRIOR_SLOPE, _PRIOR_SLOPE_STD = 0.5, 0.25
"""Without clicks of its own, a tier's log-odds rise half as fast with the score as those of the tier before it."""
_OWN_SLOPE = 1.0
"""The same where scores already know the tiers: they are taken as they are until clicks say otherwise."""
_LEAST_SLOPE = 0.05
_CAP = 10.0
_SCORES = "scores"
_EDGE = 1e-9


class Map(Protocol):
    """Strictly increasing: scores (n,) → probabilities (n,)."""

    def __call__(self, scores: npt.NDArray[Any]) -> Floats:
        """Probabilities of `scores`."""


def as_they_are(scores: npt.NDArray[Any]) -> Floats:
    """Scores (n,) that are probabilities themselves."""
    return np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)


@dataclass(frozen=True)
class Shrunken:
    """Log-odds = shift + slope · log-odds of another map: another tier's curve, or the scores as they are."""

    of: Map
    shift: float
    slope: float

    def __call__(self, scores: npt.NDArray[Any]) -> Floats:
        """Probabilities of `scores` (n,)."""
        return np.asarray(expit(self.shift + self.slope * logit(self.of(scores))))


@dataclass(frozen=True)
class TierCalibration:
    """A strictly increasing map from scores to probabilities for each tier: within a tier the order stays."""

    head: Calibration
    """The head's map, or everybody's where the head has too few clicks."""
    tail: Map
    new: Map
    means: str
    """What a probability stands for."""
    events: Mapping[str, int]
    """Tier → clicks or interactions that its map was fitted on."""

    def __call__(self, scores: npt.NDArray[Any], tier: npt.NDArray[Any]) -> Floats:
        """Probabilities of `scores` (n,) of products of `tier` (n,), values of `Tier`."""
        scores = np.asarray(scores, dtype=np.float64)
        probability = self.head(scores)
        for name, curve in ((Tier.Tail, self.tail), (Tier.New, self.new)):
            here = np.asarray(tier) == name
            if here.any():
                probability[here] = curve(scores[here])
        return probability

    def report(self) -> dict[str, Any]:
        """Plain values, JSON-ready: the head's curve, and every tier's probability at the head's scores."""
        return {
            "means": self.means, "pairs": self.head.pairs, "events": sum(self.events.values()),
            "score": self.head.score.tolist(), "probability": self.head.probability.tolist(),
            "tiers": {
                name: {"events": self.events.get(name, 0), "probability": curve(self.head.score).tolist()}
                for name, curve in ((Tier.Head, self.head), (Tier.Tail, self.tail), (Tier.New, self.new))
            },
        }


def tiers_record(calibration: TierCalibration) -> dict[str, Any]:
    """Plain values, JSON-ready."""
    def curve(one: Map, before: Map, name: str) -> Any:
        if isinstance(one, Shrunken):
            return {"of": _SCORES if one.of is as_they_are else name, "shift": one.shift, "slope": one.slope}
        return name if one is before else calibration_record(cast(Calibration, one))

    head, tail = calibration.head, calibration.tail
    return {
        "head": calibration_record(head), "tail": curve(tail, head, "head"),
        "new": curve(calibration.new, tail, "tail"), "means": calibration.means, "events": dict(calibration.events),
    }


def tiers_from(record: Mapping[str, Any]) -> TierCalibration:
    """The calibration that `tiers_record` wrote down."""
    def curve(given: Any, before: Map) -> Map:
        if given in ("head", "tail"):
            return before
        if "of" not in given:
            return calibration_from(given)
        return Shrunken(as_they_are if given["of"] == _SCORES else before, given["shift"], given["slope"])

    head = calibration_from(record["head"])
    tail = curve(record["tail"], head)
    return TierCalibration(head, tail, curve(record["new"], tail), record["means"], record["events"])


def same_for_all(calibration: Calibration) -> TierCalibration:
    """One map for every tier."""
    return TierCalibration(calibration, calibration, calibration, calibration.means, {})


def fit_tiers(
    scores: npt.NDArray[Any],
    outcome: npt.NDArray[Any],
    tier: npt.NDArray[Any],
    *,
    attention: npt.NDArray[Any] | None = None,
    propensity: npt.NDArray[Any] | None = None,
    prior: Mapping[str, float] | None = None,
    know_tiers: bool = False,
    means: str,
) -> TierCalibration | None:
    """A map for each tier; None with fewer than 50 clicks in all, one map for all with fewer than 50 in the head.

    scores, outcome (0 or 1), tier (values of `Tier`), attention, propensity: (n,). Head: isotonic (`fit_calibration`).
    Tail: isotonic from 500 clicks on; with fewer the head's curve, its log-odds shifted and scaled by penalised
    likelihood (after Platt 1999): the slope has a normal prior (mean 0.5, standard deviation 0.25), the ratio of the
    tier's clicks to what the other curve expects is worth 10 expected clicks at `prior` (tier → ratio, default 1).
    New: the same, from the tail's curve.

    With `know_tiers` the scores are probabilities by a model that was told each product's tier and learnt from each
    what it could. Another tier's curve would take that back: with fewer than 500 clicks a tier then keeps its own
    scores, their log-odds shifted and scaled about a slope of 1.

    With `propensity`, pairs are weighted by its inverse (Horvitz & Thompson 1952): what was rarely shown stands for the
    many like it that were not, as candidates are not drawn as the log was. Weights are capped at 10 times that of the
    median propensity.
    """
    outcome, tier = np.asarray(outcome, dtype=bool), np.asarray(tier)
    scores = np.asarray(scores, dtype=np.float64)
    if outcome.sum() < MIN_EVENTS:
        return None
    attention = np.ones(len(scores)) if attention is None else np.asarray(attention, dtype=np.float64)
    counts = inverse_propensity(propensity) if propensity is not None else np.ones(len(scores))
    events = {name: int(outcome[tier == name].sum()) for name in Tier.All}

    def isotonic(rows: npt.NDArray[np.bool_]) -> Calibration:
        # Weights of mean 1 leave the smoothing of `fit_calibration` its meaning.
        each = counts[rows] / counts[rows].mean()
        return fit_calibration(scores[rows], outcome[rows], attention=attention[rows], counts=each, means=means)

    if events[Tier.Head] < MIN_EVENTS:
        return same_for_all(isotonic(np.ones(len(scores), dtype=bool)))

    def curve(name: str, before: Map) -> Map:
        rows = tier == name
        if events[name] >= _OWN_CURVE:
            return isotonic(rows)
        each = counts[rows] / counts[rows].mean() if rows.any() else counts[rows]
        ratio = 1.0 if prior is None else prior.get(name, 1.0)
        typical = scores[rows] if rows.any() else scores
        start, slope = (as_they_are, _OWN_SLOPE) if know_tiers else (before, _PRIOR_SLOPE)
        return _shrunken(start, slope, typical, scores[rows], each * outcome[rows], each * attention[rows], ratio)

    head = isotonic(tier == Tier.Head)
    tail = curve(Tier.Tail, head)
    return TierCalibration(head, tail, curve(Tier.New, tail), means, events)


def inverse_propensity(propensity: npt.NDArray[Any]) -> Floats:
    """Weights (n,) by which rows of a log stand for all that could have been shown, capped at that of a tenth of the
    median propensity."""
    propensity = np.asarray(propensity, dtype=np.float64)
    return np.asarray(1 / np.maximum(propensity, np.median(propensity) / _CAP))


def _shrunken(
    before: Map, usual_slope: float, typical: Floats, scores: Floats, clicks: Floats, examined: Floats, ratio: float
) -> Shrunken:
    """Maximum a posteriori of shift and slope; clicks are Poisson with mean examined · probability."""
    middle = float(logit(before(typical)).mean())
    away = logit(before(scores)) - middle
    usual = expit(middle)

    def loss(place: Floats) -> float:
        level, slope = middle + place[0], place[1]
        probability = expit(level + slope * away)
        fit = (examined * probability).sum() - (clicks * np.log(probability)).sum()
        # As if 10 clicks had been expected at the middle, and `ratio` times as many had come.
        shrink = _PRIOR_CLICKS * (expit(level) / usual - ratio * np.log(expit(level)))
        return float(fit + shrink + (slope - usual_slope) ** 2 / (2 * _PRIOR_SLOPE_STD**2))

    found = minimize(loss, [0.0, usual_slope], method="L-BFGS-B", bounds=[(-20.0, 20.0), (_LEAST_SLOPE, 5.0)])
    shift, slope = (float(value) for value in found.x)
    return Shrunken(before, middle + shift - slope * middle, slope)
