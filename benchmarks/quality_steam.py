"""FairDiverse's Steam scores → the re-ranker against the LP optimum and against every published peer, as Markdown.

Run: python benchmarks/quality_steam.py [--data FOLDER] [--quick]
1,645 lists of about 190 candidates, top 10, attention log2, 43 publishers, each with a floor of exposure: a fraction of
the equal share of all exposure (which is the maximin share, as any publisher could be given more than ten times that).
Then one floor for every item. The scores are sigmoid outputs of a matrix factorisation and taken as probabilities as
they are. The file names 14% of the candidates twice or more (200 draws a list); one of each is kept. FairDiverse's
loader adds the doubles up, fills everything else with zeros and counts items of no publisher for publisher 0.

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
from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, load_npz, vstack

from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.peers import PEERS, Market, Peer
from ltexpo.rerank.peers.alpha_fair import AlphaFair
from ltexpo.rerank.peers.greedy import tilted_slots
from ltexpo.rerank.peers.min_regularizer import MinRegularizer
from ltexpo.rerank.peers.p_mmf import PMMF
from ltexpo.rerank.problem import Goals, Problem
from ltexpo.rerank.solve import Solution, solve

K = 10
STEPS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SETTINGS: dict[str, list[Peer]] = {
    "p_mmf": [PMMF(step=step, weigh_slots=weigh) for step in STEPS for weigh in (False, True)],
    "p_mmf_uncapped": [PMMF(capped=False, step=step, weigh_slots=weigh) for step in STEPS for weigh in (False, True)],
    "min_regularizer": [MinRegularizer(weigh_slots=weigh) for weigh in (False, True)],
    "alpha_fair": [AlphaFair(alpha=alpha) for alpha in (0.5, 0.0, -1.0, -2.0, -4.0)],
}
"""Settings beside the strength that a paper tunes."""


@dataclass(frozen=True)
class Case:
    """Floors (P,) for the groups of a market."""

    name: str
    market: Market
    floors: np.ndarray

    def problem(self, floors: np.ndarray | None = None, lists: int | None = None) -> Problem:
        """The same goals for ltexpo; `lists` keeps the first ones only and scales the floors."""
        market = self.market
        rows = market.n_lists if lists is None else lists
        end = int(market.indptr[rows])
        target = (self.floors if floors is None else floors) * (rows / market.n_lists)
        wanted = np.flatnonzero(target > 0)
        in_group = market.group >= 0
        return Problem.build(
            market.indptr[: rows + 1], market.items[:end], market.scores[:end],
            attention=market.attention,
            group_indptr=np.concatenate([[0], np.cumsum(in_group)]), group_ids=market.group[in_group],
            goals=Goals(wanted, np.ones(len(wanted), np.int8), target[wanted]),
        )  # fmt: skip

    def missing(self, slots: np.ndarray) -> float:
        """Exposure that is missing to the floors, over all groups."""
        return float(np.maximum(self.floors - self.market.group_exposure(slots), 0.0).sum())


@dataclass(frozen=True)
class Chosen:
    """A peer's best point of a sweep."""

    peer: Peer
    strength: float
    slots: np.ndarray
    seconds: float
    tried: int


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


def sweep(case: Case, name: str) -> Chosen:
    """Settings and strengths of one peer → the point the tables show."""
    market = case.market
    allowed = 0.01 * case.missing(PEERS["plain"].rerank(market, 0.0))
    best: tuple[tuple[float, float], Chosen] | None = None
    tried = 0
    for peer in SETTINGS.get(name, [PEERS[name]]):
        points: dict[float, tuple[float, float]] = {}
        grid = list(peer.strengths)
        for _ in range(3):
            for strength in grid:
                if strength in points:
                    continue
                began = time.perf_counter()
                slots = peer.rerank(market, strength)
                seconds = time.perf_counter() - began
                points[strength] = (max(case.missing(slots) - allowed, 0.0), -market.clicks(slots))
                tried += 1
                if best is None or points[strength] < best[0]:
                    best = points[strength], Chosen(peer, strength, slots, seconds, 0)
            done = sorted(points)
            at = done.index(min(done, key=lambda s: points[s]))
            sides = [(done[max(at - 1, 0)], done[at]), (done[at], done[min(at + 1, len(done) - 1)])]
            grid = [low + (high - low) * part for low, high in sides for part in (0.2, 0.4, 0.6, 0.8) if high > low]
    assert best is not None
    return replace(best[1], tried=tried)


