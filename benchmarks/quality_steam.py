"""FairDiverse's Steam scores → the re-ranker against the LP optimum and against every published peer, as Markdown.

Run: python benchmarks/quality_steam.py [--data FOLDER] [--quick]
1,645 lists of about 190 candidates, top 10, attention log2, 43 publishers, each with a floor of exposure: a fraction of
the equal share of all exposure (which is the maximin share, as any publisher could be given more than ten times that).
Then one floor for every item, and both together. The scores are sigmoid outputs of a matrix factorisation and taken as
probabilities as they are. The file names 14% of the candidates twice or more (200 draws a list); one of each is kept.
FairDiverse's loader adds the doubles up, fills everything else with zeros and counts items of no publisher for
publisher 0.

Every peer gets the floors as due shares, and as protected items those of publishers whose plain exposure is under
their floor. Its settings and strength are swept (`strengths`, then two rounds between the neighbours of the best).
Chosen is the point of most clicks among those that miss at most 1% of the exposure that plain lists miss; if there is
none, the point that misses least. Two columns compare at equal exposure, where no method can be above 100%: with the
bound for the floors that the peer's lists do meet, min(floor, achieved), and with the bound for exactly the exposure
that they give to every group, which credits a method that evens exposure out beyond the floors.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
from column_generation import column_generation
from peer_case import Case, settings_of, sweep
from scipy.sparse import load_npz

from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.peers import PEERS, Market
from ltexpo.rerank.problem import Goals, Problem, empty_slots
from ltexpo.rerank.solve import Solution, solve

K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LTEXPO_DATA", beside)))
    parser.add_argument(
        "--levels", type=float, nargs="+", default=[0.7, 0.9], help="floors as parts of the equal share"
    )
    parser.add_argument("--item-floor", type=float, default=0.5, help="exposure that every item gets; 0 leaves it out")
    parser.add_argument("--peers", nargs="+", default=list(PEERS))
    parser.add_argument("--quick", action="store_true", help="no item floors, no direct LP")
    options = parser.parse_args()
    steam = load_steam(options.data / "steam_fairdiverse")
    publisher = steam[3]
    print(f"{numba.get_num_threads()} thread(s); {len(steam[0]) - 1} lists, {len(steam[1])} candidates.")
    publishers = []
    for level in options.levels:
        case = make_case(
            f"Each of 43 publishers at least {level:g} of the equal share",
            steam,
            publisher,
            lambda market, level=level: np.full(market.n_groups, level * market.total_exposure / market.n_groups),
        )
        publishers.append(case)
        compare(case, options.peers)
        if not options.quick:
            subset(case, 300)
    if options.quick:
        return
    if options.item_floor > 0:
        item = np.where(np.bincount(steam[1], minlength=len(publisher)) > 0, np.arange(len(publisher)), -1)
        case = make_case(
            f"Each of {int((item >= 0).sum())} items at least {options.item_floor:g} exposure",
            steam,
            item.astype(np.int32),
            lambda market: np.where(market.due > 0, options.item_floor, 0.0),
        )
        compare(case, options.peers)
        for publisher_case in publishers:
            both_floors(publisher_case, case)


def compare(case: Case, names: list[str]) -> None:
    problem = case.problem()
    solve(problem)
    solution: Solution = solve(problem)
    plain = PEERS["plain"].rerank(case.market, 0.0)
    optimum = column_generation(problem, [plain, *lists_near(problem, solution)])
    plain_clicks = case.market.clicks(plain)
    print(f"\n### {case.name}\n")
    print(
        f"LP optimum {optimum.clicks:.4f} to {optimum.bound:.4f} clicks by column generation with HiGHS "
        f"({optimum.rounds} rounds, {optimum.seconds:.1f} s); plain lists {plain_clicks:.4f}; "
        f"ltexpo's bound {solution.upper_bound:.4f}, lists {solution.clicks_after:.4f}, "
        f"gap {100 * solution.gap:.4f}%, {int(solution.met.sum())} of {len(solution.met)} floors met.\n"
    )
    print(HEADER)
    ours = np.asarray(solution.slots, np.int32)
    print(row(case, "**ltexpo**", ours, optimum.bound, solution.seconds), flush=True)
    for name in names:
        chosen = sweep(case, name)
        label = f"{name} ({settings_of(chosen.peer)}{chosen.strength:.4g})" if name != "plain" else "plain"
        print(row(case, label, chosen.slots, optimum.bound, chosen.seconds), flush=True)


HEADER = (
    "| method (settings, strength) | % of LP optimum | % of bound, floors it meets | % of bound, its very exposure "
    "| floors missed | missing, % of floors | least exposure / floor | Gini | poorer half's share "
    "| nDCG@10, own scores | s | ms a list |\n"
    "| :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
)




def gini(values: np.ndarray) -> float:
    held = np.cumsum(np.sort(values))
    return float((len(values) + 1 - 2 * held.sum() / held[-1]) / len(values))


def poorer_half(values: np.ndarray) -> float:
    return float(np.sort(values)[: len(values) // 2].sum() / values.sum())


def own_ndcg(market: Market, slots: np.ndarray) -> float:
    """nDCG as FairDiverse takes it: of the chosen items' own scores, sorted, against the best."""
    shown = np.take(market.scores, market.indptr[:-1, None] + np.sort(slots, axis=1))
    ideal = np.take(market.scores, market.indptr[:-1, None] + np.arange(K))
    return float(((shown @ market.attention) / (ideal @ market.attention)).mean())


