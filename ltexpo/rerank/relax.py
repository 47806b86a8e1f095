"""Goals that cannot be met together → a smallest set of them that must give way, and by how much.

The elastic answer spreads what is missing over as many goals as it likes. Here goals are made hard again one by one
(deletion filter: Chinneck & Dravnieks 1991, on the goals that are short): what is left is irreducible, no goal of it
can be kept while the others of it give way. Single goals that would do alone are tried first.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.goals import Goals
from ltexpo.rerank.solve import Solution, solve
from ltexpo.rerank.task import Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_GOALS = 50
"""Short goals above which the elastic answer stands as it is: each costs a solution of its own."""
MOST_SINGLE = 12
"""Dearest goals that are tried as the only one to give way."""
MOST_LISTS = 1_000_000
"""Lists of all trials together: on many lists fewer trials are made, as each is a solution of its own."""
LEAST_TRIALS = 3


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Goals (n,) that give way, the exposure that each lacks then (n,), whether no goal of the set can be kept."""

    goals: Ints
    missing: Floats
    irreducible: bool


def smallest_relaxation(problem: Task, solution: Solution, *, rng: int | np.random.Generator = 0) -> Relaxation:
    """A smallest set of goals to relax, given the elastic `solution` that misses some of them.

    Every other goal is met by lists that were found. A goal stays in the set when no lists were found that meet it
    while the others of the set give way. Above 50 short goals the elastic answer is returned, and on very many lists
    what a few trials found: neither is called irreducible.
    """
    short = np.flatnonzero(~solution.met)
    if not 0 < len(short) <= MOST_GOALS:
        return Relaxation(short, solution.shortfall[short], len(short) == 0)
    goals, kind = problem.goals, problem.goals.kind
    beyond = kind * (goals.target - solution.attainable) > 1e-9 * np.maximum(1.0, np.abs(solution.attainable))

    trials = max(LEAST_TRIALS, MOST_LISTS // max(problem.n_lists, 1))
    made = 0

    def without(soft: Ints) -> bool:
        """Whether lists were found that meet all goals but these; not looked for when all trials are made."""
        nonlocal made
        made += 1
        if made > trials:
            return False
        rest = _kept(problem, soft)
        return solve(rest, start=np.delete(solution.prices, soft), thorough=False, rng=rng).feasible

    chosen = short
    if len(short) > 1 and int(beyond.sum()) <= 1:
        dearest = np.argsort(-np.abs(solution.prices), kind="stable")[:MOST_SINGLE]
        single = [g for g in dearest if solution.prices[g] != 0 and (beyond[g] or not beyond.any())]
        alone = [g for g in single if without(np.array([g]))]
        if alone:
            answers = [_amounts(problem, solution, np.array([g]), rng) for g in alone]
            return min(answers, key=lambda answer: float(answer.missing.sum()))  # one goal is the least there can be
    # what lacks least is the easiest to keep
    for g in short[np.argsort(solution.shortfall[short], kind="stable")]:
        rest = chosen[chosen != g]
        if not beyond[g] and len(rest) and without(rest):
            chosen = rest
    found = _amounts(problem, solution, chosen, rng)
    return replace(found, irreducible=made <= trials)


def _kept(problem: Task, soft: Ints) -> Task:
    goals = problem.goals
    rest = Goals(np.delete(goals.group, soft), np.delete(goals.kind, soft), np.delete(goals.target, soft))
    return replace(problem, goals=rest)


def _amounts(problem: Task, solution: Solution, soft: Ints, rng: int | np.random.Generator) -> Relaxation:
    """What the goals `soft` lack, all others being met: the least of two answers that were found."""
    goals = problem.goals
    aside = solve(_kept(problem, soft), start=np.delete(solution.prices, soft), rng=rng)
    shown = np.asarray(problem.membership.T @ aside.item_exposure)
    lacking = np.maximum(0.0, goals.kind * (goals.target - shown))[soft]
    gives_way = np.isin(np.arange(len(goals)), soft)
    for answer in (solution, solve(problem, start=solution.prices, gives_way=gives_way, rng=rng)):
        if answer.met[~gives_way].all() and answer.shortfall.sum() < lacking.sum():
            lacking = answer.shortfall[soft]
    return Relaxation(soft, lacking, True)
