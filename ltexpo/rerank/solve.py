"""A `Task` → a `Solution`: prices, integral lists that meet the goals, and the numbers of the certificate."""

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.attain import attainable
from ltexpo.rerank.dual import Box, minimise
from ltexpo.rerank.evaluate import Evaluator, Point
from ltexpo.rerank.finish import finish
from ltexpo.rerank.goals import Goals
from ltexpo.rerank.proximal import minimise_projected
from ltexpo.rerank.rounding import Rounded, better, missing_exposure, round_prices
from ltexpo.rerank.task import Chosen, Task
from ltexpo.rerank.welfare import goals_only, start_prices

Floats = npt.NDArray[np.float64]

SMALL = 10_000
"""Up to so many lists a pass costs next to nothing."""
FEW_LISTS = 200
"""With more lists a goal the first search is exact enough."""
REACHES = (0.1, 0.02, 0.1, 0.005, 0.02, 0.1, 0.02)
"""First steps, in ranges of scores, of the further searches on so few lists."""
SAMPLES = (20_000, 100_000)
"""Lists of the first stages: their prices start the next one."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Answer and proof.

    slots (R, k): offset of each slot's candidate inside its (canonical) list, -1 = empty. prices (G,) in clicks per
    exposure. upper_bound bounds the clicks of all lists that meet every attainable goal and have as much welfare
    (so upper_bound + welfare_after bounds clicks + welfare of all lists that meet them). shortfall (G,): exposure
    missing (at least) or in surplus (at most). proved_infeasible: no lists meet all goals, by weak duality, because a
    goal asks for more than its candidates can give, or, on a few lists, by branch and bound.
    """

    slots: Chosen
    prices: Floats
    clicks_before: float
    clicks_after: float
    upper_bound: float
    achieved: Floats
    met: npt.NDArray[np.bool_]
    shortfall: Floats
    attainable: Floats
    proved_infeasible: bool
    item_exposure: Floats
    passes: float
    seconds: float
    welfare_before: float = 0.0
    welfare_after: float = 0.0
    """Welfare in clicks of the plain and of the chosen lists."""
    welfare_share: float = 1.0
    """Share of the weights of welfare that a click budget could pay for."""

    @property
    def feasible(self) -> bool:
        """Whether every goal is met."""
        return bool(self.met.all())

    @property
    def gap(self) -> float:
        """(upper bound - clicks after) / upper bound: also what clicks + welfare could still win, in clicks."""
        return (self.upper_bound - self.clicks_after) / self.upper_bound if self.upper_bound else 0.0


def solve(
    problem: Task,
    *,
    start: Floats | None = None,
    ceiling: float | None = None,
    tolerance: float = 1e-6,
    most_passes: int = 40,
    gives_way: npt.NDArray[np.bool_] | None = None,
    thorough: bool = True,
    rng: int | np.random.Generator = 0,
) -> Solution:
    """Prices by `dual.minimise` on growing samples, then lists by `rounding.round_prices`.

    `start`: prices (G,) of an earlier run, which skip the samples. `ceiling`: clicks that one missing unit of exposure
    may cost before a goal gives way (default: 10 × the range of scores). `tolerance`: relative gain of the dual under
    which it stops. `gives_way` (G,): if goals conflict these are missed first, as the others cost a hundred times as
    much. `thorough` false leaves out what takes seconds on few lists for the last unmet goals and the last hair of the
    gap. Goals above what is attainable are aimed at what is attainable, and reported as not met.
    """
    began = time.perf_counter()
    n_goals = len(problem.goals)
    extreme = attainable(problem, guarded=True)
    kind, target, welfare = problem.goals.kind, problem.goals.target, problem.welfare
    aim = np.where(kind > 0, np.minimum(target, extreme), np.where(kind < 0, np.maximum(target, extreme), target))
    aimed = replace(problem, goals=replace(problem.goals, target=aim))
    spread = score_range(problem)
    dearest = np.full(n_goals, 10.0 * spread if ceiling is None else ceiling)
    if gives_way is not None:
        dearest[~gives_way] *= 100.0
    box = Box.of(aimed, dearest, 10.0 * spread)
    full = Evaluator(aimed)
    before = full(np.zeros(n_goals))
    passes = 0.0
    cold = np.zeros(n_goals) if welfare is None else start_prices(aimed, before.item_exposure)
    prices = box.clip(cold if start is None else start)
    reach = 0.1 * spread
    if start is None:
        generator = np.random.default_rng(rng)
        for size in SAMPLES:
            if 2 * size <= problem.n_lists:
                rows = np.sort(generator.choice(problem.n_lists, size, replace=False)).astype(np.int64)
                sample = Evaluator(aimed, rows)
                prices = _minimise(sample, box, prices, tolerance=10 * tolerance, most_passes=20, reach=reach).prices
                passes += sample.passes
                reach = 0.02 * spread
    point = _minimise(full, box, prices, tolerance=tolerance, most_passes=most_passes, reach=reach)
    # Where goals are about as many as lists the dual has corners that stop a step too early: look again at other
    # lengths, which costs nothing next to the rest on lists so few.
    by_rank = welfare is not None and len(welfare.gini) > 0  # takes no reach
    for fresh in REACHES if problem.n_lists <= min(SMALL, FEW_LISTS * n_goals) and not by_rank else ():
        again = _minimise(
            full, box, point.prices, tolerance=tolerance, most_passes=5 * most_passes, reach=fresh * spread
        )
        point = again if again.value < point.value else point
    bound, prices = min(point.value, before.value), point.prices
    # with welfare single moves already look at the whole objective
    small = ceiling is None and problem.n_lists <= SMALL and welfare is None
    # on many lists these passes are spared while every goal is met
    conflict = small and _ray_falls(full, point, spread)
    if ceiling is not None:
        rounded = round_prices(aimed, prices, ceiling=ceiling)
    elif not small:
        rounded = _round(aimed, full, box, point, tolerance)
    else:
        ending = finish(
            aimed.collected(), prices, bound, dearest=dearest, spread=spread, conflict=conflict, thorough=thorough
        )
        rounded, bound, prices, conflict = ending.rounded, ending.bound, ending.prices, ending.proved_infeasible
    if not small:
        conflict = missing_exposure(problem, rounded) > 0 and _ray_falls(full, point, spread)
    shortfall = np.maximum(0.0, kind * (target - rounded.exposure))
    met = shortfall <= 1e-9 * np.maximum(1.0, np.abs(target))
    unreachable = (kind * (target - extreme) > 1e-9 * np.maximum(1.0, np.abs(extreme))).any()
    plain = np.asarray(problem.membership.T @ before.item_exposure)
    gained = 0.0 if welfare is None else welfare.value(rounded.exposure)
    return Solution(
        slots=rounded.slots,
        prices=prices,
        clicks_before=before.clicks,
        clicks_after=rounded.clicks,
        # at no prices the welfare's part of the dual is no bound
        upper_bound=bound if welfare is None else point.value - gained,
        achieved=rounded.exposure,
        met=met,
        shortfall=np.where(met, 0.0, shortfall),
        attainable=extreme,
        proved_infeasible=bool(unreachable) or (not met.all() and conflict),
        item_exposure=rounded.item_exposure,
        passes=passes + full.passes,
        seconds=time.perf_counter() - began,
        welfare_before=0.0 if welfare is None else welfare.value(plain),
        welfare_after=gained,
    )


