"""p-values of several tests → p-values adjusted for their number."""

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

from ltexpo.errors import TableError

Array = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike) -> Array:
    """Adjusted p-values (n,) that bound the chance of any false finding (Holm 1979); NaN stays NaN, uncounted."""
    p, known = _known(p_values)
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p[known], kind="stable")
    steps = np.maximum.accumulate(p[known][order] * (known.sum() - np.arange(known.sum())))
    adjusted[np.flatnonzero(known)[order]] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p_values: npt.ArrayLike) -> Array:
    """Adjusted p-values (n,) that bound the share of false findings among the findings; NaN stays NaN, uncounted.

    Benjamini & Hochberg (1995): holds for independent tests and for positively dependent ones.
    """
    p, known = _known(p_values)
    adjusted = np.full(len(p), np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(p[known], method="bh")
    return adjusted


def _known(p_values: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.bool_]]:
    p = np.asarray(p_values, dtype=np.float64)
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise TableError(f"p-values lie in 0 to 1; found {p[known].min():g} to {p[known].max():g}.")
    return p, known
