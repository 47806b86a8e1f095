"""A `Problem` with generalised Gini welfare → prices that minimise its dual, by projected Newton steps.

The prices of Gini groups live in a permutohedron, which no box describes. Every step minimises the quadratic model of
the dual over the whole allowed set by accelerated projected gradients (Beck & Teboulle 2009; the projection is isotonic
regression), and the dual value decides about the step, as in `dual.minimise` (Lee, Sun & Saunders 2014). Prices stay
allowed throughout, so every value is a bound; what is left of the gap is measured, never assumed.
"""

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.curvature import Curvature
from ltexpo.rerank.dual import Box
from ltexpo.rerank.evaluate import Evaluator, Point
from ltexpo.rerank.welfare import WelfareTerms

Floats = npt.NDArray[np.float64]

INNER = 200
"""Most projected gradients of one step; they cost no pass over the lists."""


def minimise_projected(
    evaluator: Evaluator, box: Box, welfare: WelfareTerms, start: Floats, *, tolerance: float, most_passes: int
) -> Point:
    """Damped Newton from `start` → the point of least dual value; stops as `dual.minimise` does."""
    here = evaluator(_allowed(start, box, welfare))
    damping, quantile = 0.1, 0.3
    small = failed = 0
    curvature = Curvature(evaluator, here.prices, quantile)
    for _ in range(most_passes):
        step = _step(curvature, here, box, welfare, damping)
        promised = -(here.slack @ step + 0.5 * step @ curvature.times(step))
        if promised <= 0.1 * tolerance * max(abs(here.value), abs(here.clicks)):
            break
        there = evaluator(_allowed(here.prices + step, box, welfare))
        gained = here.value - there.value
        if gained > 0.75 * promised:
            damping /= 4
        elif gained < 0.25 * promised:
            damping = max(damping, 1e-3) * (4 if gained > 0 else 16)
            quantile = max(quantile * 0.7, 0.01)
        if gained > 0:
            small, failed = small + 1 if gained < tolerance * max(abs(here.value), abs(here.clicks)) else 0, 0
            here = there
        else:
            failed += 1
        if small >= 4 or failed >= 8:
            break
        curvature = Curvature(evaluator, here.prices, quantile)
    return here


def _allowed(prices: Floats, box: Box, welfare: WelfareTerms) -> Floats:
    return welfare.project(box.clip(prices))


def _metric(diagonal: Floats, welfare: WelfareTerms) -> Floats:
    """`diagonal` (G,), alike in units of the weights inside each permutohedron, where projections are Euclidean."""
    metric = diagonal.copy()
    for term in welfare.gini:
        level = float((diagonal[term.at] * term.unit**2).max(initial=0.0))
        metric[term.at] = level / term.unit**2
    return metric


def _step(curvature: Curvature, here: Point, box: Box, welfare: WelfareTerms, damping: float) -> Floats:
    """Minimiser of slack·d + ½ d·(H + damping·D)·d over the steps d to allowed prices, D the metric's diagonal."""
    diagonal = np.maximum(curvature.diagonal, 1e-9 * float(curvature.diagonal.max(initial=0.0)) + 1e-12)
    added = damping * diagonal
    # L A.T x: a Laplacian is at most twice its diagonal; overlapping groups may need more, which the descent test finds
    metric = _metric(2.0 * diagonal + added, welfare)
    step = np.zeros_like(here.prices)
    ahead, momentum = step.copy(), 1.0
    turned = np.zeros_like(step)
    at_ahead = turned.copy()
    model = 0.0
    for _ in range(INNER):
        gradient = here.slack + at_ahead
        fresh = _allowed(here.prices + ahead - gradient / metric, box, welfare) - here.prices
        turned_fresh = curvature.times(fresh) + added * fresh
        value = float(here.slack @ fresh + 0.5 * fresh @ turned_fresh)
        move = fresh - ahead
        if float(move @ (turned_fresh - at_ahead)) > float(move @ (metric * move)) * (1 + 1e-9):
            metric = metric * 2.0
            continue
        if value > model:  # momentum overshot: start it anew (O'Donoghue & Candès 2015)
            if momentum == 1.0:
                break
            ahead, at_ahead, momentum = step.copy(), turned.copy(), 1.0
            continue
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        beta = (momentum - 1.0) / following
        ahead, at_ahead = fresh + beta * (fresh - step), turned_fresh + beta * (turned_fresh - turned)
        gained = model - value
        step, turned, model, momentum = fresh, turned_fresh, value, following
        if gained <= 1e-6 * -model and momentum > 10.0:
            break
    return step
