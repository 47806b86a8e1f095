"""Made lists → time of ltexpo and of every published peer in the same run, as Markdown.

Run: python benchmarks/speed_peers.py [--lists 20000] [--candidates 100] [--k 20] [--groups 500] [--repeats 5]
Every method makes lists for the same market: each seller's floor is half of what its candidates would give. A peer runs
once at the middle of its strengths; that it meets the goals would take a search over strengths (10 to 60 such runs),
which is not counted. ltexpo's time is that of prices and lists which meet every floor. Repeats go round through all
methods, so that a busy minute of the machine hits all alike; the median is shown, and the least and the most.
"""

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np
from peer_case import Case

from ltexpo.errors import InputError
from ltexpo.rerank.peers import PEERS, Market
from ltexpo.rerank.peers.greedy import tilted_slots
from ltexpo.rerank.solve import solve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=int, default=20_000)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=list(PEERS))
    options = parser.parse_args()
    case = make_case(options.lists, options.candidates, options.k, n_groups=options.groups)
    problem = case.problem()
    solution = solve(problem)
    boost = case.market.per_item(solution.prices)
    methods: dict[str, Callable[[], object]] = {
        "**ltexpo**, prices and lists": lambda: solve(problem),
        "**ltexpo**, known prices applied": lambda: tilted_slots(case.market, boost=boost),
    }
    for name in options.peers:
        methods[name] = lambda peer=PEERS[name]: peer.rerank(case.market, peer.strengths[len(peer.strengths) // 2])
    print(
        f"{case.name}; {numba.get_num_threads()} threads; ltexpo meets {int(solution.met.sum())} of "
        f"{len(solution.met)} floors, gap {solution.gap:.4%}. Median of {options.repeats} (least to most).\n\n"
        "| method | ms | ms a list | ÷ prices and lists |\n| :-- | --: | --: | --: |"
    )
    seconds, refused = measure(methods, options.repeats)
    ours = float(np.median(seconds["**ltexpo**, prices and lists"]))
    for name, taken in seconds.items():
        middle = float(np.median(taken))
        print(
            f"| {name} | {1000 * middle:,.1f} ({1000 * min(taken):,.1f} to {1000 * max(taken):,.1f}) "
            f"| {1000 * middle / options.lists:.5f} | {middle / ours:.3g} |"
        )
    for name, why in refused.items():
        print(f"| {name} | refused: {why} | | |")


def measure(
    methods: dict[str, Callable[[], object]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of each method, in every round; and the methods that refuse such lists, with their words."""
    refused = {}
    for name, method in methods.items():
        try:
            method()  # compiled before it is timed
        except InputError as error:
            refused[name] = str(error)
    seconds: dict[str, list[float]] = {name: [] for name in methods if name not in refused}
    for _ in range(repeats):
        for name, taken in seconds.items():
            began = time.perf_counter()
            methods[name]()
            taken.append(time.perf_counter() - began)
    return seconds, refused


def make_case(n_lists: int, n_candidates: int, k: int, n_items: int = 20_000, n_groups: int = 500) -> Case:
    """Zipf items, logistic scores; each seller's floor is half of what its candidates would give."""
    rng = np.random.default_rng(0)
    popularity = 1e6 / np.arange(1, n_items + 1) ** 0.9
    weight = 0.7 * popularity / popularity.sum() + 0.3 / n_items
    items = np.empty((n_lists, n_candidates), np.int32)
    for r in range(n_lists):
        drawn = np.unique(rng.choice(n_items, 2 * n_candidates, p=weight))
        while len(drawn) < n_candidates:
            drawn = np.unique(np.concatenate([drawn, rng.integers(0, n_items, n_candidates)]))
        items[r] = rng.permutation(drawn)[:n_candidates]
    logit = -2.8 + 0.35 * np.log(weight[items] * n_items) + 0.8 * rng.standard_normal(items.shape)
    group = (rng.random(n_items) ** 2 * n_groups).astype(np.int32)
    attention = 1.0 / np.log2(np.arange(2, k + 2))
    offered = np.bincount(group[items].ravel(), minlength=n_groups)
    floors = 0.5 * n_lists * attention.sum() * offered / offered.sum()
    market = Market.build(
        np.arange(n_lists + 1) * n_candidates, items.ravel(), (1 / (1 + np.exp(-logit))).ravel(),
        attention=attention, group=group, popularity=popularity, due=floors,
        history=(np.zeros(n_lists + 1, np.int64), np.empty(0, np.int32)),
    )  # fmt: skip
    return Case(f"{n_lists:,} lists × {n_candidates}, k = {k}, {n_groups} sellers", market, floors)


if __name__ == "__main__":
    main()