def lists_near(case: Case, solution: Solution, n: int = 12) -> Iterable[np.ndarray]:
    """Lists for prices around the solution's: columns that shorten the way, and prove nothing."""
    rng = np.random.default_rng(0)
    prices = np.zeros(case.market.n_groups)
    prices[case.floors > 0] = solution.prices
    for _ in range(n):
        jittered = prices * np.exp(0.1 * rng.standard_normal(len(prices)))
        yield tilted_slots(case.market, boost=case.market.per_item(jittered))


@dataclass(frozen=True)
class Optimum:
    """LP optimum: value of a master program and upper bound by weak duality, which meet at the optimum."""

    clicks: float
    bound: float
    rounds: int
    seconds: float


def column_generation(case: Case, first: Iterable[np.ndarray], *, gap: float = 1e-7, limit: float = 120.0) -> Optimum:
    """The LP over all randomised lists by Dantzig–Wolfe: HiGHS solves the master, a sort of each list prices columns.

    A list's vertices are its permutations, so the program has one column a list and permutation and 1,645 + P rows; the
    3 million variables of the direct form never appear. Prices are smoothed towards the best ones (Wentges 1997). Stops
    when bound and value are within `gap`, so the value is proved whatever columns it started from.
    """
    began = time.perf_counter()
    market, goals = case.market, np.flatnonzero(case.floors > 0)
    floors = case.floors[goals]
    owner: list[np.ndarray] = []
    clicks: list[np.ndarray] = []
    exposure: list[csr_array] = []
    row_of_goal = np.full(market.n_groups, -1)
    row_of_goal[goals] = np.arange(len(goals))

    def add(slots: np.ndarray, lists: np.ndarray) -> None:
        at = market.indptr[lists, None] + slots[lists]
        group = market.group[market.items[at]]
        row = np.where(group >= 0, row_of_goal[np.maximum(group, 0)], -1)
        place, slot = np.nonzero(row >= 0)
        owner.append(lists)
        clicks.append(market.scores[at] @ market.attention)
        exposure.append(csr_array((market.attention[slot], (place, row[place, slot])), shape=(len(lists), len(goals))))

    everyone = np.arange(market.n_lists)
    for slots in first:
        add(slots, everyone)
    best_bound, center, rounds = np.inf, None, 0
    while True:
        rounds += 1
        gain, who, shown = np.concatenate(clicks), np.concatenate(owner), csr_array(vstack(exposure))
        convex = csr_array((np.ones(len(who)), (who, np.arange(len(who)))), shape=(market.n_lists, len(who)))
        # relative to the plain list: exposure beyond the floors is free
        master = linprog(
            -gain,
            A_ub=-shown.T,
            b_ub=-floors,
            A_eq=convex,
            b_eq=np.ones(market.n_lists),
            bounds=(0, None),
            method="highs",
        )
        if master.status != 0:
            raise SystemExit(f"{case.name}: the master program stopped: {master.message}")
        value, prices, worth = -master.fun, -master.ineqlin.marginals, -master.eqlin.marginals
        for at in [prices] if center is None else [0.3 * prices + 0.7 * center, prices]:
            boost = np.zeros(market.n_groups)
            boost[goals] = at
            slots = tilted_slots(market, boost=market.per_item(boost))
            spots = market.indptr[:-1, None] + slots
            total = (market.scores[spots] + market.per_item(boost)[market.items[spots]]) @ market.attention
            bound = float(total.sum() - at @ floors)
            if bound < best_bound:
                best_bound, center = bound, at
            # a column helps if it is worth more than its list's share at the master's own prices
            boost[goals] = prices
            reduced = (market.scores[spots] + market.per_item(boost)[market.items[spots]]) @ market.attention
            better = np.flatnonzero(reduced > worth + 1e-9)
            if len(better):
                add(slots, better)
        if best_bound - value <= gap * value or time.perf_counter() - began > limit:
            return Optimum(value, best_bound, rounds, time.perf_counter() - began)


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


