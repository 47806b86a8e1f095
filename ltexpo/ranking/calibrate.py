"""Blend scores + what happened → P(click | examined), rising with the score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression

_BINS = 100
_ABOVE = 0.1


@dataclass(frozen=True)
class Calibration:
    """A strictly increasing map from scores ≥ 0 to probabilities in (0, 1)."""

    score: npt.NDArray[np.float64]
    """Centres of the isotonic blocks, increasing."""
    probability: npt.NDArray[np.float64]
    """P(click | examined) at each centre, increasing, in (0, 1)."""
    means: str
    """What a probability stands for."""
    pairs: int
    """User–item pairs it was fitted on."""
    events: int
    """Clicks or interactions among them."""

    def __call__(self, scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Probabilities of `scores` (n,), of which none is negative.

        Between block centres it is linear, so that ranking within an isotonic plateau is kept; below the first centre
        it falls linearly to half the first probability, above the last it rises by less than a tenth.
        """
        scores = np.asarray(scores, dtype=np.float64)
        # A score of 0 needs a place of its own below the first centre.
        zero = min(0.0, self.score[0] - 1.0) if self.score[0] <= 0 else 0.0
        inside = np.interp(scores, np.r_[zero, self.score], np.r_[self.probability[0] / 2, self.probability])
        top, last = self.probability[-1], self.score[-1]
        beyond = np.maximum(scores - last, 0.0) / (abs(last) + 1.0)
        return np.asarray(inside + _ABOVE * min(top, 1 - top) * (1 - np.exp(-beyond)))


def calibration_record(calibration: Calibration) -> dict[str, Any]:
    """Plain values, JSON-ready."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(calibration).items()
    }


def calibration_from(record: Mapping[str, Any]) -> Calibration:
    """The calibration that `calibration_record` wrote down."""
    return Calibration(
        np.array(record["score"]), np.array(record["probability"]), record["means"], record["pairs"], record["events"]
    )


def fit_calibration(
    scores: npt.NDArray[Any],
    outcome: npt.NDArray[Any],
    *,
    attention: npt.NDArray[Any] | None = None,
    counts: npt.NDArray[Any] | None = None,
    by_events: bool = False,
    means: str,
) -> Calibration:
    """Isotonic regression of outcome / attention on score with weights attention.

    scores, outcome (0 or 1), attention: (n,); counts (n,) is how many pairs each stands for, none: one. Under the
    position-based model P(click) = attention · P(click | examined) (Richardson et al. 2007) this is the weighted
    least-squares estimate of the second factor; pairs that were not part of a list have attention 1. Pairs are first
    put into at most 100 bins of equal attention, each smoothed by one examination at the overall rate, which keeps
    probabilities off 0 and 1. `by_events`: half of the bins' edges follow events instead, for pools in which few pairs
    at the top hold most of them.
    """
    scores = np.asarray(scores, dtype=np.float64)
    each = np.ones(len(scores)) if counts is None else np.asarray(counts, dtype=np.float64)
    clicks = each * np.asarray(outcome, dtype=np.float64)
    weight = each if attention is None else each * np.asarray(attention, dtype=np.float64)
    overall = (clicks.sum() + 0.5) / (weight.sum() + 1.0)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(weight[order])
    place = (mass - weight[order] / 2) / mass[-1]
    if by_events and clicks.sum() > 0:
        place = (place + (np.cumsum(clicks[order]) - clicks[order] / 2) / clicks.sum()) / 2
    # Equal scores share a bin, or one score would have two probabilities.
    level = np.floor(_BINS * place * (1 - 1e-12)).astype(np.int64)
    sorted_scores = scores[order]
    first_of_score = np.searchsorted(sorted_scores, sorted_scores, side="left")
    bins = np.unique(level[first_of_score], return_inverse=True)[1]
    total = np.bincount(bins, weights=weight[order])
    rate = (np.bincount(bins, weights=clicks[order]) + overall) / (total + 1.0)
    centre = np.bincount(bins, weights=weight[order] * sorted_scores) / total
    fitted = np.clip(isotonic_regression(rate, sample_weight=total + 1.0), 1e-9, 1 - 1e-6)
    # Blocks that differ by rounding only are one: between them there would be no room to keep an order.
    blocks = np.unique(np.round(np.log(fitted), 6), return_inverse=True)[1]
    block_mass = np.bincount(blocks, weights=total)
    return Calibration(
        np.bincount(blocks, weights=total * centre) / block_mass,
        np.bincount(blocks, weights=total * fitted) / block_mass,
        means,
        len(scores),
        int(np.sum(outcome)),
    )
