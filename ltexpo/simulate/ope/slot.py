"""Weights, rewards and predicted rewards of slots → what each request adds to a policy's value, slot by slot.

A slot's reward may depend on its own item and rank only. All arrays are (R, K), 0 where there is no slot; every result
is (R,) with the estimate as its mean, linearised where the estimate is a ratio, so that its spread over clusters is the
estimate's standard error.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def ips(weights: Floats, rewards: Floats) -> Floats:
    """Inverse propensity scores (Horvitz & Thompson 1952); summed over slots it is IIPS (Li et al., KDD 2018)."""
    total: Floats = (weights * rewards).sum(axis=1)
    return total


def snips(weights: Floats, rewards: Floats, shown: npt.NDArray[np.bool_]) -> Floats:
    """Self-normalised (Swaminathan & Joachims, NeurIPS 2015), rank by rank; NaN where a rank's weights are all 0.

    Rank k gives n_k / R · Σ w r / Σ w with its influence (delta method).
    """
    filled = shown.any(axis=0)
    total = weights.sum(axis=0)
    scale = np.divide(shown.sum(axis=0), total, out=np.full(len(total), np.nan), where=total > 0)
    mean = (weights * rewards).sum(axis=0) * scale / len(shown)
    moved = scale * weights * (rewards - mean * len(shown) / shown.sum(axis=0).clip(min=1))
    linear: Floats = (mean + moved)[:, filled].sum(axis=1)
    return linear


def direct(expected: Floats) -> Floats:
    """The direct method: predicted rewards of what the policy would show, and nothing else."""
    total: Floats = expected.sum(axis=1)
    return total


def doubly_robust(weights: Floats, rewards: Floats, predicted: Floats, expected: Floats) -> Floats:
    """Predictions corrected by weighted errors (Dudík, Langford & Li, ICML 2011): right when either of them is."""
    total: Floats = (expected + weights * (rewards - predicted)).sum(axis=1)
    return total


def switched(weights: Floats, limit: float) -> Floats:
    """Weights above `limit` become 0, so that the prediction stands alone there (Wang, Agarwal & Dudík, ICML 2017)."""
    return np.where(weights <= limit, weights, 0.0)


def shrunk(weights: Floats, strength: float) -> Floats:
    """Optimistic shrinkage λ w / (w² + λ) (Su et al., ICML 2020); λ = ∞ leaves them as they are, 0 takes them away."""
    if np.isinf(strength):
        return weights
    less: Floats = strength * weights / (np.square(weights) + strength)
    return less


def choose(candidates: list[Floats], half_width: Callable[[Floats], float]) -> int:
    """SLOPE (Su, Srinath & Krishnamurthy, ICML 2020): the index of the candidate to trust.

    `candidates` (R,) each, come with growing bias and falling variance. One is taken as long as it agrees with all
    before it: |θ_i − θ_j| ≤ CNF_i + (√6 − 1) CNF_j, CNF being `half_width`; the last such one is chosen.
    """
    middles = [float(candidate.mean()) for candidate in candidates]
    widths = [half_width(candidate) for candidate in candidates]
    widths = list(np.minimum.accumulate(widths))
    chosen = 0
    for i in range(1, len(candidates)):
        if any(abs(middles[i] - middles[j]) > widths[i] + (np.sqrt(6) - 1) * widths[j] for j in range(i)):
            break
        chosen = i
    return chosen
