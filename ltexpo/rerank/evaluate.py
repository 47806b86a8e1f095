"""Prices → dual value, clicks and goal exposure of all lists or of a sample: the function that the solver minimises."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.passes import list_exposure, sum_best, total
from ltexpo.rerank.selection import Lists
from ltexpo.rerank.task import Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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

    def __init__(self, problem: Task, rows: Ints | None = None) -> None:
        self.problem = problem
        self.part = None if rows is None else problem.picked(rows)
        self.n_rows = problem.n_lists if rows is None else len(rows)
        self.given = problem.total_exposure if self.part is None else total(list_exposure(*self.part))
        self.factor = problem.total_exposure / self.given if self.given > 0 else 1.0
        self.passes = 0.0

    def __call__(self, prices: Floats) -> Point:
        """The dual at these prices."""
        problem, boost = self.problem, self.problem.boosts(prices)
        scales = problem.scales(self.given, boost)
        sums = problem.pass_at(boost, scales) if self.part is None else sum_best(*self.part, boost, scales)
        self.passes += self.n_rows / max(problem.n_lists, 1)
        value, clicks = sums.value / scales.value * self.factor, sums.clicks / scales.clicks * self.factor
        shown = np.asarray(sums.exposure * (self.factor / scales.exposure), np.float64)
        slack = problem.membership.T @ shown - problem.goals.target
        value -= float(prices @ problem.goals.target)
        if problem.welfare is not None:
            value += problem.welfare.conjugate(prices)
            slack -= problem.welfare.demand(prices)
        return Point(prices, value, clicks, slack, shown)

    def some(self, most: int) -> tuple[Lists, Ints]:
        """Up to `most` of the lists, spread over all of them, in memory."""
        rows = spread_rows(self.n_rows, most)
        return self.problem.picked(rows) if self.part is None else (self.part[0], self.part[1][rows])


def spread_rows(n: int, most: int) -> Ints:
    """n lists, or `most` of them."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