def bound_at(case: Case, floors: np.ndarray) -> float:
    """Clicks that no lists exceed which give every group this exposure."""
    # a hair less, so that lists which give exactly this exposure are inside
    return solve(case.problem(np.maximum(floors - 1e-6, 0.0))).upper_bound


def row(case: Case, label: str, slots: np.ndarray, optimum: float, seconds: float) -> str:
    exposure = case.market.group_exposure(slots)
    wanted = case.floors > 0
    missing = case.missing(slots) / case.floors.sum()
    below = int((exposure[wanted] < case.floors[wanted] * (1 - 1e-9)).sum())
    clicks = case.market.clicks(slots)
    cells = [
        label,
        f"{100 * clicks / optimum:.3f}",
        f"{100 * clicks / bound_at(case, np.minimum(case.floors, exposure)):.3f}",
        f"{100 * clicks / bound_at(case, exposure):.3f}",
        f"{below}",
        f"{100 * missing:.3f}",
        f"{(exposure[wanted] / case.floors[wanted]).min():.3f}",
        f"{gini(exposure[wanted]):.4f}",
        f"{poorer_half(exposure[wanted]):.4f}",
        f"{own_ndcg(case.market, slots):.4f}",
        f"{seconds:.3f}",
        f"{1000 * seconds / case.market.n_lists:.4f}",
    ]
    return "| " + " | ".join(cells) + " |"


def subset(case: Case, lists: int) -> None:
    """The direct LP by HiGHS against our lists and against column generation's bound, on the first lists."""
    problem = case.problem(lists=lists)
    began = time.perf_counter()
    exact = solve_exact(problem)
    seconds = time.perf_counter() - began
    solution = solve(problem)
    if not exact.feasible:
        print(
            f"\nFirst {lists} lists, {case.name}: HiGHS says infeasible; ltexpo met {int(solution.met.sum())} floors."
        )
        return
    print(
        f"\nFirst {lists} lists, {case.name}: HiGHS on the direct LP {exact.clicks:.5f} clicks in {seconds:.1f} s; "
        f"ltexpo's bound {solution.upper_bound:.5f}, lists {solution.clicks_after:.5f} "
        f"({100 * solution.clicks_after / exact.clicks:.4f}%) in {solution.seconds:.2f} s, "
        f"{int(solution.met.sum())} of {len(solution.met)} floors met."
    )


