"""A `Task` → prices that minimise its dual, by projected Newton-CG on a sample first, then on all lists.

The dual is convex and piecewise linear in the prices, with so many pieces that it is nearly smooth: exposure falls into
the goals gradually as prices rise. A step solves the box-constrained quadratic model with the measured curvature
(Bertsekas 1982, projected Newton; Steihaug 1983, truncated CG; Levenberg–Marquardt damping), and the dual value itself,
an upper bound at every point, decides whether the step is kept. First-order methods (DuaLip, arXiv 2603.04621; dual
mirror descent, Balseiro, Lu & Mirrokni 2007.00514) need hundreds of passes for the same gap.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.curvature import Curvature
from ltexpo.rerank.evaluate import Evaluator, Point
from ltexpo.rerank.task import Task

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Allowed prices: [0, ceiling] for at-least goals, [-ceiling, 0] for at-most goals; welfare groups have their own.

    The ceiling makes goals elastic: one more unit of missing exposure costs that many clicks, so goals that conflict
    still have an answer, and a price at the ceiling says which they are.
    """

    low: Floats
    high: Floats

    @classmethod
    def of(cls, problem: Task, ceiling: Floats, welfare_ceiling: float) -> "Box":
        """Box for the goals, ceiling (G,), and welfare groups of `problem`."""
        kind = problem.goals.kind
        low, high = np.where(kind < 0, -ceiling, 0.0), np.where(kind > 0, ceiling, 0.0)
        for term in () if problem.welfare is None else problem.welfare.terms:
            low[term.at], high[term.at] = term.limits(welfare_ceiling)
        return cls(low, high)

    def clip(self, prices: Floats) -> Floats:
        """Nearest allowed prices."""
        return np.clip(prices, self.low, self.high)


def minimise(
    evaluator: Evaluator, box: Box, start: Floats, *, tolerance: float, most_passes: int, reach: float
) -> Point:
    """Newton-CG from `start` → the point of least dual value.

    Stops when the model promises less than `tolerance` × value, or after `most_passes` evaluations. `reach` bounds
    one step of a price at first, in score units.
    """
    here = evaluator(box.clip(start))
    damping, quantile = 0.1, 0.3
    small = failed = looks = 0
    curvature = Curvature(evaluator, here.prices, quantile)
    for _ in range(most_passes):
        step = _step(curvature, here, box, damping, reach)
        promised = -(here.slack @ step + 0.5 * step @ curvature.times(step))
        if promised <= tolerance * abs(here.value):
            # a step that many prices cut short says little: look nearer before stopping
            if (np.abs(step).max(initial=0.0) < 0.99 * reach and promised > 0) or looks == 3:
                break
            looks += 1
            reach /= 4
            continue
        there = evaluator(box.clip(here.prices + step))
        gained = here.value - there.value
        ratio = gained / promised
        if ratio > 0.75:
            damping, reach = damping / 4, reach * 2
        elif ratio < 0.25:
            shorter = 2 if gained > 0 else 4
            damping, reach = max(damping, 1e-3) * 4, max(np.abs(step).max(), 1e-12) / shorter
            quantile = max(quantile * 0.7, 0.01)
        if gained > 0:
            small, failed = small + 1 if gained < tolerance * abs(here.value) else 0, 0
            here = there
        else:
            # a step that gains nothing says that it was too long, not that the end is near
            failed += 1
        if small >= 4 or failed >= 8:
            break
        curvature = Curvature(evaluator, here.prices, quantile)
    return here


def _step(curvature: Curvature, here: Point, box: Box, damping: float, reach: float) -> Floats:
    """Minimiser of slack·d + ½ d·(H + damping·diag H)·d over the box and |d| ≤ reach, by CG on the free prices."""
    low = np.maximum(box.low - here.prices, -reach)
    high = np.minimum(box.high - here.prices, reach)
    scale = curvature.diagonal
    # a goal whose items are near no slot shows no curvature: let it move by the whole reach
    weak = np.abs(here.slack) / reach
    added = damping * scale + np.where(scale < weak * 0.1, weak, 0.0) + 1e-12
    step = np.zeros_like(here.prices)
    bent = np.zeros_like(step)
    lowered = 0.0
    for _ in range(12):
        gradient = here.slack + bent
        free = ~(((step <= low) & (gradient > 0)) | ((step >= high) & (gradient < 0)))
        change = _conjugate_gradients(curvature, added, np.where(free, -gradient, 0.0), free)
        share, gained = 1.0, 0.0
        while share > 1e-3:
            # projected search (Moré & Toraldo 1991): shorten until the model falls
            trial = np.clip(step + share * change, low, high)
            turned = curvature.times(trial) + added * trial
            gained = float(-(here.slack @ (trial - step)) - 0.5 * (trial @ turned - step @ bent))
            if gained > 0:
                step, bent = trial, turned
                break
            share /= 2
        lowered += max(gained, 0.0)
        if gained <= 0.01 * lowered:
            break
    return step


def _conjugate_gradients(curvature: Curvature, added: Floats, rhs: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """Solve (H + added) x = rhs on the free prices, preconditioned by the diagonal."""
    x = np.zeros_like(rhs)
    inverse = np.where(free, 1.0 / (curvature.diagonal + added), 0.0)
    residual = rhs.copy()
    z = inverse * residual
    direction = z.copy()
    rho = float(residual @ z)
    first = rho
    for _ in range(60):
        if rho <= 1e-4 * first or rho <= 0:
            break
        product = np.where(free, curvature.times(direction) + added * direction, 0.0)
        alpha = rho / float(direction @ product)
        x += alpha * direction
        residual -= alpha * product
        z = inverse * residual
        rho, previous = float(residual @ z), rho
        direction = z + (rho / previous) * direction
    return x
