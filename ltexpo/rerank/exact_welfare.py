"""A small `Problem` with welfare → the optimum of clicks + welfare over all randomised lists, by cutting planes.

Welfare is concave, so it lies under each of its tangents (Kelley 1960): HiGHS solves a linear program with the tangents
found so far, which bounds the optimum from above; its answer's true objective bounds it from below and gives tangents.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

from ltexpo.errors import LtexpoError
from ltexpo.rerank.exact import Program
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.welfare import AlphaFair

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExactWelfare:
    """value ≤ optimum of clicks + welfare ≤ bound; exposure (G,) of the answer that reaches `value`."""

    value: float
    bound: float
    exposure: Floats


def solve_exact_welfare(problem: Problem, *, gap: float = 1e-7, most_rounds: int = 200) -> ExactWelfare:
    """Optimum within `gap` of the clicks, or what `most_rounds` programs give; `LtexpoError` if HiGHS stops."""
    welfare = problem.welfare
    if welfare is None:
        raise LtexpoError("this problem has no welfare. Use solve_exact.")
    lp = Program(problem)
    heights = sum(len(term.at) if isinstance(term, AlphaFair) else 1 for term in welfare.terms)
    objective = -np.concatenate([lp.clicks, np.ones(heights)])
    rows: list[csr_array] = [csr_array(hstack([lp.a_ub, csr_array((lp.a_ub.shape[0], heights))]))]
    sides: list[Floats] = [lp.b_ub]
    limits = np.concatenate([
        np.column_stack([np.zeros(lp.size), lp.upper]), np.tile([-np.inf, np.inf], (heights, 1)),
    ])  # fmt: skip
    equal = csr_array(hstack([lp.a_eq, csr_array((lp.a_eq.shape[0], heights))]))
    level: dict[str, Any] = {"A_eq": equal, "b_eq": lp.b_eq, "bounds": limits}
    best = ExactWelfare(-np.inf, np.inf, np.zeros(len(problem.goals)))
    exposure: Floats = np.asarray(lp.goal_rows @ (lp.upper / max(float(lp.upper.sum()), 1.0)))
    for _ in range(most_rounds):
        row, side = _tangents(problem, exposure, lp.goal_rows, heights)
        rows.append(row)
        sides.append(side)
        under: dict[str, Any] = {"A_ub": csr_array(vstack(rows)), "b_ub": np.concatenate(sides)}
        result: Any = linprog(objective, **under, **level, method="highs")
        if result.status != 0:
            raise LtexpoError(f"HiGHS stopped without an optimum: {result.message}")
        shares = result.x[: lp.size]
        exposure = np.asarray(lp.goal_rows @ shares)
        value = float(lp.clicks @ shares) + welfare.value(exposure)
        if value > best.value:
            best = ExactWelfare(value, best.bound, exposure)
        best = ExactWelfare(best.value, min(best.bound, -float(result.fun)), best.exposure)
        if best.bound - best.value <= gap * abs(float(lp.clicks @ shares)):
            break
    return best


def _tangents(
    problem: Problem, exposure: Floats, goal_rows: csr_array, heights: int
) -> tuple[csr_array, Floats]:
    """height ≤ U(E0) + U'(E0)·(E - E0) as rows over (shares, heights): one for each α-fair group and each Gini term."""
    assert problem.welfare is not None
    rows: list[csr_array] = []
    sides: list[float] = []
    height = 0
    for term in problem.welfare.terms:
        held = exposure[term.at]
        slope = term.slope(held)
        groups = [np.array([n]) for n in range(len(term.at))] if isinstance(term, AlphaFair) else [np.arange(len(held))]
        for group in groups:
            level = term.value(held) if not isinstance(term, AlphaFair) else term.of_group(held, int(group[0]))
            line = csr_array(-slope[group][None, :] @ goal_rows[term.at[group]])
            unit = csr_array(([1.0], ([0], [height])), shape=(1, heights))
            rows.append(csr_array(hstack([line, unit])))
            sides.append(level - float(slope[group] @ held[group]))
            height += 1
    return csr_array(vstack(rows)), np.array(sides)
