"""FairDiverse's Steam scores → clicks + welfare of the re-ranker, its bound, and the published peers, as Markdown.

Run: python benchmarks/quality_welfare.py [--data FOLDER] [--scale LISTS]
1,645 lists, top 10, 43 publishers (see quality_steam.py). The objective is the job's: clicks + weight × utility, equal
merit, offset 0.001 as the peer has it. Every peer is asked for the same objective where it has one: alpha_fair with the
same α and weight, generalised_gini with the same weight, at its own 60 steps and at 300; tax_rank has another objective
(clicks of groups), so its whole grid of rates is tried and its best point is shown. `bound` is ours, no lists are
above it. The last rows are items in place of publishers, and the scale instance of speed_rerank.py with its 2,000
sellers as welfare groups in place of floors.
"""

import argparse
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from quality_steam import K, load_steam
from speed_rerank import make_instance

from ltexpo.rerank.attain import attainable
from ltexpo.rerank.peers import Market, Peer
from ltexpo.rerank.peers.alpha_fair import AlphaFair as AlphaFairPeer
from ltexpo.rerank.peers.generalised_gini import GeneralisedGini
from ltexpo.rerank.peers.tax_rank import TaxRank
from ltexpo.rerank.permutohedron import falling_weights
from ltexpo.rerank.problem import Goals, Problem
from ltexpo.rerank.rounding import count_clicks
from ltexpo.rerank.solve import solve
from ltexpo.rerank.welfare import AlphaFair, GiniWelfare, Term, WelfareTerms, merits

STEPS = 300
OFFSET = 1e-3
HEADER = (
    "| groups | utility | weight | method | clicks | welfare | objective | bound | gap, % of clicks | s |\n"
    "| :-- | :-- | --: | :-- | --: | --: | --: | --: | --: | --: |"
)


@dataclass(frozen=True)
class Utility:
    """α of alpha_fair, or None for the Gini index."""

    alpha: float | None

    def __str__(self) -> str:
        return "Gini" if self.alpha is None else f"α = {self.alpha:g}"

    def term(self, problem: Problem, groups: np.ndarray, weight: float) -> Term:
        most = attainable(problem)
        at = groups[most[groups] > 0]
        merit = merits("equal", problem.total_exposure, most[at], most[at])
        if self.alpha is None:
            return GiniWelfare(at, merit, weight * falling_weights(len(at), 2.0))
        return AlphaFair(at, weight, merit, most[at], self.alpha, OFFSET)

    def peers(self, weight: float) -> Iterable[tuple[str, Peer, float]]:
        if self.alpha is None:
            yield "generalised_gini, 60 steps", GeneralisedGini(), weight
            yield f"generalised_gini, {STEPS} steps", GeneralisedGini(n_steps=STEPS), weight
        else:
            # the peer's α is 1 - ours
            yield "alpha_fair, 60 steps", AlphaFairPeer(alpha=1 - self.alpha, epsilon=OFFSET), weight
            longer = AlphaFairPeer(alpha=1 - self.alpha, epsilon=OFFSET, n_steps=STEPS)
            yield f"alpha_fair, {STEPS} steps", longer, weight


def table_row(
    groups: str, utility: Utility, weight: float, method: str, clicks: float, welfare: float, bound: float,
    seconds: float,
) -> str:
    total = clicks + welfare
    gap = 100 * (bound - total) / clicks
    return (
        f"| {groups} | {utility} | {weight:g} | {method} | {clicks:.3f} | {welfare:.3f} | {total:.4f} | {bound:.4f} "
        f"| {gap:.5f} | {seconds:.2f} |"
    )


def steam_problem(steam: tuple[np.ndarray, ...], group: np.ndarray) -> Problem:
    inside, n_groups = group >= 0, int(group.max()) + 1
    return Problem.build(
        *steam[:3], attention=1.0 / np.log2(np.arange(2, K + 2)),
        group_indptr=np.concatenate([[0], np.cumsum(inside)]), group_ids=group[inside],
        goals=Goals(np.arange(n_groups), np.zeros(n_groups, np.int8), np.zeros(n_groups)),
    )  # fmt: skip


