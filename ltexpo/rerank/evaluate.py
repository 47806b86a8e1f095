"""Prices → dual value, clicks and goal exposure of all lists or of a sample: the function that the solver minimises."""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ltexpo.rerank.kernels import CHUNK, pass_over
from ltexpo.rerank.problem import Problem

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """The dual function at some prices.

    value: g(λ) = Σ_r w_r max_π Σ_j a_j (s + b)_π(j) - λ·T, an upper bound of all feasible clicks for any λ ≥ 0 of
    "at least" and ≤ 0 of "at most" goals; with welfare + sup_E U(E) - λ·E, a bound of clicks + welfare. slack (G,) =
    exposure - target, its gradient (for welfare the target is where the sup is reached).
    """

    prices: Floats
    value: float
    clicks: float
    slack: Floats
    item_exposure: Floats


class Evaluator:
    """One pass a call over the lists `rows` (None = all), scaled to the exposure of all lists."""

    def __init__(self, problem: Problem, rows: npt.NDArray[np.int64] | None = None) -> None:
        self.problem = problem
        self.rows = np.empty(0, np.int64) if rows is None else rows
        self.n_rows = problem.n_lists if rows is None else len(rows)
        given = problem.total_exposure if rows is None else float(problem.list_exposure[rows].sum())
        self.factor = problem.total_exposure / given if given > 0 else 1.0
        # the greatest power of two at which the sum of all exposure still fits an int64 with room to spare
        self._scale = 2.0 ** np.floor(61.0 - np.log2(max(given, 1.0)))
        self._scale = min(self._scale, 2.0**40)
        self.passes = 0.0

    def __call__(self, prices: Floats) -> Point:
        """The dual at these prices."""
        problem = self.problem
        exposure = np.zeros((numba.get_num_threads(), problem.n_items), np.int64)
        sums = np.zeros(((self.n_rows + CHUNK - 1) // CHUNK, 2))
        pass_over(problem.lists, self.rows, problem.boosts(prices), self._scale, exposure, sums)
        self.passes += self.n_rows / max(problem.n_lists, 1)
        value, clicks = sums.sum(axis=0) * self.factor
        shown = exposure.sum(axis=0) * (self.factor / self._scale)
        slack = problem.membership.T @ shown - problem.goals.target
        value -= prices @ problem.goals.target
        if problem.welfare is not None:
            value += problem.welfare.conjugate(prices)
            slack -= problem.welfare.demand(prices)
        return Point(prices, float(value), float(clicks), slack, shown)
