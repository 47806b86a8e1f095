"""Near ties of the boosted lists → how exposure answers to prices: the smoothed Hessian of the dual.

Two neighbours u above v in a list trade a_p - a_{p+1} of exposure when their boosted scores cross. With a triangular
kernel of width h over the margins, every such pair adds weight (1 - margin / h) / h to the Laplacian L of a graph of
items, and the Hessian over goals is A.T L A, plus a diagonal for welfare. It is never formed: the solver only
multiplies by it.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from ltexpo.rerank.evaluate import Evaluator
from ltexpo.rerank.kernels import near_ties

Floats = npt.NDArray[np.float64]

MOST_LISTS = 100_000


@njit(cache=True, nogil=True)
def _laplacian(upper, lower, weight, y, out):
    out[:] = 0.0
    for t in range(upper.size):
        flow = weight[t] * (y[upper[t]] - y[lower[t]])
        out[upper[t]] += flow
        out[lower[t]] -= flow


class Curvature:
    """Hessian of the dual at some prices, measured on at most `MOST_LISTS` of the lists."""

    def __init__(self, evaluator: Evaluator, prices: Floats, quantile: float) -> None:
        problem = evaluator.problem
        lists, rows = evaluator.some(MOST_LISTS)
        shape = (len(rows), problem.k)
        upper, lower = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        amount, margin = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        boost = problem.boosts(prices)
        near_ties(lists, rows, boost, upper, lower, amount, margin)
        self.membership = problem.membership
        # pairs of equal boost membership (no goal on either) move with no price
        moved = self.membership.indptr[1:] > self.membership.indptr[:-1]
        live = (amount > 0) & (moved[upper] | moved[lower])
        margins = margin[live]
        self.width = max(float(np.quantile(margins, quantile)), 1e-9) if len(margins) else 1.0
        near = live & (margin < self.width)
        self.upper, self.lower = upper[near], lower[near]
        scale = evaluator.factor * evaluator.n_rows / max(len(rows), 1)
        self.weight = (amount[near] * (1.0 - margin[near] / self.width) / self.width).astype(np.float64) * scale
        of_items = np.bincount(self.upper, self.weight, problem.n_items)
        of_items += np.bincount(self.lower, self.weight, problem.n_items)
        self.own = 0.0 if problem.welfare is None else problem.welfare.bend(prices)
        self.diagonal: Floats = self.membership.T @ of_items + self.own

    def times(self, x: Floats) -> Floats:
        """H @ x for goals x (G,)."""
        y = self.membership @ x
        out = np.empty_like(y)
        _laplacian(self.upper, self.lower, self.weight, y, out)
        return np.asarray(self.membership.T @ out + self.own * x)