def _minimise(
    evaluator: Evaluator, box: Box, start: Floats, *, tolerance: float, most_passes: int, reach: float
) -> Point:
    """Box-constrained Newton, or projected Newton where prices live in a permutohedron."""
    welfare = evaluator.problem.welfare
    if welfare is not None and welfare.gini:
        return minimise_projected(evaluator, box, welfare, start, tolerance=tolerance, most_passes=most_passes)
    return minimise(evaluator, box, start, tolerance=tolerance, most_passes=most_passes, reach=reach)


def score_range(problem: Task) -> float:
    """Greatest less least score, the unit of prices; a hair where all are equal."""
    if not problem.total_exposure:
        return 1.0
    least, most = problem.score_limits
    return max(most - least, 1e-9)


def _round(problem: Task, full: Evaluator, box: Box, point: Point, tolerance: float) -> Rounded:
    """Lists for the prices of `point`; where mending gets stuck, prices for slightly tighter goals give it room."""
    best = round_prices(problem, point.prices)
    margin = 0.0
    for _ in range(4):
        of_goal = problem.goals.kind != 0
        at_ceiling = np.abs(point.prices) >= 0.99 * np.maximum(-box.low, box.high)
        missing = missing_exposure(problem, best)
        if missing <= 0 or (at_ceiling & of_goal).any():
            break
        binding = (np.abs(point.prices) > 0) & of_goal
        margin = max(2.0 * margin, missing / max(int(binding.sum()), 1))
        goals: Goals = replace(
            problem.goals, target=problem.goals.target + np.where(binding, problem.goals.kind * margin, 0.0)
        )
        tighter = Evaluator(replace(problem, goals=goals))
        moved = _minimise(tighter, box, point.prices, tolerance=tolerance, most_passes=15, reach=0.02)
        full.passes += tighter.passes
        best = better(problem, best, round_prices(problem, moved.prices))
    return best


def _ray_falls(full: Evaluator, point: Point, spread: float) -> bool:
    """Whether the dual falls below any possible clicks along the ray of these prices: no lists meet all goals then."""
    problem = goals_only(full.problem)
    bare, prices = Evaluator(problem), np.where(problem.goals.kind != 0, point.prices, 0.0)
    worst = problem.score_limits[0] * problem.total_exposure if problem.total_exposure else 0.0
    # slack for the rounding of boosts to float32
    for times in (1.0, 10.0, 100.0):
        at = bare(prices * times)
        if at.value < worst - 1e-6 * problem.total_exposure * (spread + np.abs(at.prices).max(initial=0.0)):
            return True
    return False
