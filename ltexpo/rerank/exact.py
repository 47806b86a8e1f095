"""A small `Problem` → its linear program over all randomised lists, and the same over whole lists, solved by HiGHS.

Variables x[r, i, j] = share of request r in which its candidate i stands in slot j (Singh & Joachims 2018); the extreme
points of a list's polytope are its permutations, also under caps (a network matrix), so the optimum bounds every
integral answer. The reference for the solver, and its last resort for a few lists whose goals are met hardly or not.
Size grows with R × C × k: for a few hundred thousand variables, not for production.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csr_array

from ltexpo.errors import LtexpoError
from ltexpo.rerank.kernels import choose_plain
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.selection import is_pinned, may_rise

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExactAnswer:
    """Optimum of the relaxation: expected clicks, exposure of every goal (G,), price of every goal (G,)."""

    feasible: bool
    clicks: float
    exposure: Floats
    prices: Floats


def solve_exact(problem: Problem, *, time_limit: float | None = None) -> ExactAnswer:
    """LP optimum by HiGHS (Huangfu & Hall 2018); `feasible` is False when no randomised lists meet the goals."""
    lp = Program(problem)
    options: Any = {} if time_limit is None else {"time_limit": time_limit}
    bounds = np.column_stack([np.zeros(lp.size), lp.upper])
    rows: dict[str, Any] = {"A_ub": lp.a_ub, "b_ub": lp.b_ub, "A_eq": lp.a_eq, "b_eq": lp.b_eq, "bounds": bounds}
    result: Any = linprog(-lp.clicks, **rows, method="highs", options=options)
    n_goals = len(problem.goals)
    if result.status == 2:
        return ExactAnswer(False, np.nan, np.full(n_goals, np.nan), np.full(n_goals, np.nan))
    if result.status != 0:
        raise LtexpoError(f"HiGHS stopped without an optimum: {result.message}")
    prices: Floats = -np.asarray(result.ineqlin.marginals)[:n_goals] * problem.goals.kind
    return ExactAnswer(True, -float(result.fun), np.asarray(lp.goal_rows @ result.x), prices)


@dataclass(frozen=True)
class IntegralAnswer:
    """Lists found by branch and bound, slots (R, k) or None; `proved_none`: no integral lists meet the goals."""

    slots: npt.NDArray[np.int32] | None
    clicks: float
    bound: float
    proved_none: bool


def solve_integral(problem: Problem, *, nodes: int, gap: float) -> IntegralAnswer:
    """The same program with whole lists only, by HiGHS' branch and bound: at most `nodes`, until within `gap`.

    The limit counts nodes and not seconds, so that the answer is the same on every machine.
    """
    lp = Program(problem)
    result: Any = milp(
        -lp.clicks,
        integrality=np.ones(lp.size, np.int64),
        bounds=Bounds(0.0, lp.upper),
        constraints=[LinearConstraint(lp.a_ub, ub=lp.b_ub), LinearConstraint(lp.a_eq, lp.b_eq, lp.b_eq)],
        options={"node_limit": nodes, "mip_rel_gap": gap},
    )
    bound = np.nan if result.mip_dual_bound is None else -float(result.mip_dual_bound)
    if result.x is None:
        return IntegralAnswer(None, np.nan, bound, bool(result.status == 2))
    request = np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))
    candidate, slot = np.nonzero(np.asarray(result.x).reshape(-1, problem.k) > 0.5)
    slots = np.full((problem.n_lists, problem.k), -1, np.int32)
    slots[request[candidate], slot] = candidate - problem.indptr[request[candidate]]
    return IntegralAnswer(slots, -float(result.fun), bound, False)


class Program:
    """The rows of the LP; candidates that can stand in no slot are left out by an upper bound of 0."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        lists, k = problem.lists, problem.k
        plain = np.empty((problem.n_lists, k), np.int32)
        choose_plain(lists, plain)
        filled = (plain >= 0).sum(axis=1)
        nnz = len(problem.items)
        request = np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))
        candidate = np.repeat(np.arange(nnz), k)
        slot = np.tile(np.arange(k), nnz)
        owner = request[candidate]
        weight = np.ones(problem.n_lists) if problem.weights is None else problem.weights.astype(np.float64)
        seen = weight[owner] * problem.attention[slot]
        self.size = nnz * k
        self.clicks: Floats = seen * problem.scores[candidate]
        self.upper = self._slots_allowed(plain, filled, request).ravel().astype(np.float64)

        columns = np.arange(self.size)
        slot_row = owner * k + slot
        used = slot_row[slot < filled[owner]]
        in_use = (np.ones(len(used)), (used, columns[slot < filled[owner]]))
        self.a_eq = csr_array(coo_array(in_use, shape=(problem.n_lists * k, self.size)))
        self.b_eq = (np.arange(k)[None, :] < filled[:, None]).ravel().astype(np.float64)

        member = problem.membership[problem.items[candidate]].tocoo()
        goal_rows = coo_array((seen[member.row], (member.col, member.row)), shape=(len(problem.goals), self.size))
        self.goal_rows = csr_array(goal_rows)
        rows: list[Any] = [self.goal_rows * -problem.goals.kind[:, None].astype(np.float64)]
        sides = [-problem.goals.kind * problem.goals.target]
        rows.append(coo_array((np.ones(self.size), (candidate, columns)), shape=(nnz, self.size)))
        sides.append(np.ones(nnz))
        for p in range(len(lists.caps)):
            code = lists.parts[p][problem.items[candidate]].astype(np.int64)
            key = owner * (int(lists.parts[p].max()) + 1) + code
            parts, row = np.unique(key[code >= 0], return_inverse=True)
            rows.append(coo_array((np.ones(len(row)), (row, columns[code >= 0])), shape=(len(parts), self.size)))
            sides.append(np.maximum(lists.caps[p], self._pinned_parts(p, request, parts)))
        if lists.keep >= 0:
            value = problem.attention[slot] * problem.scores[candidate]
            rows.append(coo_array((-value, (owner, columns)), shape=(problem.n_lists, self.size)))
            best = np.where(plain >= 0, problem.scores[problem.indptr[:-1, None] + np.maximum(plain, 0)], 0.0)
            sides.append(-lists.keep * (best @ problem.attention))
        self.a_ub = csr_array(_stack(rows))
        self.b_ub = np.concatenate(sides)

    def _pinned_parts(
        self, p: int, request: npt.NDArray[np.int64], parts: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """How many pinned candidates each of `parts` (request and code of cap p in one number) holds: they stay."""
        lists = self.problem.lists
        if not lists.pin.size:
            return np.zeros(len(parts), np.int64)
        items = self.problem.items
        code = lists.parts[p][items].astype(np.int64)
        key = (request * (int(lists.parts[p].max()) + 1) + code)[(lists.pin[items] >= 0) & (code >= 0)]
        return np.bincount(np.searchsorted(parts, key), minlength=len(parts))

    def _slots_allowed(
        self, plain: npt.NDArray[np.int32], filled: npt.NDArray[np.int64], request: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """(nnz, k): which slots each candidate may take under protect_top and the quality floors."""
        problem, k = self.problem, self.problem.k
        allowed = np.arange(k)[None, :] < filled[request][:, None]
        if problem.lists.pin.size:
            shown = problem.items[problem.indptr[:-1, None] + np.maximum(plain, 0)]
            allowed &= ~((plain >= 0) & (problem.lists.pin[shown] >= 0))[request]
        for i in range(len(problem.items)):
            start = int(problem.indptr[request[i]])
            at = np.flatnonzero(plain[request[i]] == i - start)
            own = int(at[0]) if len(at) else k
            if not may_rise(problem.lists, start, i):
                allowed[i, :own] = False
            protect = min(problem.lists.protect, k)
            allowed[i, :protect] = False
            if own < protect or is_pinned(problem.lists, i):
                allowed[i] = False
                allowed[i, own] = True
        return allowed


def _stack(rows: list[Any]) -> coo_array:
    """Rows of sparse matrices on top of one another, columns kept."""
    parts = [coo_array(block) for block in rows]
    offsets = np.cumsum([0] + [block.shape[0] for block in parts])
    row = np.concatenate([block.row + offset for block, offset in zip(parts, offsets[:-1], strict=True)])
    col = np.concatenate([block.col for block in parts])
    data = np.concatenate([block.data for block in parts])
    return coo_array((data, (row, col)), shape=(int(offsets[-1]), parts[0].shape[1]))
