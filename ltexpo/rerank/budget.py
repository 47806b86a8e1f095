"""Goals + a budget of clicks → the largest common part of the goals that the budget pays for."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.problem import Problem
from ltexpo.rerank.solve import Solution

Solver = Callable[[Problem, npt.NDArray[np.float64] | None], Solution]

_PRECISION = 1e-3


def within_budget(
    problem: Problem, full: Solution, exposure_before: npt.NDArray[np.float64], clicks_floor: float, solve: Solver
) -> tuple[float, Solution]:
    """The largest share θ of the way from `exposure_before` (G,) to the targets at which lists keep `clicks_floor`.

    Least cost is convex in θ (the optimum of a linear program is concave in its right-hand side), so bisection finds
    it; every step warm-starts from the last prices. `full` is the solution at θ = 1. Returns θ and its solution, whose
    targets are the reduced ones; θ = 0 always fits, since the plain lists meet it.
    """
    goals = problem.goals
    # A goal that the plain lists meet already asks for nothing on the way.
    gap = np.where(goals.kind * (goals.target - exposure_before) > 0, goals.target - exposure_before, 0.0)
    low, high = 0.0, 1.0
    best, start = None, full.prices
    while best is None or high - low > _PRECISION:
        middle = (low + high) / 2
        reduced = replace(problem, goals=replace(goals, target=goals.target - (1 - middle) * gap))
        solution = solve(reduced, start)
        start = solution.prices
        if solution.clicks_after >= clicks_floor:
            low, best = middle, solution
        else:
            high = middle
        if high < _PRECISION:
            reduced = replace(problem, goals=replace(goals, target=goals.target - gap))
            return 0.0, solve(reduced, np.zeros(len(goals)))
    return low, best