def compare(name: str, steam: tuple[np.ndarray, ...], group: np.ndarray, weights: Iterable[float]) -> None:
    bare = steam_problem(steam, group)
    market = Market.build(*steam[:3], attention=bare.attention, group=group, popularity=steam[4])
    taxed = []
    for rate in TaxRank().strengths:
        began = time.perf_counter()
        taxed.append((rate, TaxRank().rerank(market, rate), time.perf_counter() - began))
    groups = np.arange(len(bare.goals))
    for alpha in (1.0, 2.0, None):
        utility = Utility(alpha)
        for weight in weights:
            term = utility.term(bare, groups, weight)
            problem = replace(bare, welfare=WelfareTerms((term,)))
            ours = solve(problem)
            bound = ours.upper_bound + ours.welfare_after
            about = (name, utility, weight)
            found = (ours.clicks_after, ours.welfare_after, bound, ours.seconds)
            print(table_row(*about, "**ltexpo**", *found), flush=True)

            def row(
                method: str, slots: np.ndarray, seconds: float, *, problem: Problem = problem, term: Term = term,
                about: tuple[str, Utility, float] = about, bound: float = bound,
            ) -> tuple[float, str]:
                clicks, shown = count_clicks(problem, slots)
                welfare = term.value(np.asarray(problem.membership.T @ shown)[term.at])
                return clicks + welfare, table_row(*about, method, clicks, welfare, bound, seconds)

            for method, peer, strength in utility.peers(weight):
                began = time.perf_counter()
                slots = peer.rerank(market, strength)
                print(row(method, slots, time.perf_counter() - began)[1], flush=True)
            label = f"tax_rank, best of {len(taxed)} rates"
            tried = [row(f"{label} ({rate:g})", slots, seconds) for rate, slots, seconds in taxed]
            print(max(tried)[1], flush=True)


def scale(lists: int) -> None:
    """The instance of speed_rerank.py, its floors taken away: 2,000 sellers as welfare groups."""
    made = make_instance(lists, 100, 50_000, 2_000)
    n_goals = len(made.goals)
    soft = replace(made, goals=Goals(made.goals.group, np.zeros(n_goals, np.int8), np.zeros(n_goals)))
    mean_score = count_clicks(made, np.tile(np.arange(made.k, dtype=np.int16), (lists, 1)))[0] / made.total_exposure
    for alpha in (1.0, 2.0, None):
        utility = Utility(alpha)
        weight = round(0.1 * mean_score, 4)
        problem = replace(soft, welfare=WelfareTerms((utility.term(soft, np.arange(1, n_goals), weight),)))
        answer = solve(problem)
        print(
            table_row(
                f"{lists:,} × 100, 2,000 sellers", utility, weight, f"**ltexpo**, {answer.passes:.1f} passes",
                answer.clicks_after, answer.welfare_after, answer.upper_bound + answer.welfare_after, answer.seconds,
            ),
            flush=True,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("LTEXPO_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data / "steam_fairdiverse")
    parser.add_argument("--scale", type=int, default=1_000_000, help="lists of the scale instance, 0 for none")
    parser.add_argument("--only-scale", action="store_true", help="leave Steam out")
    options = parser.parse_args()
    steam = load_steam(options.data)
    publisher = steam[3].astype(np.int64)
    for alpha in (1.0, None):  # compile once, so that seconds are those of a warm process
        bare = steam_problem(steam, publisher)
        solve(replace(bare, welfare=WelfareTerms((Utility(alpha).term(bare, np.arange(len(bare.goals)), 0.01),))))
    print(HEADER)
    if not options.only_scale:
        compare("43 publishers", steam, publisher, (0.003, 0.03, 0.3))
        compare("1,238 items", steam, np.arange(len(publisher)), (0.01,))
    if options.scale:
        scale(options.scale)


if __name__ == "__main__":
    main()