def lists_near(problem: Problem, solution: Solution, n: int = 12) -> Iterable[np.ndarray]:
    """The solution, and lists for prices around its own: columns that shorten the way, and prove nothing."""
    rng = np.random.default_rng(0)
    yield solution.slots
    for _ in range(n):
        slots = empty_slots(problem)
        prices = solution.prices * np.exp(0.1 * rng.standard_normal(len(solution.prices)))
        choose(problem.lists, problem.boosts(prices), slots)
        yield slots


def both_floors(publishers: Case, items: Case) -> None:
    """Floors for publishers and for items at once; the peers know one kind of group only."""
    problem = publishers.problem()
    own = items.problem()
    of_publisher = np.diff(problem.group_indptr)
    of_item = np.diff(own.group_indptr)
    shift = publishers.market.n_groups
    ends = np.concatenate([[0], np.cumsum(of_publisher + of_item)])
    order = np.argsort(np.concatenate([
        np.repeat(np.arange(problem.n_items), of_publisher), np.repeat(np.arange(problem.n_items), of_item)
    ]), kind="stable")
    goals = Goals(*(
        np.concatenate([getattr(problem.goals, name), getattr(own.goals, name) + (shift if name == "group" else 0)])
        for name in ("group", "kind", "target")
    ))
    together = replace(
        problem, group_indptr=ends, group_ids=np.concatenate([problem.group_ids, own.group_ids + shift])[order],
        goals=goals,
    )
    solution = solve(together)
    optimum = column_generation(together, lists_near(together, solution))
    print(
        f"\n### Both: {publishers.name.lower()}, and {items.name.lower()}\n\nLP optimum {optimum.clicks:.4f} to "
        f"{optimum.bound:.4f} clicks; ltexpo's bound {solution.upper_bound:.4f}, lists {solution.clicks_after:.4f} "
        f"({100 * solution.clicks_after / min(optimum.bound, solution.upper_bound):.4f}% of the lesser bound), "
        f"gap {100 * solution.gap:.4f}%, "
        f"{int(solution.met.sum())} of {len(solution.met)} floors met in {solution.seconds:.2f} s.", flush=True,
    )


def load_steam(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """indptr, items, scores of the candidate lists; publisher of each item (-1 none); training interactions."""
    stored = load_npz(folder / "log" / "ranking_scores.npz").tocoo()
    n_lists, n_items = stored.shape
    cell = stored.row.astype(np.int64) * n_items + stored.col
    cells, place = np.unique(cell, return_inverse=True)
    scores = np.zeros(len(cells))
    np.maximum.at(scores, place, stored.data)
    indptr = np.searchsorted(cells // n_items, np.arange(n_lists + 1))
    publisher = np.full(n_items, -1, np.int32)
    for item, code in json.loads((folder / "iid2pid.json").read_text()).items():
        publisher[int(item)] = int(code)
    train = np.genfromtxt(folder / "steam.train", delimiter="\t", skip_header=1, usecols=(1, 3), comments=None)
    popularity = np.bincount(train[train[:, 1] == 1, 0].astype(np.int64), minlength=n_items)
    return indptr, (cells % n_items).astype(np.int32), scores, publisher, popularity


def make_case(
    name: str, steam: tuple[np.ndarray, ...], group: np.ndarray, floors: Callable[[Market], np.ndarray]
) -> Case:
    indptr, items, scores, _, popularity = steam
    no_history = (np.zeros(len(indptr), np.int64), np.empty(0, np.int32))
    attention = 1.0 / np.log2(np.arange(2, K + 2))
    fields = {"attention": attention, "group": group, "popularity": popularity, "history": no_history}
    bare = Market.build(indptr, items, scores, **fields)
    target = floors(bare)
    short = bare.group_exposure(PEERS["plain"].rerank(bare, 0.0)) < target
    protected = np.where(group >= 0, short[np.maximum(group, 0)], False)
    return Case(name, Market.build(indptr, items, scores, due=target, protected=protected, **fields), target)


if __name__ == "__main__":
    main()
