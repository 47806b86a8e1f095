"""A small `Problem` and prices near its optimum → exact prices, a proved bound, and a mix of few lists to choose from.

Dantzig–Wolfe (1960): a column is one list of one request; the master program mixes the columns found so far, and a sort
of every list at the master's prices finds the columns that are missing. The master is solved by HiGHS inside a box
around the best prices so far (boxstep: Marsten, Hogan & Blankenship 1975; as a trust region, Linderoth & Wright 2003),
which keeps prices from jumping between corners while columns are few. Where Newton's smooth model ends (goals about as
many as lists, targets at the edge of what can be reached) this is exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, identity, vstack

from ltexpo.errors import LtexpoError
from ltexpo.rerank.kernels import CHUNK
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.selection import clicks_of, guarded_list, top_slots

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mix:
    """Optimum of the master: prices (G,), the least dual value seen, and columns with their parts of each list.

    owner (n,) and slots (n, k) of the columns, part (n,) sums to 1 over the columns of a list; missing (G,) is the
    exposure that the mix itself lacks. value: clicks of the mix less its missing exposure at the prices' ceiling.
    """

    prices: Floats
    bound: float
    value: float
    owner: Ints
    slots: npt.NDArray[np.int32]
    part: Floats
    missing: Floats
    rounds: int


def generate_columns(
    problem: Problem, ceiling: Floats, start: Floats, *, radius: float, tolerance: float, most_rounds: int
) -> Mix:
    """Trust-region column generation from the prices `start` (G,), each price within `ceiling` (G,) in size.

    Stops when bound and mix are within `tolerance` (relative), or after `most_rounds` sorts of all lists. `radius` is
    the first half-width of the box, in score units.
    """
    kind = problem.goals.kind.astype(np.float64)
    columns = _Columns(problem)
    center = np.clip(kind * start, 0.0, ceiling)
    bound = columns.price(kind * center)
    best = None
    rounds = 1
    while rounds < most_rounds:
        low, high = np.maximum(center - radius, 0.0), np.minimum(center + radius, ceiling)
        model, at, part, missing = columns.master(low, high)
        best = (part, missing, len(part))
        inside = bool(((at > low + 1e-9 * radius) | (low <= 0.0)).all()) and bool(
            ((at < high - 1e-9 * radius) | (high >= ceiling)).all()
        )
        promised = bound - model
        if promised <= tolerance * max(abs(bound), 1e-12):
            if inside:
                break
            radius *= 8.0
            continue
        value = columns.price(kind * at)
        rounds += 1
        if value < bound:
            if bound - value > 0.5 * promised and not inside:
                radius *= 4.0
            bound, center = value, at
        elif value - bound > 2.0 * promised:
            radius /= 3.0
    if best is None:
        model, at, part, missing = columns.master(center, center)
        best = (part, missing, len(part))
    part, missing, n = best
    used = np.flatnonzero(part > 1e-9)
    owner, slots = np.concatenate(columns.owner)[:n], np.concatenate(columns.slots)[:n]
    return Mix(kind * center, bound, model, owner[used], slots[used], part[used], missing, rounds)


class _Columns:
    """Columns found so far, and the master program over them."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.kind = problem.goals.kind.astype(np.float64)
        self.member = csr_array(problem.membership)
        self.owner: list[Ints] = []
        self.slots: list[npt.NDArray[np.int32]] = []
        self.clicks: list[Floats] = []
        self.exposure: list[csr_array] = []
        self.worth = np.full(problem.n_lists, -np.inf)
        """Value of each list's best column at the master's last prices (per unit of weight times weight)."""

    def price(self, prices: Floats) -> float:
        """Dual value at these prices; lists worth more than the master knew become columns."""
        problem = self.problem
        slots = np.empty((problem.n_lists, problem.k), np.int32)
        value, top = np.empty(problem.n_lists), np.empty(problem.n_lists)
        best_lists(problem.lists, self.member @ prices, slots, value, top)
        new = np.flatnonzero(value > self.worth + 1e-10 * np.maximum(1.0, np.abs(value)))
        if len(new):
            self.add(new, slots[new])
        return float(top.sum() - prices @ problem.goals.target)

    def add(self, lists: Ints, slots: npt.NDArray[np.int32]) -> None:
        """Make columns of these slots (n, k) of these lists."""
        problem = self.problem
        weight = np.ones(len(lists)) if problem.weights is None else problem.weights[lists].astype(np.float64)
        at = problem.indptr[lists, None] + np.maximum(slots, 0)
        seen = np.where(slots >= 0, problem.attention, 0.0) * weight[:, None]
        row = np.repeat(np.arange(len(lists)), problem.k)
        shown = csr_array(
            (seen.ravel(), (row, problem.items[at].ravel())), shape=(len(lists), problem.n_items)
        )
        self.owner.append(lists)
        self.slots.append(slots)
        self.clicks.append((seen * problem.scores[at]).sum(axis=1))
        self.exposure.append(csr_array(shown @ self.member))

    def master(self, low: Floats, high: Floats) -> tuple[float, Floats, Floats, Floats]:
        """Master with signed prices in [low, high] → its value, prices (G,), parts (n,), missing exposure (G,)."""
        n_lists = self.problem.n_lists
        self.owner, self.clicks = [np.concatenate(self.owner)], [np.concatenate(self.clicks)]
        self.slots, self.exposure = [np.concatenate(self.slots)], [csr_array(vstack(self.exposure, format="csr"))]
        owner, clicks, exposure = self.owner[0], self.clicks[0], self.exposure[0]
        several = np.bincount(owner, minlength=n_lists) > 1
        free = np.flatnonzero(several[owner])
        fixed = np.flatnonzero(~several[owner])
        signed_target = self.kind * self.problem.goals.target
        rest = signed_target - self.kind * np.asarray(exposure[fixed].sum(axis=0)).ravel()
        rows = np.flatnonzero(several)
        place = np.full(n_lists, -1)
        place[rows] = np.arange(len(rows))
        shown = csr_array(exposure[free].multiply(self.kind[None, :])).T
        n_goals = len(self.kind)
        eye = identity(n_goals, format="csr")
        none = csr_array((len(rows), 2 * n_goals))
        convex = csr_array((np.ones(len(free)), (place[owner[free]], np.arange(len(free)))), (len(rows), len(free)))
        rows_of: dict[str, Any] = {
            "A_ub": csr_array(hstack([-shown, -eye, eye])), "b_ub": -rest,
            "A_eq": csr_array(hstack([convex, none])), "b_eq": np.ones(len(rows)),
        }  # fmt: skip
        costs = np.concatenate([-clicks[free], high, -low])
        result: Any = linprog(costs, **rows_of, bounds=(0, None), method="highs-ds")
        if result.status != 0:
            raise LtexpoError(f"HiGHS stopped without an optimum of the master program: {result.message}")
        prices = np.clip(-np.asarray(result.ineqlin.marginals), low, high)
        part = np.ones(len(owner))
        part[free] = result.x[: len(free)]
        boosted = clicks + exposure @ (self.kind * prices)
        self.worth = np.full(n_lists, -np.inf)
        np.maximum.at(self.worth, owner, boosted)
        shown_all = np.asarray(exposure.T @ part)
        missing = np.maximum(0.0, signed_target - self.kind * shown_all)
        return -float(result.fun) + float(clicks[fixed].sum()), prices, part, missing


@njit(parallel=True, cache=True, nogil=True)
def best_lists(lists, boost, slots, value, top):
    """Best list of every request at boosts (I,) float64: slots (R, k), value w Σ a (s + b), top ≥ any list's value."""
    k = slots.shape[1]
    n_rows = slots.shape[0]
    most = boost.max()
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        adjusted = np.empty(k, np.float64)
        chosen = np.empty(k, np.int64)
        plain = np.empty(k, np.int64)
        spare = np.empty(k, np.int64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            weight = np.float64(lists.weights[r]) if lists.weights.size > 0 else 1.0
            if lists.guarded:
                n, bound = guarded_list(lists, lo, hi, boost, plain, chosen, spare)
            else:
                n, bound = top_slots(lists.items, lists.scores, lo, hi, boost, most, k, adjusted, chosen), -np.inf
            total = clicks_of(lists, chosen, n)
            for j in range(k):
                slots[r, j] = chosen[j] - lo if j < n else -1
                if j < n:
                    total += lists.attention[j] * boost[lists.items[chosen[j]]]
            value[r] = weight * total
            top[r] = weight * max(total, bound)
