"""Whether the simulation can be believed: item-side designs, common random numbers, fidelity to another policy, and
whether what it assumes of returning users is found again in the logs that they make.

    python benchmarks/validity_simulation.py --parts interference,twins
    python benchmarks/validity_simulation.py --parts returning --seeds 8
    python benchmarks/validity_simulation.py --parts fidelity --obd PATH

PATH is a folder of the Open Bandit Dataset that holds random/men and bts/men.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
from made_visits import log_of, visits_of

from ltexpo.data import Dataset, TailSpec
from ltexpo.data.importers.open_bandit import import_open_bandit
from ltexpo.data.synthetic.shop import Shop, make_shop
from ltexpo.ranking.recommend import RecommendSettings, recommend
from ltexpo.rerank import ExposureReranker, Goal, RerankSettings
from ltexpo.simulate import Experiment, ExperimentSettings, KnownEnvironment
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.designs import ItemSideSettings, simulate_item_designs
from ltexpo.simulate.fitted import FitSettings, fidelity, fit_return_strength

UNTIL = "2026-01-17"
FACTORS = (0.5, 1.0, 2.0)
"""Boosts, as multiples of those that a fifth of the exposure for the tail needs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="interference,twins,returning,fidelity")
    parser.add_argument("--obd", type=Path, help="folder of the Open Bandit Dataset")
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    parts = options.parts.split(",")
    print(f"{os.cpu_count()} cores, {platform.machine()}")
    if "interference" in parts or "twins" in parts:
        case = _Case()
        if "interference" in parts:
            interference(case, options.seeds)
        if "twins" in parts:
            twins(case, options.seeds)
    if "returning" in parts:
        returning(options.seeds)
    if "fidelity" in parts:
        if options.obd is None:
            parser.error("--parts fidelity needs --obd")
        open_bandit(options.obd)


class _Case:
    """A made shop, its candidates by the blend, and boosts that give the tail a fifth of the exposure."""

    def __init__(self) -> None:
        self.shop: Shop = make_shop(n_items=6_000, n_users=4_000, n_days=14, rng=0)
        dataset = self.shop.dataset
        self.candidates = recommend(
            dataset, RecommendSettings(k=100, until=UNTIL, explore=0.5, users="known"), rng=0
        ).candidates
        events = dataset.require_events("the benchmark")
        self.tiers = TailSpec().assign(dataset.items, events[events["timestamp"] < pd.Timestamp(UNTIL, tz="UTC")])
        goals = (Goal(group="tail", min_share=0.2),)
        settings = RerankSettings(k=10, goals=goals, guardrails={"min_score_ratio": None})
        self.lists = ExposureReranker(settings).fit(
            self.candidates, items=dataset.items.assign(tier=self.tiers["tier"].to_numpy())
        ).fitted_
        self.environment = KnownEnvironment(self.shop.truth)


def interference(case: _Case, seeds: int) -> None:
    """Each design beside the total effect, over seeds: of the deal of items and of the days."""
    print(f"\n{len(case.shop.dataset.items):,} products, {case.candidates['user_id'].nunique():,} users, 100 "
          f"candidates, lists of 10, {seeds} seeds; factor = estimate / total effect\n")
    print("| boost | design | outcome | factor (± standard error) | least | most | intervals that cover |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: |")
    for times in FACTORS:
        boosts = case.lists.boosts.assign(boost=case.lists.boosts["boost"] * times)
        table = pd.concat([
            simulate_item_designs(
                case.candidates, boosts, case.environment, ItemSideSettings(), items=case.shop.dataset.items,
                tiers=case.tiers, rng=seed,
            ).table
            for seed in range(seeds)
        ])
        for (design, outcome), rows in table.groupby(["design", "outcome"], sort=False):
            factor = rows["factor"]
            print(f"| {times:g}× | {design} | {outcome} | {factor.mean():.3f} ± {factor.std() / np.sqrt(seeds):.3f} | "
                  f"{factor.min():.2f} | {factor.max():.2f} | {rows['covers'].sum()} of {seeds} |", flush=True)


