"""Prices → integral lists that meet every goal that can be met, at nearly no cost over the dual bound.

At the dual's minimum exposure misses its targets only by ties: at most as many lists as binding goals need a fractional
answer. Mending swaps near ties until no goal is violated; refunds then give back clicks where goals have room.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.anneal import anneal
from ltexpo.rerank.improve import improve
from ltexpo.rerank.moves import Search
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.task import Chosen, Task

Floats = npt.NDArray[np.float64]

MOST_ROWS = 20_000
"""Best rated lists (or a twentieth of all, if more) that one round may change: later ones are rated anew."""
MOST_ROUNDS = 60
ENOUGH = 1e-6
"""Refunds stop when a round wins less than this share of all clicks."""


@dataclass(frozen=True)
class Rounded:
    """Final lists: slots (R, k) = offsets in each canonical list (-1 empty), their clicks, goal and item exposure."""

    slots: Chosen
    clicks: float
    exposure: Floats
    item_exposure: Floats


def count_clicks(problem: Task, slots: Chosen) -> tuple[float, Floats]:
    """Expected clicks of given lists, and the exposure of every item (I,)."""
    scales = problem.scales(problem.total_exposure)
    sums = problem.measure(slots, scales)
    return sums.clicks / scales.clicks, sums.exposure / scales.exposure


def round_prices(problem: Task, prices: Floats, *, ceiling: float = np.inf) -> Rounded:
    """Lists for these prices, mended and refunded; no move may cost more than `ceiling` clicks per missing exposure."""
    boost = problem.boosts(prices)
    return _finished(_Walk(problem, boost, measured(problem, problem.choose(boost)), ceiling), prices)


def anneal_prices(
    problem: Problem, prices: Floats, slots: npt.NDArray[np.signedinteger], *, dearest: Floats, spread: float,
    seed: int, patience: int = 1,
) -> Rounded:  # fmt: skip
    """Lists annealed from `slots` (R, k) at these prices, then mended and refunded."""
    slots = slots.copy()
    walk = _Walk(problem, problem.boosts(prices), measured(problem, slots), np.inf)
    anneal(
        problem, prices, walk.target, slots, walk.exposure,
        dearest=dearest, spread=spread, seed=seed, patience=patience,
    )  # fmt: skip
    return _finished(walk, prices)


def measured(problem: Task, slots: Chosen) -> Rounded:
    """Given lists with their clicks and exposure."""
    clicks, shown = count_clicks(problem, slots)
    return Rounded(slots, clicks, np.asarray(problem.membership.T @ shown), shown)


def _finished(walk: "_Walk", prices: Floats) -> Rounded:
    walk.run(refund=False)
    if walk.problem.welfare is None:
        walk.run(refund=True)
    else:
        improve(walk.problem.collected(), prices, walk.target, walk.slots, walk.exposure, abs(walk.clicks))
    return measured(walk.problem, walk.slots)


class _Walk:
    """Rounds of rating all lists and moving in the best of them."""

    def __init__(
        self,
        problem: Task,
        boost: npt.NDArray[np.float32],
        lists: Rounded,
        ceiling: float,
    ) -> None:
        self.problem, self.boost = problem, boost.astype(np.float64)
        self.slots, self.exposure = lists.slots, lists.exposure
        goals = problem.goals
        # half the tolerance with which a goal counts as met: a target hit exactly must not miss by rounding
        self.target = goals.target - goals.kind * 5e-10 * np.maximum(1.0, np.abs(goals.target))
        self.start = problem.membership.indptr.astype(np.int64)
        self.ids = problem.membership.indices.astype(np.int64)
        self.clicks, self.ceiling = abs(lists.clicks), ceiling
        self.penalty = np.ones(len(goals))

    def violation(self) -> Floats:
        """Missing (at least) or surplus (at most) exposure of every goal."""
        return np.maximum(0.0, self.problem.goals.kind * (self.target - self.exposure))

    def run(self, *, refund: bool) -> None:
        """Rounds until no violation is left (mending), or no move is found.

        Where mending is stuck, goals still violated weigh twice as much from then on (breakout, Morris 1993), so that
        a move may pass the violation on to a goal that is easier to mend.
        """
        if not len(self.target):
            return
        # cheap moves first: most lists then need no close look
        limit = 0.1 if refund else min(1e-3 * float(np.abs(self.boost).max(initial=0.0)), self.ceiling)
        for _ in range(MOST_ROUNDS):
            missing = self.violation()
            if not refund and missing.sum() <= 0:
                break
            urgent = np.asarray(self.problem.membership @ (missing > 0).astype(np.float64)) > 0
            search = Search(
                self.start, self.ids, self.target, self.problem.goals.kind, self.penalty, urgent, self.boost, refund,
                float(self.penalty.max()), 2 * int(np.diff(self.start).max()), float(self.boost.max()),
            )  # fmt: skip
            rows, found = self.problem.rate_moves(search, self.exposure, self.slots, limit)
            most = max(MOST_ROWS, self.problem.n_lists // 20)
            if len(rows) > most:
                near = found <= np.partition(found, most)[most]
                rows, found = rows[near], found[near]
            order = np.argsort(found, kind="stable")
            rates = found[order].astype(np.float64)
            made, won = self.problem.apply_moves(search, self.exposure, self.slots, rows[order], rates)
            if refund:
                if won <= ENOUGH * self.clicks:
                    if limit > 1.0:
                        break
                    limit = 3.0
            elif self.violation().sum() > 0.8 * missing.sum():
                if limit == np.inf and made < 3:
                    self.penalty[self.violation() > 0] *= 2.0
                elif limit == self.ceiling and made == 0:
                    break
                limit = min(limit * 10.0 if 0.0 < limit < 1e3 else np.inf, self.ceiling)


def missing_exposure(problem: Task, rounded: Rounded) -> float:
    """Total exposure that is missing to the goals; what is within a goal's tolerance does not count."""
    goals = problem.goals
    short = np.maximum(0.0, goals.kind * (goals.target - rounded.exposure))
    return float(short[short > 1e-9 * np.maximum(1.0, np.abs(goals.target))].sum())


def better(problem: Task, one: Rounded, other: Rounded) -> Rounded:
    """The lists that miss less exposure; if both miss as much, those of more clicks and welfare."""
    missing = missing_exposure(problem, one), missing_exposure(problem, other)
    if missing[0] == missing[1]:
        worth = [
            lists.clicks + (0.0 if problem.welfare is None else problem.welfare.value(lists.exposure))
            for lists in (one, other)
        ]
        return one if worth[0] >= worth[1] else other
    return one if missing[0] < missing[1] else other
