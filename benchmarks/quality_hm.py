"""H&M by rolling days: the blend against each of its parts; run: python benchmarks/quality_hm.py --data PATH.

Weights (like the default settings) are chosen on 2020-09-17, then fixed; tested on the 18th and the 19th pooled, each
with all earlier days as training, for customers with an earlier purchase: the first 12 of the full catalogue.
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data import Dataset, TailSpec, time_split
from ltexpo.data.importers import IMPORTERS
from ltexpo.data.tail import tier_summary
from ltexpo.metrics.accuracy import accuracy, accuracy_table
from ltexpo.metrics.intervals import Ratio, difference
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender

TEST_DAYS = ("2020-09-18", "2020-09-19")
K = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with articles and transactions")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = time.perf_counter()
    imported = IMPORTERS["hm"](options.data)
    dataset = Dataset.of(imported.items, imported.events)
    events = dataset.require_events("the benchmark")
    settings = RecommendSettings(k=K, users="known", validation_days=1, explore=0)

    chosen = fit_recommender(dataset, settings.model_copy(update={"until": TEST_DAYS[0]}), options.seed)
    weights = chosen.report["weights"]
    lists: dict[str, list[pd.DataFrame]] = {}
    wanted, tiers, known_users = [], [], 0
    for day in TEST_DAYS:
        split = time_split(events, day, pd.Timestamp(day) + pd.Timedelta(days=1))
        test = split.test[split.test[Columns.User].isin(split.train[Columns.User])]
        known_users += test[Columns.User].nunique()
        fixed = settings.model_copy(update={"until": day, "weights": weights})
        fitted = fit_recommender(dataset, fixed, options.seed)
        for name in ("blend", *weights):
            made = fitted.recommend(pd.Index(test[Columns.User].unique()), part=None if name == "blend" else name)
            lists.setdefault(name, []).append(_of_day(made.candidates, day))
        wanted.append(_of_day(test[[Columns.User, Columns.Item]].assign(request_id=test[Columns.User]), day))
        tiers.append(TailSpec().assign(dataset.items, split.train).assign(day=day))

    print(f"{len(dataset.items):,} items, {len(events):,} purchases, {known_users:,} user-days, "
          f"{len(pd.concat(wanted).drop_duplicates()):,} bought pairs; seed {options.seed}, {os.cpu_count()} cores, "
          f"{platform.machine()}")
    print(f"tiers: {TailSpec()}; on the last day {_sizes(tiers[-1])}\n")
    print(_table(lists, pd.concat(wanted), pd.concat(tiers), weights))
    print("\n" + _against_parts(lists, pd.concat(wanted)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{time.perf_counter() - begin:.0f} s in all, peak memory {peak:.2f} GiB")


def _of_day(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    """Requests and items named by their day too: an item can be tail on one day and new on another."""
    return frame.assign(**{
        Columns.Request: frame[Columns.Request] + "@" + day, Columns.Item: frame[Columns.Item] + "@" + day,
    })


def _table(
    lists: dict[str, list[pd.DataFrame]], wanted: pd.DataFrame, tiers: pd.DataFrame, weights: dict[str, float]
) -> str:
    tiers = tiers.assign(**{Columns.Item: tiers[Columns.Item] + "@" + tiers["day"]})
    users = wanted.drop_duplicates(Columns.Request).set_index(Columns.Request)[Columns.User]
    lines = [
        f"| | weight | MAP@{K} % | recall@{K} % | head | tail | new |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, parts in lists.items():
        measured = accuracy_table(pd.concat(parts), wanted, tiers, k=(K,), users=users)
        cell = {(row.metric, row.tier): f"{100 * row.value:.2f} ({100 * row.low:.2f}–{100 * row.high:.2f})"
                for row in measured.itertuples()}
        weight = f"{weights[name]:.3f}" if name in weights else ""
        cells = [cell[(f"map@{K}", "all")], *(cell[(f"recall@{K}", tier)] for tier in ("all", "head", "tail", "new"))]
        lines.append(f"| {name} | {weight} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _against_parts(lists: dict[str, list[pd.DataFrame]], wanted: pd.DataFrame) -> str:
    """Blend − each part, paired over users."""
    users = wanted.drop_duplicates(Columns.Request).set_index(Columns.Request)[Columns.User]
    scored = {name: accuracy(pd.concat(parts), wanted, k=(K,)) for name, parts in lists.items()}
    lines = []
    for name in list(lists)[1:]:
        cells = []
        for metric in (f"MAP@{K}", f"recall@{K}"):
            blend, part = (
                Ratio.mean(scored[which][metric.lower()], users.reindex(scored[which].index).to_numpy())
                for which in ("blend", name)
            )
            gain = difference(blend, part)
            cells.append(f"{metric} {100 * gain.value:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})")
        lines.append(f"blend − {name}: {', '.join(cells)}")
    return "\n".join(lines)


def _sizes(tiers: pd.DataFrame) -> str:
    return ", ".join(f"{row.tier} {row.items:,}" for row in tier_summary(tiers).itertuples())


if __name__ == "__main__":
    main()
