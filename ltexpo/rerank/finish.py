"""A small `Problem` and Newton's prices → lists, prices and bound as close as they get in seconds.

Lists that are few next to the goals need more than near ties: swaps are annealed where plain mending leaves a gap, and
where that is not enough column generation gives the exact prices and a mix of lists to start from. Goals that are still
unmet on a few lists go to branch and bound, which finds lists that meet them or proves that there are none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.columns_lp import Mix, generate_columns
from ltexpo.rerank.exact import solve_integral
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Problem, empty_slots
from ltexpo.rerank.rounding import (
    Rounded,
    anneal_prices,
    better,
    measured,
    missing_exposure,
    round_prices,
)

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.signedinteger]

CLOSE, FAR = 1e-4, 1e-3
"""Gaps from which on lists are annealed, and columns are generated."""
MOST_SLOTS = 200_000
"""Above so many slots near ties are dense enough for single swaps."""
MOST_ROWS, MOST_CROSSINGS = 4_000, 500_000
"""Lists + goals, and lists × goals, up to which the master program of column generation is a matter of seconds."""
DEAREST = 1e4
"""Greatest price in ranges of scores: targets at the very edge of what can be reached need prices that high."""


RESTARTS, LONG_RESTARTS, PATIENCE = 4, 4, 10
"""Annealings of few lists: for a smaller gap, and slow ones for goals still unmet."""
FEW_SLOTS = 2_000
"""Up to which an annealing takes a tenth of a second."""
MOST_PLACES, NODES = 4_000, 300
"""Candidates × slots, and nodes, up to which branch and bound takes seconds, at worst half a minute."""


@dataclass(frozen=True)
class Ending:
    """Lists, prices (G,), upper bound, and whether it is proved that no lists meet all goals."""

    rounded: Rounded
    prices: Floats
    bound: float
    proved_infeasible: bool


def finish(
    problem: Problem, prices: Floats, bound: float, *, dearest: Floats, spread: float, conflict: bool,
    thorough: bool = True,
) -> Ending:
    """Better lists and prices, starting from the `prices` (G,) that gave `bound`.

    `dearest` (G,): clicks for one missing exposure at which a goal gives way. `spread`: the range of scores.
    `conflict`: whether these prices prove already that no lists meet all goals. `thorough` false stops after annealing.
    """
    rounded = round_prices(problem, prices)
    if not len(problem.goals) or problem.n_lists * problem.k > MOST_SLOTS:
        return Ending(rounded, prices, bound, conflict)

    def annealed(best: Rounded, at: Floats, slots: Slots, *, seed: int, patience: int = 1) -> Rounded:
        other = anneal_prices(
            problem, at, slots, dearest=dearest, spread=spread, seed=seed, patience=patience
        )  # fmt: skip
        return better(problem, best, other)

    if not _within(problem, rounded, bound, CLOSE):
        slots = empty_slots(problem)
        choose(problem.lists, problem.boosts(prices), slots)
        rounded = annealed(rounded, prices, slots, seed=0)
    n_lists, n_goals = problem.n_lists, len(problem.goals)
    large = n_lists + n_goals > MOST_ROWS or n_lists * n_goals > MOST_CROSSINGS
    if conflict or large or not thorough or _within(problem, rounded, bound, FAR):
        return Ending(rounded, prices, bound, conflict)
    mix = generate_columns(
        problem, np.full(len(prices), DEAREST * spread), prices, radius=0.01 * spread, tolerance=1e-6, most_rounds=60
    )
    worst = float(problem.scores.min()) * problem.total_exposure
    if mix.bound < worst - 1e-6 * abs(bound):
        return Ending(rounded, prices, bound, True)
    bound, main = min(bound, mix.bound), _main_lists(problem, mix)
    rounded = annealed(rounded, mix.prices, main, seed=0)
    for seed in range(1, RESTARTS if rounded.slots.size <= FEW_SLOTS else 1):
        if not _within(problem, rounded, bound, FAR):
            rounded = annealed(rounded, prices, rounded.slots, seed=seed)
    for seed in range(LONG_RESTARTS if rounded.slots.size <= 5 * FEW_SLOTS else 0):
        if missing_exposure(problem, rounded) > 0:
            rounded = annealed(rounded, mix.prices, main, seed=seed, patience=PATIENCE)
    if missing_exposure(problem, rounded) > 0 and len(problem.items) * problem.k <= MOST_PLACES:
        exact = solve_integral(problem, nodes=NODES, gap=0.02)
        if exact.proved_none:
            return Ending(rounded, prices, bound, True)
        if exact.slots is not None:
            rounded = better(problem, rounded, measured(problem, exact.slots.astype(rounded.slots.dtype)))
    return Ending(rounded, mix.prices, bound, False)


def _within(problem: Problem, rounded: Rounded, bound: float, gap: float) -> bool:
    return missing_exposure(problem, rounded) <= 0 and bound - rounded.clicks <= gap * abs(bound)


def _main_lists(problem: Problem, mix: Mix) -> Slots:
    """The column of the largest part in every list: (R, k)."""
    slots = empty_slots(problem)
    order = np.argsort(mix.part, kind="stable")  # the largest part comes last, and the last writes
    slots[mix.owner[order]] = mix.slots[order]
    return slots
