"""A `Problem` of floors → the optimum of its linear program over all randomised lists, with a proof, by HiGHS."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Problem, empty_slots


@dataclass(frozen=True)
class Optimum:
    """LP optimum: value of a master program and upper bound by weak duality, which meet at the optimum."""

    clicks: float
    bound: float
    rounds: int
    seconds: float


def column_generation(
    problem: Problem, first: Iterable[npt.NDArray[np.integer]], *, gap: float = 1e-7, limit: float = 120.0
) -> Optimum:
    """The LP over all randomised lists by Dantzig–Wolfe: HiGHS solves the master, a sort of each list prices columns.

    A list's vertices are its permutations, so the program has one column a list and permutation and 1,645 + P rows; the
    3 million variables of the direct form never appear. Prices are smoothed towards the best ones (Wentges 1997). Stops
    when bound and value are within `gap`, so the value is proved whatever columns it started from.
    """
    began = time.perf_counter()
    floors, member, attention = problem.goals.target, problem.membership, problem.attention
    scores = problem.scores.astype(np.float64)
    owner: list[npt.NDArray[np.int64]] = []
    clicks: list[npt.NDArray[np.float64]] = []
    exposure: list[csr_array] = []

    def add(slots: npt.NDArray[np.integer], lists: npt.NDArray[np.int64]) -> None:
        at = problem.indptr[lists, None] + slots[lists]
        owner.append(lists)
        clicks.append(scores[at] @ attention)
        ends = np.arange(len(lists) + 1) * problem.k
        cells = (np.tile(attention, len(lists)), problem.items[at].ravel(), ends)
        given = csr_array(cells, shape=(len(lists), problem.n_items))
        exposure.append(csr_array(given @ member))

    def best(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.integer]:
        slots = empty_slots(problem)
        choose(problem.lists, problem.boosts(prices), slots)
        return slots

    def worth_at(slots: npt.NDArray[np.integer], prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        at = problem.indptr[:-1, None] + slots
        return (scores[at] + (member @ prices)[problem.items[at]]) @ attention

    everyone = np.arange(problem.n_lists)
    for slots in first:
        add(slots, everyone)
    best_bound, center, rounds = np.inf, None, 0
    while True:
        rounds += 1
        gain, who, shown = np.concatenate(clicks), np.concatenate(owner), csr_array(vstack(exposure))
        convex = csr_array((np.ones(len(who)), (who, np.arange(len(who)))), shape=(problem.n_lists, len(who)))
        master = linprog(
            -gain,
            A_ub=-shown.T,
            b_ub=-floors,
            A_eq=convex,
            b_eq=np.ones(problem.n_lists),
            bounds=(0, None),
            method="highs",
        )
        if master.status != 0:
            raise SystemExit(f"the master program stopped: {master.message}")
        value, prices, worth = -master.fun, -master.ineqlin.marginals, -master.eqlin.marginals
        for at in [prices] if center is None else [0.3 * prices + 0.7 * center, prices]:
            slots = best(at)
            bound = float(worth_at(slots, at).sum() - at @ floors)
            if bound < best_bound:
                best_bound, center = bound, at
            # a column helps if it is worth more than its list's share at the master's own prices
            reduced = worth_at(slots, prices)
            better = np.flatnonzero(reduced > worth + 1e-9)
            if len(better):
                add(slots, better)
        if best_bound - value <= gap * value or time.perf_counter() - began > limit:
            return Optimum(value, best_bound, rounds, time.perf_counter() - began)
