"""Random instances with 1 to 200 overlapping goals → bound ≥ LP optimum ≥ our lists, goals met; HiGHS is the reference.

Run: python benchmarks/quality_optimality.py [--instances N] [--seed S] [--workers W]

An instance (seed, number) draws candidate lists from a Zipf catalogue, ragged or even, weighted or not, with rounded
scores (ties) or not; overlapping groups of 3 to 60% of the items, three in ten as "at most"; and targets from lists
that exist, so that some integral answer meets them all:
- inside: each list is drawn from the answers to three random price vectors; every goal is eased by 1 to 5%.
- boundary: the lists that give the most of one random weighted sum of goals, not eased: nothing beyond can be reached.
- beyond: exposure of the boundary lists, tightened by 0 to 5%: most of these instances have no answer.
- item floors: every item a floor (goals ≈ lists), a tenth to a half of the equal share, eased where it is not reached.

Checks, all against HiGHS on the linear program over randomised lists (`solve_exact`), slack 1e-6 relative:
bound ≥ LP; LP ≥ lists; every goal met where the LP is feasible; group goals at ≥ 1,000 lists: lists ≥ 99.9% of LP;
item floors: gap ≤ 1%, or ≤ 1% to the bound of branch and bound, as whole lists may be unable to come nearer to the LP.
In "beyond" the LP may be feasible and whole lists still not exist: a goal missed there counts unless branch and bound
proves it. Exits 1 when a check fails.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numba
import numpy as np

from ltexpo.rerank.exact import solve_exact, solve_integral
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem, empty_slots
from ltexpo.rerank.rounding import count_clicks
from ltexpo.rerank.solve import Solution, solve

SLACK = 1e-6
GROUP_BAR = 0.999
FLOOR_BAR = 0.01
PROOF_NODES = 300
NODES = 100_000


@dataclass(frozen=True)
class Family:
    """Ranges (low, high) from which an instance is drawn; `share` of all instances."""

    name: str
    share: float
    lists: tuple[int, int]
    candidates: tuple[int, int]
    k: tuple[int, int]
    goals: tuple[int, int]
    targets: str = "inside"
    rails: bool = False


FAMILIES = (
    Family("few lists, inside", 0.26, (20, 100), (5, 20), (1, 6), (1, 40)),
    Family("few lists, boundary", 0.26, (20, 100), (5, 20), (1, 6), (1, 40), "boundary"),
    Family("few lists, guardrails, inside", 0.14, (20, 100), (6, 15), (2, 5), (1, 30), rails=True),
    Family("few lists, guardrails, boundary", 0.07, (20, 100), (6, 15), (2, 5), (1, 30), "boundary", rails=True),
    Family("long lists, inside", 0.03, (20, 40), (30, 50), (8, 20), (1, 100)),
    Family("200 goals on 150 to 300 lists, inside", 0.02, (150, 300), (6, 10), (2, 4), (100, 200)),
    Family("beyond", 0.12, (20, 60), (5, 10), (1, 4), (2, 20), "beyond"),
    Family("1,000 to 2,000 lists, inside", 0.03, (1000, 2000), (5, 8), (1, 3), (1, 200)),
    Family("1,000 to 2,000 lists, boundary", 0.01, (1000, 2000), (5, 8), (1, 3), (1, 200), "boundary"),
    Family("1,000 lists, guardrails, inside", 0.02, (1000, 1200), (5, 8), (2, 3), (1, 50), rails=True),
    Family("item floors", 0.04, (100, 1000), (8, 12), (3, 4), (0, 0), "floors"),
)


def make_instance(family: Family, rng: np.random.Generator) -> Problem:
    """One problem of the family; its targets can be reached by integral lists, but for "beyond"."""
    n_lists, longest = (int(rng.integers(low, high + 1)) for low, high in (family.lists, family.candidates))
    k = int(rng.integers(family.k[0], min(family.k[1], longest) + 1))
    floors = family.targets == "floors"
    n_items = n_lists if floors else int(longest * np.exp(rng.uniform(np.log(1.5), np.log(15.0)))) + 5
    appeal = -rng.uniform(0.3, 1.0) * np.log(rng.permutation(n_items) + 1.0)
    ranked = np.argsort(-(appeal + rng.gumbel(size=(n_lists, n_items))), axis=1)
    lengths = rng.integers(1, longest + 1, n_lists) if rng.random() < 0.3 else np.full(n_lists, longest)
    items = np.concatenate([row[:n] for row, n in zip(ranked, lengths, strict=True)])
    scores = 1 / (1 + np.exp(2.0 - 0.5 * appeal[items] - 0.8 * rng.standard_normal(len(items))))
    if rng.random() < 0.3:
        scores = np.maximum(scores.round(2), 0.01)
    attention = 1 / np.log2(np.arange(2, k + 2)) if rng.random() < 0.7 else rng.uniform(0.5, 0.95) ** np.arange(k)
    n_goals = n_items if floors else int(rng.integers(family.goals[0], family.goals[1] + 1))
    inside = (
        np.eye(n_items, dtype=bool)
        if floors
        else rng.random((n_items, n_goals)) < np.exp(rng.uniform(np.log(0.03), np.log(0.6), n_goals))
    )
    item, group = np.nonzero(inside)
    kind = np.ones(n_goals, np.int8) if floors else np.where(rng.random(n_goals) < 0.3, -1, 1).astype(np.int8)
    problem = Problem.build(
        np.concatenate([[0], np.cumsum(lengths)]), items, scores,
        attention=attention, group_indptr=np.concatenate([[0], np.cumsum(np.bincount(item, minlength=n_items))]),
        group_ids=group, goals=Goals(np.arange(n_goals), kind, np.zeros(n_goals)),
        guardrails=_rails(n_items, k, rng) if family.rails else None,
        weights=rng.integers(1, 5, n_lists) if rng.random() < 0.3 else None,
    )  # fmt: skip
    target = _targets(problem, family.targets, rng)
    return replace(problem, goals=replace(problem.goals, target=target))


def _rails(n_items: int, k: int, rng: np.random.Generator) -> Guardrails:
    caps = [Cap(rng.integers(-1, max(2, n_items // 4), n_items).astype(np.int32), int(rng.integers(1, k + 1)))]
    return Guardrails(
        min_score_ratio=float(rng.uniform(0.2, 0.7)) if rng.random() < 0.4 else None,
        protect_top=int(rng.random() < 0.4),
        caps=caps if rng.random() < 0.5 else (),
        max_request_loss=float(rng.uniform(0.05, 0.3)) if rng.random() < 0.4 else None,
    )


def _targets(problem: Problem, how: str, rng: np.random.Generator) -> np.ndarray:
    kind, n_goals = problem.goals.kind, len(problem.goals)

    def slots_at(prices: np.ndarray) -> np.ndarray:
        slots = empty_slots(problem)
        choose(problem.lists, problem.boosts(prices), slots)
        return slots

    def exposure_of(slots: np.ndarray) -> np.ndarray:
        return np.asarray(problem.membership.T @ count_clicks(problem, slots)[1])

    def random_prices() -> np.ndarray:
        return kind * rng.exponential(0.2, n_goals) * (rng.random(n_goals) < 0.7)

    if how == "floors":
        floor = np.full(n_goals, rng.uniform(0.1, 0.5) * problem.total_exposure / n_goals)
        # what a simple round of boosts gives every item is surely within reach
        prices = np.zeros(n_goals)
        for _ in range(200):
            shown = exposure_of(slots_at(prices))
            prices = np.maximum(prices + 0.02 * (floor - shown) / floor.max(), 0.0)
        return np.asarray(np.minimum(floor, shown))
    if how == "inside":
        answers = [slots_at(prices) for prices in (np.zeros(n_goals), random_prices(), random_prices())]
        picked = rng.integers(0, 3, problem.n_lists)
        reached = exposure_of(np.choose(picked[:, None], answers))
        target = reached - kind * rng.uniform(0.01, 0.05) * np.maximum(reached, 0.1)
        if rng.random() < 0.5:  # as shares, written with four digits
            unit = problem.total_exposure / 1e4
            target = np.where(kind > 0, np.floor(target / unit), np.ceil(target / unit)) * unit
        return np.asarray(np.maximum(target, 0.0))
    reached = exposure_of(slots_at(1e3 * random_prices()))
    return reached * (1 + kind * rng.uniform(0.0, 0.05)) if how == "beyond" else reached


@dataclass(frozen=True)
class Outcome:
    """One instance: what HiGHS and the solver said."""

    family: str
    number: int
    lists: int
    goals: int
    lp_feasible: bool
    feasible: bool
    proved: bool
    unmet: int
    no_integral: bool
    near_integral: bool
    bound_over_lp: float
    value_over_lp: float
    gap: float
    seconds: float
    lp_seconds: float


def run_instance(task: tuple[int, int, int]) -> Outcome:
    seed, family_number, number = task
    family = FAMILIES[family_number]
    problem = make_instance(family, np.random.default_rng([seed, number]))
    began = time.perf_counter()
    exact = solve_exact(problem)
    lp_seconds = time.perf_counter() - began
    answer = solve(problem)
    unmet = int((~answer.met).sum())
    missed = unmet > 0 and exact.feasible
    return Outcome(
        family=family.name, number=number, lists=problem.n_lists, goals=len(problem.goals),
        lp_feasible=exact.feasible, feasible=answer.feasible, proved=answer.proved_infeasible, unmet=unmet,
        no_integral=missed and family.targets == "beyond" and solve_integral(problem, nodes=NODES, gap=0).proved_none,
        near_integral=family.targets == "floors" and answer.gap > FLOOR_BAR and _near_integral(problem, answer),
        bound_over_lp=answer.upper_bound / exact.clicks - 1, value_over_lp=answer.clicks_after / exact.clicks,
        gap=answer.gap, seconds=answer.seconds, lp_seconds=lp_seconds,
    )  # fmt: skip


def _near_integral(problem: Problem, answer: Solution) -> bool:
    """Whether branch and bound proves that no integral lists keep 1% more clicks."""
    return answer.clicks_after >= (1 - FLOOR_BAR) * solve_integral(problem, nodes=NODES, gap=0.002).bound


def whole_lists(seed: int, outcome: Outcome) -> str:
    """What whole lists can keep of the LP optimum of one instance, by branch and bound; up to a minute."""
    family = next(family for family in FAMILIES if family.name == outcome.family)
    problem = make_instance(family, np.random.default_rng([seed, outcome.number]))
    clicks, best = solve_exact(problem).clicks, solve_integral(problem, nodes=PROOF_NODES, gap=5e-4)
    return f"whole lists: at least {best.clicks / clicks:.4%} and at most {best.bound / clicks:.4%} of the LP"


def failures(outcome: Outcome) -> list[str]:
    """What is wrong with one outcome, in words."""
    found = []
    if not outcome.lp_feasible:
        if outcome.feasible:
            found.append("HiGHS says infeasible, the solver met all goals")
        return found
    if outcome.bound_over_lp < -SLACK:
        found.append(f"bound under the LP by {-outcome.bound_over_lp:.2e}")
    if not outcome.feasible:
        if outcome.proved and not outcome.no_integral:
            found.append("called infeasible, but the LP is feasible")
        elif not outcome.no_integral:
            found.append(f"{outcome.unmet} of {outcome.goals} goals unmet")
        return found
    if outcome.value_over_lp > 1 + SLACK:
        found.append(f"lists above the LP: {outcome.value_over_lp:.8f}")
    if outcome.family == "item floors":
        if outcome.gap > FLOOR_BAR and not outcome.near_integral:
            found.append(f"gap {outcome.gap:.3%}")
    elif outcome.lists >= 1000 and outcome.value_over_lp < GROUP_BAR:
        found.append(f"{outcome.value_over_lp:.4%} of the LP")
    return found


HEADER = (
    "| family | instances | LP infeasible, both agree (proved) | no integral lists (proved) | with goals unmet "
    "| bound − LP, worst / median % | lists / LP, worst / median % | gap, worst / median % "
    "| gap > 1% that whole lists must have (proved) | s, worst / median | HiGHS s, median |\n"
    "| :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
)


def row(name: str, outcomes: list[Outcome]) -> str:
    solvable = [o for o in outcomes if o.lp_feasible]
    met = [o for o in solvable if o.feasible]
    agreed = [o for o in outcomes if not o.lp_feasible and not o.feasible]

    def pair(values: list[float], worst: float, digits: int) -> str:
        return f"{worst:.{digits}f} / {np.median(values):.{digits}f}" if values else ""

    bounds = [100 * o.bound_over_lp for o in solvable]
    values = [100 * o.value_over_lp for o in met]
    gaps = [100 * o.gap for o in met]
    seconds = [o.seconds for o in outcomes]
    cells = [
        name,
        str(len(outcomes)),
        f"{len(agreed)} ({sum(o.proved for o in agreed)})",
        str(sum(o.no_integral for o in solvable)),
        str(sum(not o.feasible and not o.no_integral for o in solvable)),
        pair(bounds, max(bounds, default=0.0), 5),
        pair(values, min(values, default=0.0), 4),
        pair(gaps, max(gaps, default=0.0), 4),
        str(sum(o.near_integral for o in met)),
        pair(seconds, max(seconds), 2),
        f"{np.median([o.lp_seconds for o in outcomes]):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=520)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="families whose name contains this")
    parser.add_argument("--prove", action="store_true", help="ask branch and bound what lists under the bar could keep")
    options = parser.parse_args()
    began = time.perf_counter()
    tasks = []
    for place, family in enumerate(FAMILIES):
        n = max(1, round(family.share * options.instances))
        tasks += [(options.seed, place, 10_000 * place + i) for i in range(n) if options.only in family.name]
    # large ones first, so that the workers end together
    tasks.sort(key=lambda task: -FAMILIES[task[1]].lists[1])
    with ProcessPoolExecutor(options.workers, initializer=numba.set_num_threads, initargs=(1,)) as pool:
        outcomes = list(pool.map(run_instance, tasks))
    print(HEADER)
    for family in FAMILIES:
        of_family = [o for o in outcomes if o.family == family.name]
        if of_family:
            print(row(family.name, of_family))
    print(f"\n{len(outcomes)} instances in {time.perf_counter() - began:.0f} s, {options.workers} workers of 1 thread.")
    wrong = [(outcome, words) for outcome in outcomes for words in failures(outcome)]
    for outcome, words in wrong:
        print(f"FAILED {outcome.family} {outcome.number} ({outcome.lists} lists, {outcome.goals} goals): {words}")
        if options.prove:
            print(f"    {whole_lists(options.seed, outcome)}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