HEADER = (
    "| method (settings, strength) | % of LP optimum | % of bound, floors it meets | % of bound, its very exposure "
    "| floors missed | missing, % of floors | least exposure / floor | Gini | poorer half's share "
    "| nDCG@10, own scores | s | ms a list |\n"
    "| :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
)


def settings_of(peer: Peer) -> str:
    """The swept settings of a peer, for the table."""
    if isinstance(peer, PMMF):
        return f"step {peer.step:g}, {'attention' if peer.weigh_slots else 'slots'}, "
    if isinstance(peer, MinRegularizer):
        return f"{'attention' if peer.weigh_slots else 'slots'}, "
    return f"alpha {peer.alpha:g}, " if isinstance(peer, AlphaFair) else ""


def compare(case: Case, names: list[str]) -> None:
    problem = case.problem()
    solve(problem)
    solution: Solution = solve(problem)
    plain = PEERS["plain"].rerank(case.market, 0.0)
    optimum = column_generation(case, [plain, np.asarray(solution.slots, np.int32), *lists_near(case, solution)])
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


def synthetic(n_lists: int, n_candidates: int, k: int, n_items: int = 20_000, n_groups: int = 500) -> Case:
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


def speed(case: Case, names: list[str]) -> None:
    print(f"\n### Time a list, {case.name}\n\n| method | s | ms a list |\n| :-- | --: | --: |")
    solution = solve(case.problem())
    solution = solve(case.problem())
    n = case.market.n_lists
    note = f"{int(solution.met.sum())} of {len(solution.met)} floors met, gap {100 * solution.gap:.4f}%"
    print(f"| **ltexpo**, prices and lists ({note}) | {solution.seconds:.2f} | {1000 * solution.seconds / n:.4f} |")
    boost = case.market.per_item(solution.prices)
    began = time.perf_counter()
    tilted_slots(case.market, boost=boost)
    seconds = time.perf_counter() - began
    print(f"| **ltexpo**, known prices applied | {seconds:.3f} | {1000 * seconds / n:.5f} |")
    for name in names:
        peer = PEERS[name]
        if name == "fairrec_plus":
            print(f"| {name} | | quadratic in lists: refused above 4,000 |")
            continue
        began = time.perf_counter()
        peer.rerank(case.market, peer.strengths[len(peer.strengths) // 2])
        seconds = time.perf_counter() - began
        print(f"| {name} | {seconds:.3f} | {1000 * seconds / n:.5f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LTEXPO_DATA", beside)))
    parser.add_argument(
        "--levels", type=float, nargs="+", default=[0.7, 0.9], help="floors as parts of the equal share"
    )
    parser.add_argument("--item-floor", type=float, default=0.5, help="exposure that every item gets; 0 leaves it out")
    parser.add_argument("--peers", nargs="+", default=list(PEERS))
    parser.add_argument("--quick", action="store_true", help="no item floors, no synthetic lists, no direct LP")
    options = parser.parse_args()
    steam = load_steam(options.data / "steam_fairdiverse")
    publisher = steam[3]
    print(f"{numba.get_num_threads()} thread(s); {len(steam[0]) - 1} lists, {len(steam[1])} candidates.")
    for level in options.levels:
        case = make_case(
            f"Each of 43 publishers at least {level:g} of the equal share",
            steam,
            publisher,
            lambda market, level=level: np.full(market.n_groups, level * market.total_exposure / market.n_groups),
        )
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
    speed(synthetic(20_000, 100, 20), options.peers)


if __name__ == "__main__":
    main()