def twins(case: _Case, seeds: int) -> None:
    """The variance of the effect over seeds: arms with the same chance, and arms with chance of their own."""
    metrics = (
        "clicks per visit", "tail share of exposure", "purchases per visit", "revenue per visit", "visits per user",
    )
    tables: dict[str, list[pd.Series]] = {"same": [], "own": []}
    for seed in range(seeds):
        tables["same"].append(_difference(case, seed, seed))
        tables["own"].append(_difference(case, seed, seed + 10_000))
    print(f"\nvariance of treatment − control over {seeds} seeds, 14 days, everybody in both arms\n")
    print("| metric | effect | own chance | same chance | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    own, same = (pd.concat(tables[key], axis=1) for key in ("own", "same"))
    for metric in metrics:
        a, b = own.loc[metric].var(), same.loc[metric].var()
        print(f"| {metric} | {same.loc[metric].mean():+.4g} | {a:.3g} | {b:.3g} | {a / b:.1f} |")


def _difference(case: _Case, first: int, second: int) -> "pd.Series[float]":
    """Treatment under the seed `second` minus control under `first`, by metric."""

    def values(seed: int, column: str) -> "pd.Series[float]":
        result = Experiment(ExperimentSettings(before_days=0)).simulate(
            case.lists.control, case.lists.rankings, case.environment, items=case.shop.dataset.items, tiers=case.tiers,
            rng=seed,
        )
        table = result.effects
        rows = table[(table["reading"] == "effect") & (table["by"] == "all")].set_index("metric")
        found: pd.Series[float] = rows[column]
        return found

    return values(second, "treatment") - values(first, "control")


def returning(seeds: int) -> None:
    """The strength with which satisfaction brings users back, learnt from the simulator's own visits."""
    memory = BehaviourSettings().satisfaction_memory
    print(f"\n4,000 users, 28 days, {seeds} seeds\n")
    print("| true strength | learnt (± standard error) | stated error | deviation over seeds | intervals that hold |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for strength in (0.0, 0.5, 1.5):
        found = [
            fit_return_strength(log_of(visits_of(strength, n=4_000, days=28, seed=seed)), memory=memory)
            for seed in range(seeds)
        ]
        values = np.array([one.strength for one in found])
        held = sum(one.low <= strength <= one.high for one in found)
        print(f"| {strength:g} | {values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(seeds):.3f} | "
              f"{np.mean([one.error for one in found]):.3f} | {values.std(ddof=1):.3f} | {held} of {seeds} |",
              flush=True)


def open_bandit(path: Path) -> None:
    """Fitted on one policy's log, predict the other's: clicks of all of it, exposure of one half from the other."""
    loaded = {}
    for policy in ("random", "bts"):
        found = import_open_bandit(path / policy / "men")
        loaded[policy] = Dataset.of(found.items, found.events, found.users)
    for source, target in (("random", "bts"), ("bts", "random")):
        begin = time.perf_counter()
        dataset, events = loaded[source], loaded[target].require_events("the benchmark")
        learnt = dataset.require_events("the benchmark")
        shown = events[events["event"] == "impression"]
        even = shown["request_id"].astype(int) % 2 == 0
        print(f"\nOpen Bandit men, fitted on {source} ({(learnt['event'] == 'impression').sum():,} impressions, "
              f"{(learnt['event'] == 'click').sum()} clicks), predicting {target} "
              f"({len(shown):,} and {(events['event'] == 'click').sum()})\n")
        whole = fidelity(dataset.items, learnt, FitSettings(), events, refits=50)
        clicks = whole.table[whole.table["what"] == "click-through rate"]
        later = events[events["request_id"].isin(shown["request_id"][~even])]
        half = fidelity(dataset.items, learnt, FitSettings(), later, policy=shown[even], refits=20).table
        table = pd.concat([clicks, half[half["what"] == "share of exposure"]])
        print("| what | by | group | predicted | actual | difference with 95% interval | z |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
        for row in table.itertuples():
            print(f"| {row.what} | {row.by} | {row.group or ''} | {row.predicted:.4f} | {row.actual:.4f} | "
                  f"{row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f}) | {row.z:+.2f} |")
        held = ((table["low"] <= 0) & (table["high"] >= 0)).sum()
        print(f"\n{held} of {len(table)} intervals hold no difference; {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
