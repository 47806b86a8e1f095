"""A small `Problem` and Newton's prices → lists, prices and bound as close as they get in seconds.

Lists that are few next to the goals need more than near ties: swaps are annealed where plain mending leaves a gap, and
where that is not enough column generation gives the exact prices and a mix of lists to start from.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.columns_lp import Mix, generate_columns
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.rounding import Rounded, anneal_prices, better, empty_slots, missing_exposure, round_prices

Floats = npt.NDArray[np.float64]

CLOSE, FAR = 1e-4, 1e-3
"""Gaps from which on lists are annealed, and columns are generated."""
MOST_SLOTS = 200_000
"""Above so many slots near ties are dense enough for single swaps."""
MOST_ROWS = 4_000
"""Lists and goals together, up to which the master program of column generation is a matter of seconds."""
DEAREST = 1e4
"""Greatest price in ranges of scores: targets at the very edge of what can be reached need prices that high."""


@dataclass(frozen=True)
class Ending:
    """Lists, prices (G,), upper bound, and whether the prices prove that no lists meet all goals."""

    rounded: Rounded
    prices: Floats
    bound: float
    proved_infeasible: bool


def finish(problem: Problem, prices: Floats, bound: float, *, spread: float) -> Ending:
    """Better lists and prices, starting from the `prices` (G,) that gave `bound`; `spread` is the range of scores."""
    rounded = round_prices(problem, prices)
    if not len(problem.goals) or problem.n_lists * problem.k > MOST_SLOTS:
        return Ending(rounded, prices, bound, False)
    if not _within(problem, rounded, bound, CLOSE):
        slots = empty_slots(problem)
        choose(problem.lists, problem.boosts(prices), slots)
        rounded = better(problem, rounded, anneal_prices(problem, prices, slots, spread=spread))
    if _within(problem, rounded, bound, FAR) or problem.n_lists + len(problem.goals) > MOST_ROWS:
        return Ending(rounded, prices, bound, False)
    mix = generate_columns(
        problem, np.full(len(prices), DEAREST * spread), prices, radius=0.01 * spread, tolerance=1e-6, most_rounds=60
    )
    worst = float(problem.scores.min()) * problem.total_exposure
    if mix.bound < worst - 1e-6 * abs(bound):
        return Ending(rounded, prices, bound, True)
    rounded = better(problem, rounded, anneal_prices(problem, mix.prices, _main_lists(problem, mix), spread=spread))
    return Ending(rounded, mix.prices, min(bound, mix.bound), False)


def _within(problem: Problem, rounded: Rounded, bound: float, gap: float) -> bool:
    return missing_exposure(problem, rounded) <= 0 and bound - rounded.clicks <= gap * abs(bound)


def _main_lists(problem: Problem, mix: Mix) -> npt.NDArray[np.signedinteger]:
    """The column of the largest part in every list: (R, k)."""
    slots = empty_slots(problem)
    order = np.argsort(mix.part, kind="stable")  # the largest part comes last, and the last writes
    slots[mix.owner[order]] = mix.slots[order]
    return slots
