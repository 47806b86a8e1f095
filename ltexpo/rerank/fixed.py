"""Bounds of sums → the powers of two at which their terms become int64, so that a sum is the same in any order."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BITS = 61.0
"""A sum within its bound leaves two bits of an int64 free."""


def scale_of(bound: float) -> float:
    """Greatest power of two at which a sum of at most `bound` in size fits an int64 with room to spare."""
    return float(2.0 ** min(np.floor(BITS - np.log2(bound)), 900.0)) if bound > 0 else 1.0


def exposure_scale(total: float) -> float:
    """Scale of exposures that add up to `total`."""
    return min(scale_of(max(total, 1.0)), 2.0**40)


def sum_scale(n: int, most: float) -> float:
    """Scale of a sum of `n` terms from 0 to `most`."""
    return scale_of(n * most)


def fixed_sum(terms: Floats, scale: float) -> int:
    """Σ round(term × scale)."""
    return int(np.rint(terms * scale).astype(np.int64).sum())
