"""Made lists with known truth, and Open Bandit → is off-policy evaluation right, how often, and when does it refuse.

Run: python benchmarks/validity_ope.py [--data shared/data] [--draws 300] [--only exact,cascade,bandit,coverage]
exact: every list of 3 out of 5 products under two kinds of users; the expectation of each estimator by enumeration.
cascade: logs of `--draws` seeds where clicks end a list; each estimator's mean squared error.
bandit: Open Bandit, campaign men: each of two real policies judged from the other's log, by z against what it earned.
coverage: single slots and lists, a target that moves away from the log's policy; how often 95% intervals hold the
truth, by overlap and by effective sample size, with no refusal in force; and what the default refusal would leave.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from made_slates import MODELS, Slates, expectation

from ltexpo.data import Dataset
from ltexpo.data.importers.open_bandit import import_open_bandit
from ltexpo.metrics.intervals import mean_estimate
from ltexpo.simulate.ope import OpeSettings, evaluate_policy, policy_of_log, read_log, read_policy

NEVER_REFUSED = {"min_effective": 0.0, "min_rewarded": 0.0, "max_pareto_k": 99.0, "max_lacking": 0.99}
DEFAULTS = OpeSettings()
BINS = (0, 25, 50, 100, 200, 500, 1000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--only", default="exact,cascade,bandit,coverage")
    options = parser.parse_args()
    if "exact" in options.only:
        exact()
        simulated(options.draws)
    if "cascade" in options.only:
        cascade(options.draws)
    if "bandit" in options.only:
        bandit(options.data / "obd")
    if "coverage" in options.only:
        coverage(options.draws)


def exact() -> None:
    print("Expectation over all logged lists less the truth, by enumeration (clicks a list):\n")
    print("| estimator | " + " | ".join(MODELS) + " |\n| :-- |" + " --: |" * len(MODELS))
    cases = [Slates.make(m, n_items=5, k=3, apart=2.0, rng=np.random.default_rng(4), clicks=0.5) for m in MODELS]
    for name in ("ips", "rips", "cascade_dr", "iips", "iips, conditional propensities", "dr"):
        off = [expectation(case, name) - case.truth() for case in cases]
        print(f"| {name} | " + " | ".join(f"{value:+.1e}" for value in off) + " |")
    print("| truth | " + " | ".join(f"{case.truth():.4f}" for case in cases) + " |\n", flush=True)


def simulated(draws: int) -> None:
    print(f"Mean error over {draws} drawn logs of 2,000 lists in Monte-Carlo standard errors (z):\n")
    names = ("ips", "rips", "snrips", "cascade_dr", "iips", "sniips", "dr")
    print("| estimator | " + " | ".join(MODELS) + " |\n| :-- |" + " --: |" * len(MODELS))
    found = []
    for model in MODELS:
        slates = Slates.make(model, n_items=5, k=3, apart=1.0, rng=np.random.default_rng(4), clicks=0.5)
        found.append(errors(slates, OpeSettings(estimator=names), n=2000, draws=draws))
    for name in names:
        off = [table.loc[table["estimator"] == name, "off"] for table in found]
        print(f"| {name} | " + " | ".join(f"{one.mean() / one.sem():+.1f}" for one in off) + " |")
    print(flush=True)


def cascade(draws: int) -> None:
    print(f"Clicks end a list (cascade): errors over {draws} seeds, 1,000 and 10,000 lists of 5 out of 8 products:\n")
    print("| lists | estimator | bias | root of mean squared error | mean squared error of RIPS / its | held % |")
    print("| --: | :-- | --: | --: | --: | --: |")
    names = ("ips", "iips", "dr", "rips", "snrips", "cascade_dr")
    slates = Slates.make("cascade", n_items=8, k=5, apart=0.8, rng=np.random.default_rng(0))
    for n in (1000, 10_000):
        table = errors(slates, OpeSettings(estimator=names, **NEVER_REFUSED), n=n, draws=draws)
        squares = table.assign(square=table["off"] ** 2).groupby("estimator")["square"].mean()
        for name in names:
            mine = table[table["estimator"] == name]
            print(
                f"| {n:,} | {name} | {mine['off'].mean():+.4f} | {np.sqrt(squares[name]):.4f} "
                f"| {squares['rips'] / squares[name]:.2f} | {100 * mine['held'].mean():.1f} |"
            )
    print(flush=True)


def errors(slates: Slates, settings: OpeSettings, *, n: int, draws: int) -> pd.DataFrame:
    """One row per draw and estimator: off (estimate − truth), held, and its weights."""
    truth, table = slates.truth(), slates.table()
    return pd.DataFrame([
        row for seed in range(draws)
        for row in one_draw(slates, table, truth, settings, n, np.random.default_rng([1, seed]))
    ])


def one_draw(
    slates: Slates, table: pd.DataFrame, truth: float, settings: OpeSettings, n: int, rng: np.random.Generator,
    *, segments: bool = True,
) -> Iterator[dict[str, object]]:
    log = slates.log(n, rng)
    if not segments:
        log = replace(log, segments=np.zeros(n, dtype=np.int64))
    for row in evaluate_policy(log, read_policy(table, log), settings, rng=rng).rows:
        yield {
            **row.to_dict(), "off": row.value.value - truth, "held": row.value.low <= truth <= row.value.high,
            "said": row.ok,
        }


def bandit(folder: Path) -> None:
    logs = {}
    for name in ("random", "bts"):
        imported = import_open_bandit(folder / name / "men")
        logs[name] = read_log(Dataset.of(imported.items, imported.events, imported.users))
    print("Open Bandit, men, 10,000 slots each; clicks per 1,000 slots (95%), clustered by the users' features:\n")
    print("| log → policy | estimator | value | what it earned | z | effective | rewarded | Pareto k | verdict |")
    print("| :-- | :-- | --: | --: | --: | --: | --: | --: | :-- |")
    for of, target in (("random", "bts"), ("bts", "random")):
        own = mean_estimate(logs[target].rewards.sum(axis=1), logs[target].users)
        policies = {target: policy_of_log(logs[target])}
        if target == "random":
            even = policies["random"].assign(probability=1 / len(logs[of].item_map))
            policies["random, exactly even"] = even
        for name, table in policies.items():
            for row in evaluate_policy(logs[of], read_policy(table, logs[of])).rows:
                z = (row.value.value - own.value) / np.hypot(row.value.error, own.error)
                weights = row.weights
                told = "– | – | –" if weights is None else (
                    f"{weights.effective:,.0f} | {weights.rewarded:.1f} | {weights.pareto_k:.2f}"
                )
                print(
                    f"| {of} → {name} | {row.estimator} | {thousand(row.value)} | {thousand(own)} | {z:+.2f} "
                    f"| {told} | {row.verdict} |"
                )
    print(flush=True)


def thousand(found: object) -> str:
    return f"{1000 * found.value:.1f} ({1000 * found.low:.1f}–{1000 * found.high:.1f})"  # type: ignore[attr-defined]


def coverage(draws: int) -> None:
    slots = swept(draws // 6, k=1, n_items=30, model="own item", apart=(0.3, 0.8, 1.4, 2.0, 3.0, 4.0))
    shown(slots, "single slots, 30 products", ("ips", "snips", "dr", "switch_dr", "dr_shrinkage", "dm"))
    lists = swept(draws // 12, k=4, n_items=7, model="cascade", apart=(0.2, 0.5, 0.8, 1.2, 1.6, 2.0))
    names = ("ips", "rips", "snrips", "cascade_dr", "iips", "dr")
    shown(lists, "lists of 4 out of 7 products, clicks end a list", names)


def swept(draws: int, *, k: int, n_items: int, model: str, apart: tuple[float, ...]) -> pd.DataFrame:
    """Rows of many cases: 1,000 and 5,000 requests, few and many clicks, kinds of users known and hidden."""
    settings, rows = OpeSettings(**NEVER_REFUSED), []
    for far in apart:
        for n in (1000, 5000):
            for clicks in (0.05, 0.35):
                for segments in (True, False):
                    for draw in range(draws):
                        seeds = [2, draw, n, k, int(100 * clicks), int(10 * far), segments]
                        rng = np.random.default_rng(seeds)
                        slates = Slates.make(model, n_items=n_items, k=k, apart=far, rng=rng, clicks=clicks)
                        for row in one_draw(
                            slates, slates.table(), slates.truth(), settings, n, rng, segments=segments
                        ):
                            rows.append({**row, "apart": far, "n": n})
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame, what: str, names: tuple[str, ...]) -> None:
    weights = table["effective_sample_size"]
    # the default rule, over what was measured without it; a check against an estimate that assumes less stays in force
    kept = table["said"] & (weights.isna() | (
        (weights >= DEFAULTS.min_effective) & (table["effective_rewarded"] >= DEFAULTS.min_rewarded)
        & ~(table["pareto_k"] > DEFAULTS.max_pareto_k) & ((table["mean_weight"] - 1).abs() <= DEFAULTS.max_lacking)
    ))
    print(f"How often 95% intervals hold the truth, {what}, by how far the policy is from the log's:\n")
    distances = sorted(table["apart"].unique())
    heads = [*(f"{far:g}" for far in distances), "all", "said by default %", "of these held %"]
    print("| estimator | " + " | ".join(heads) + " |")
    print("| :-- |" + " --: |" * (len(distances) + 3))
    for name in names:
        mine = table["estimator"] == name
        held = 100 * table[mine].groupby("apart")["held"].mean()
        print(
            f"| {name} | " + " | ".join(f"{value:.1f}" for value in held)
            + f" | {100 * table[mine]['held'].mean():.1f} | {100 * kept[mine].mean():.0f} "
            f"| {100 * table[mine & kept]['held'].mean():.1f} |"
        )
    lead = table[table["estimator"] == names[1]]
    effective = lead.groupby("apart")["effective_sample_size"].median()
    print("| median effective | " + " | ".join(f"{value:,.0f}" for value in effective) + " | | | |\n")
    print("By effective sample size (held %, cases):\n")
    labels = [f"{low:,}–{high:,}" for low, high in pairwise(BINS)]
    print("| estimator | " + " | ".join(labels) + " |\n| :-- |" + " --: |" * len(labels))
    for name in names:
        mine = table[table["estimator"] == name]
        if mine["effective_sample_size"].isna().all():
            continue
        print(f"| {name} | " + " | ".join(by_bin(mine, "effective_sample_size", BINS)) + " |")
    told = table[table["estimator"].isin(names[1:4]) & (weights >= DEFAULTS.min_effective)]
    for column, bins in (("effective_rewarded", (0, 5, 10, 20, 50, 1e9)), ("pareto_k", (-np.inf, 0.3, 0.5, 0.7, 1, 9))):
        cells = by_bin(told, column, bins)
        ranges = [f"{low:g}–{high:g}" for low, high in pairwise(bins)]
        print(f"\n{', '.join(names[1:4])} with {DEFAULTS.min_effective:g} effective or more, by {column}:\n")
        print("| " + " | ".join(ranges) + " |\n|" + " --: |" * len(ranges) + "\n| " + " | ".join(cells) + " |")
    print(flush=True)


def by_bin(table: pd.DataFrame, column: str, bins: tuple[float, ...]) -> list[str]:
    groups = table.groupby(pd.cut(table[column], list(bins)), observed=False)["held"]
    cells = zip(groups.mean(), groups.size(), strict=True)
    return [f"{100 * mean:.0f} ({size})" if size else "–" for mean, size in cells]


if __name__ == "__main__":
    main()
