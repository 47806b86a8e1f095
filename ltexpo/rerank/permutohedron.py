"""Values + falling weights → the nearest point of the permutohedron: the hull of all orders of the weights."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

Floats = npt.NDArray[np.float64]


def falling_weights(n: int, aversion: float) -> Floats:
    """(n,) weights of the poorest to the richest, of mean 1: w_j = n [((n-j+1)/n)^δ - ((n-j)/n)^δ], δ = `aversion`.

    The single-parameter generalised Gini (Donaldson & Weymark, JET 1980): δ = 1 weighs all alike, δ = 2 gives the
    weights of the Gini index, a large δ counts the poorest alone.
    """
    left = np.arange(n, -1, -1) / max(n, 1)
    return np.asarray(-n * np.diff(left**aversion), dtype=np.float64)


def on_permutohedron(z: Floats, falling: Floats) -> Floats:
    """Nearest point to z (n,) in the hull of all orders of `falling` (n,): z - an isotonic fit.

    Pool adjacent violators, O(n log n) with the sort (Negrinho & Martins 2014; Blondel et al., ICML 2020).
    """
    order = np.argsort(-z, kind="stable")
    fitted = isotonic_regression(z[order] - falling, increasing=False).x if len(z) else z
    point = np.empty_like(z)
    point[order] = z[order] - fitted
    return point
