"""A budget of clicks → the lists that buy the most of the goals, or of the welfare, for it."""

from dataclasses import replace

import numpy as np

from ltexpo.rerank.solve import Solution, score_range, solve
from ltexpo.rerank.task import Task


def spend(problem: Task, max_click_loss: float, *, rng: int | np.random.Generator = 0, steps: int = 8) -> Solution:
    """As much of the goals as `max_click_loss` of the plain clicks can pay for (all of them if it suffices).

    Bisects the ceiling of the prices: at ceiling Λ the elastic problem maximises clicks - Λ × missing exposure, so each
    answer has the least missing exposure for its clicks (Lagrangian of the missing exposure). upper_bound is that of
    lists with as much exposure of every goal as these.
    """
    best = solve(problem, rng=rng)
    allowed = (1.0 - max_click_loss) * best.clicks_before
    if best.clicks_after >= allowed:
        return best
    # exact prices at the edge of what can be reached may be far higher than a budget ever pays
    low, high = 0.0, min(float(np.abs(best.prices).max()), 10.0 * score_range(problem))
    start, over = best.prices, best
    kept = solve(problem, start=np.zeros_like(start), ceiling=0.0)
    for _ in range(steps):
        ceiling = 0.5 * (low + high)
        tried = solve(problem, start=start, ceiling=ceiling)
        if tried.clicks_after >= allowed:
            low, kept = ceiling, tried
        else:
            high, over = ceiling, tried
        start = tried.prices
    return _spent(problem, kept, over, allowed)


def _spent(problem: Task, kept: Solution, over: Solution, allowed: float, *, steps: int = 6) -> Solution:
    """Lists of clicks ≥ `allowed` with exposure between that of `kept`, which the budget pays, and of `over`.

    At a ceiling of prices exposure jumps, as many lists tie there: between two of them it is asked for by targets,
    whose prices then give these lists again. Met and shortfall are of the goals as they were.
    """
    goals = problem.goals
    low, high, part, start = 0.0, 1.0, 0.0, over.prices
    found = kept
    for _ in range(steps):
        asked = kept.achieved + part * (over.achieved - kept.achieved)
        target = np.where(goals.kind > 0, np.minimum(asked, goals.target), np.maximum(asked, goals.target))
        tried = solve(replace(problem, goals=replace(goals, target=target)), start=start)
        start = tried.prices
        if tried.feasible and tried.clicks_after >= allowed:
            low, found = part, tried
        else:
            high = part
        part = 0.5 * (low + high)
    shortfall = np.maximum(0.0, goals.kind * (goals.target - found.achieved))
    met = shortfall <= 1e-9 * np.maximum(1.0, np.abs(goals.target))
    return replace(
        found, met=met, shortfall=np.where(met, 0.0, shortfall), attainable=kept.attainable, proved_infeasible=False
    )


def spend_on_welfare(problem: Task, max_click_loss: float, whole: Solution, *, steps: int = 10) -> Solution:
    """Lists of most welfare among those that lose at most `max_click_loss` of the plain clicks and meet the goals.

    A click budget with multiplier μ weighs welfare by 1 / (1 + μ): searched is the largest such share of the weights,
    from `whole`, the solution at full weights. Share 0 where the goals alone cost more than the budget.
    """
    assert problem.welfare is not None
    soft = problem.goals.kind == 0
    kept: Solution | None = None
    low, high = 0.0, 1.0
    loss_low, loss_high = 0.0, 1.0 - whole.clicks_after / whole.clicks_before
    share, last = 1.0, whole
    for _ in range(steps):
        part = 0.5
        if kept is not None and 0.0 < loss_low < loss_high:
            # the loss grows about like a power of the share
            part = float(np.log(0.985 * max_click_loss / loss_low) / np.log(loss_high / loss_low))
        share, before = (high / 10.0 if kept is None else low * (high / low) ** min(max(part, 0.1), 0.9)), share
        at = replace(problem, welfare=problem.welfare.scaled(share))
        last = solve(at, start=np.where(soft, last.prices * (share / before), last.prices))
        loss = 1.0 - last.clicks_after / last.clicks_before
        if loss > max_click_loss:
            high, loss_high = share, loss
        else:
            low, loss_low, kept = share, loss, replace(last, welfare_share=share)
            if loss >= 0.97 * max_click_loss:
                break
    if kept is None:
        nothing = replace(problem, welfare=problem.welfare.scaled(0.0))
        kept = replace(solve(nothing, start=np.where(soft, 0.0, last.prices)), welfare_share=0.0)
    return kept
