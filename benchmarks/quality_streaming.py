"""A made stream of lists → goals met, clicks against the offline optimum and lists per second of each controller.

Run: python benchmarks/quality_streaming.py [--lists 1000000] [--orders 10]
The instance of speed_rerank.py: tail share 30% and a floor for every seller. The offline optimum is the dual bound of
all lists together. For shifts of traffic half of the lists lose half of their tail candidates: these come first, or
last.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from speed_rerank import make_instance

from ltexpo.rerank.controller import Controller, DualController, PidController, StreamResult, run_stream
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Problem, empty_slots
from ltexpo.rerank.rounding import count_clicks
from ltexpo.rerank.solve import solve

Rows = npt.NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--sellers", type=int, default=200)
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--withdrawn", type=float, default=0.5)
    options = parser.parse_args()
    shape = (options.candidates, options.items, options.sellers)
    yesterday = solve(make_instance(options.lists // 20, *shape, k=10, seed=1)).prices
    print("| lists | order | controller | worst goal off | goals within 1% | clicks, % of optimum (least) | lists/s |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    problem = make_instance(options.lists, *shape, k=10)
    orders = [np.random.default_rng(100 + n).permutation(options.lists) for n in range(options.orders)]
    compare("same mix", problem, {f"{options.orders} random": orders}, yesterday)
    problem, poor = withdraw_tail(problem, options.withdrawn)
    rng = np.random.default_rng(5)
    few, many = rng.permutation(np.flatnonzero(poor)), rng.permutation(np.flatnonzero(~poor))
    mixes = {
        "few tail candidates, then many": [np.concatenate([few, many])],
        "many, then few": [np.concatenate([many, few])],
        "mixed": [rng.permutation(options.lists)],
    }
    compare(f"{options.withdrawn:.0%} of the tail withdrawn in half of them", problem, mixes, yesterday)


def compare(name: str, problem: Problem, orders: dict[str, list[Rows]], yesterday: npt.NDArray[np.float64]) -> None:
    """Print one row per order and controller, and the prices that know all lists, applied unchanged."""
    offline = solve(problem)
    bound = offline.upper_bound
    log(
        f"{name}: {problem.n_lists:,} lists, {len(problem.scores):,} candidates, {len(problem.goals)} goals, of which "
        f"{int((offline.prices != 0).sum())} cost clicks; plain lists {offline.clicks_before:,.0f} clicks, optimum ≤ "
        f"{bound:,.0f} ({bound / offline.clicks_before - 1:+.2%}, gap {offline.gap:.4%}), solved in "
        f"{offline.seconds:.0f} s"
    )
    makers: dict[str, Callable[[], Controller]] = {
        "mirror descent": lambda: DualController(problem),
        "mirror descent, warm": lambda: DualController(problem, start=yesterday),
        "mirror descent, batches of 100": lambda: DualController(problem, batch=100),
        "PID": lambda: PidController(problem),
    }
    for make in makers.values():
        run_stream(problem, np.arange(100), make())  # compiled before it is timed
    for order, rows in orders.items():
        for controller, make in makers.items():
            runs = [timed(problem, row, make()) for row in rows]
            speed = float(np.median([lists_a_second for _, lists_a_second in runs]))
            show(f"{name} | {order} | {controller}", problem, [(r.clicks, r.achieved) for r, _ in runs], bound, speed)
    fixed = {"fixed: another day's prices": yesterday, "fixed: the offline prices": offline.prices}
    for label, prices in fixed.items():
        slots = empty_slots(problem)
        choose(problem.lists, problem.boosts(prices), slots)
        clicks, shown = count_clicks(problem, slots)
        show(f"{name} | any | {label}", problem, [(clicks, np.asarray(problem.membership.T @ shown))], bound, None)


def withdraw_tail(problem: Problem, share: float, seed: int = 3) -> tuple[Problem, npt.NDArray[np.bool_]]:
    """The same lists, but half of them (True) keep only 1 - `share` of their tail candidates."""
    rng = np.random.default_rng(seed)
    poor = np.zeros(problem.n_lists, bool)
    poor[rng.permutation(problem.n_lists)[: problem.n_lists // 2]] = True
    in_tail = problem.membership[:, [0]].toarray()[:, 0] > 0
    gone = in_tail[problem.items]
    gone &= np.repeat(poor, np.diff(problem.indptr))
    gone &= rng.random(len(gone), dtype=np.float32) < share
    left = np.concatenate([[0], np.cumsum(~gone)])[problem.indptr]
    kept = ~gone
    return replace(problem, indptr=left, items=problem.items[kept], scores=problem.scores[kept]), poor


def timed(problem: Problem, order: Rows, controller: Controller) -> tuple[StreamResult, float]:
    began = time.perf_counter()
    result = run_stream(problem, order, controller)
    return result, len(order) / (time.perf_counter() - began)


def show(
    label: str, problem: Problem, runs: list[tuple[float, npt.NDArray[np.float64]]], bound: float, speed: float | None
) -> None:
    goals = problem.goals
    off = [np.maximum(0.0, goals.kind * (goals.target - achieved)) / goals.target for _, achieved in runs]
    percent = [100 * clicks / bound for clicks, _ in runs]
    log(
        f"| {label} | {max(float(o.max()) for o in off):.3%} | {min(int((o <= 0.01).sum()) for o in off)} of "
        f"{len(goals)} | {np.mean(percent):.3f} ({min(percent):.3f}) | {'' if speed is None else f'{speed:,.0f}'} |"
    )


def log(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
