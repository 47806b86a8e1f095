"""A made scale instance → seconds, certified gap, peak memory and lists per second of the re-ranker's solver.

Run: python benchmarks/speed_rerank.py [--lists 1000000] [--candidates 100] [--items 50000] [--item-floor 0]
Items are drawn by a Zipf law with a uniform share (retrieval also proposes the tail); tail items score lower; floors of
sellers are relative to the candidates they have. One process makes the instance and saves its arrays; another loads
them into memory and solves, so peak_mb, the high-water mark of that process (Python, its libraries and the input
included), says what solving takes. Input means the bytes of indptr, items and scores.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit, prange

from ltexpo.rerank.anneal import uniform
from ltexpo.rerank.evaluate import Evaluator
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Goals, Problem, empty_slots
from ltexpo.rerank.solve import solve


@njit(parallel=True, cache=True)
def draw_lists(n_lists, n_candidates, cumulative, quality, uniform_share, seed, items, scores):
    """Fill items and scores (R × C,), each list by falling score; quality (I,) is the logit of an item."""
    n_items = cumulative.size
    for block in prange((n_lists + 4095) // 4096):
        stamp = np.full(n_items, -1, np.int64)
        codes = np.empty(n_candidates, np.int32)
        values = np.empty(n_candidates, np.float32)
        state = np.uint64(seed) + np.uint64(block + 1) * np.uint64(0xD1342543DE82EF95)
        for r in range(block * 4096, min(n_lists, (block + 1) * 4096)):
            state, u = uniform(state)
            taste = u - 0.5
            filled = 0
            while filled < n_candidates:
                state, u = uniform(state)
                state, v = uniform(state)
                i = int(v * n_items) if u < uniform_share else np.searchsorted(cumulative, v)
                i = min(i, n_items - 1)
                if stamp[i] == r:
                    continue
                stamp[i] = r
                noise = -6.0
                for _ in range(12):
                    state, u = uniform(state)
                    noise += u
                codes[filled] = i
                values[filled] = 1.0 / (1.0 + np.exp(-(quality[i] + taste + 0.8 * noise)))
                filled += 1
            order = np.argsort(-values)
            for j in range(n_candidates):
                items[r * n_candidates + j] = codes[order[j]]
                scores[r * n_candidates + j] = values[order[j]]


@njit(cache=True)
def count_items(items, n_items):
    """np.bincount without its 64-bit copy of the input."""
    count = np.zeros(n_items, np.int64)
    for i in items:
        count[i] += 1
    return count


def make_instance(
    n_lists: int,
    n_candidates: int,
    n_items: int,
    n_sellers: int,
    *,
    k: int = 20,
    item_floor: float = 0.0,
    seed: int = 0,
) -> Problem:
    """Tail share 30%, a floor for every seller at half of what its candidates would give, item floors if asked."""
    rng = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.9
    popularity /= popularity.sum()
    quality = -2.8 + 0.35 * np.log(popularity * n_items) + 0.4 * rng.standard_normal(n_items)
    items = np.empty(n_lists * n_candidates, np.int32)
    scores = np.empty(n_lists * n_candidates, np.float32)
    draw_lists(n_lists, n_candidates, np.cumsum(popularity), quality, 0.3, seed, items, scores)
    tail = np.cumsum(popularity) > 0.8
    seller = (rng.random(n_items) ** 2 * n_sellers).astype(np.int64)
    attention = 1.0 / np.log2(np.arange(2, k + 2))
    total = n_lists * attention.sum()
    offered = count_items(items, n_items)
    by_seller = np.bincount(seller, offered, n_sellers)
    group, target = [np.zeros(1, np.int64), 1 + np.arange(n_sellers)], [[0.3 * total]]
    target.append(0.5 * total * by_seller / offered.sum())
    members = [seller + 1]
    if item_floor > 0:
        members.append(1 + n_sellers + np.arange(n_items))
        group.append(1 + n_sellers + np.arange(n_items))
        target.append(np.minimum(item_floor, 0.5 * offered * attention[-1]))
    counts = len(members) + tail
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ids = np.empty(indptr[-1], np.int64)
    for n, member in enumerate(members):
        ids[indptr[:-1] + n] = member
    ids[indptr[1:][tail] - 1] = 0
    goals = Goals(np.concatenate(group), np.ones(sum(map(len, group)), np.int8), np.concatenate(target))
    return Problem.build(
        np.arange(n_lists + 1) * n_candidates, items, scores,
        attention=attention, group_indptr=indptr, group_ids=ids, goals=goals, in_place=True,
    )


def save_instance(folder: Path, *sizes: int, item_floor: float) -> None:
    """The arrays of `make_instance` as .npy files."""
    problem = make_instance(*sizes, item_floor=item_floor)
    goals = problem.goals
    for name in ("indptr", "items", "scores", "attention", "group_indptr", "group_ids"):
        np.save(folder / f"{name}.npy", getattr(problem, name))
    np.save(folder / "goals.npy", np.column_stack([goals.group, goals.kind, goals.target]))


def load_instance(folder: Path) -> Problem:
    """The problem whose arrays lie in `folder`, in memory once."""
    arrays = {path.stem: np.load(path) for path in folder.iterdir()}
    group, kind, target = arrays.pop("goals").T
    goals = Goals(group.astype(np.int64), kind.astype(np.int8), target)
    return Problem.build(**arrays, goals=goals, in_place=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--sellers", type=int, default=2_000)
    parser.add_argument("--item-floor", type=float, default=0.0)
    options = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        sizes = (options.lists, options.candidates, options.items, options.sellers)
        for work in (
            fresh.Process(target=save_instance, args=(folder, *sizes), kwargs={"item_floor": options.item_floor}),
            fresh.Process(target=measure, args=(folder, options)),
        ):
            work.start()
            work.join()
            if work.exitcode:
                sys.exit("stopped")


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Load, solve and print, in this process."""
    # compile and load everything once on a small instance, so that seconds are those of a warm process
    solve(make_instance(3_000, options.candidates, 500, 20, item_floor=options.item_floor))
    started = peak_bytes()
    problem = load_instance(folder)
    input_bytes = problem.indptr.nbytes + problem.items.nbytes + problem.scores.nbytes
    baseline = peak_bytes()
    solution = solve(problem)
    peak = peak_bytes()  # before the copy below, which is for the roofline only
    boost = problem.boosts(solution.prices)
    slots = empty_slots(problem)
    applied = seconds_of(lambda: choose(problem.lists, boost, slots))
    one_pass = seconds_of(lambda: Evaluator(problem)(solution.prices))
    target = np.empty_like(problem.scores)
    copied = seconds_of(lambda: copy_array(problem.scores, target))
    roofline = input_bytes / (2 * problem.scores.nbytes / copied)
    print(json.dumps({
        "lists": options.lists, "candidates": options.candidates, "items": options.items, "goals": len(problem.goals),
        "seconds": round(solution.seconds, 2), "passes": round(solution.passes, 1), "gap": solution.gap,
        "goals_met": int(solution.met.sum()), "clicks_before": solution.clicks_before,
        "clicks_after": solution.clicks_after, "upper_bound": solution.upper_bound,
        "input_mb": input_bytes / 1e6, "peak_mb": peak / 1e6, "peak_over_input": peak / input_bytes,
        "peak_before_loading_mb": started / 1e6, "peak_before_solving_mb": baseline / 1e6,
        "apply_lists_per_second": options.lists / applied, "pass_seconds": one_pass,
        "copy_gb_per_second": 2 * problem.scores.nbytes / copied / 1e9, "pass_over_roofline": one_pass / roofline,
    }, indent=1))  # fmt: skip


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def seconds_of(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


@njit(parallel=True, cache=True)
def copy_array(source, target):
    for i in prange(source.size):
        target[i] = source[i]


if __name__ == "__main__":
    main()
