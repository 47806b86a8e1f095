"""H&M by rolling days: every method, as it is and at four tail shares.

Choose on 2020-09-17, then test once on the 18th and 19th:
    python benchmarks/quality_hm.py --data PATH --vectors PATH --out DIR --validate --methods blend,ease,bpr
    python benchmarks/quality_hm.py --data PATH --vectors PATH --out DIR --test
Each run (method, seed, day) is kept in DIR/validate or DIR/test, so that methods can be run apart: the tables are of
all runs that are there (--methods none: the tables alone). `--vectors` is what 'ltexpo encode' wrote.
"""

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path

import pandas as pd
from hm_days import PLAIN, Shop, frontier_lists
from hm_methods import METHODS, RANDOM
from hm_tables import difference_table, frontier_table, plain_table, score

from ltexpo.columns import Columns
from ltexpo.data import TailSpec
from ltexpo.data.tail import tier_summary
from ltexpo.errors import InputError

DEFAULT = ",".join(name for name in METHODS if "-" not in name)
"""All but the ablations."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with articles and transactions")
    parser.add_argument("--vectors", type=Path, help="folder of item vectors, with 'text'")
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps the runs")
    parser.add_argument("--methods", default=DEFAULT, help=f"names with commas between, or none: {', '.join(METHODS)}")
    parser.add_argument("--seeds", default="0,1,2", help="of each method that has randomness; others run with 0")
    parser.add_argument("--compare", default="model:blend", help="pairs a:b, with commas between: a − b")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--validate", action="store_true", help="the 17th; nothing of later days is read")
    which.add_argument("--test", action="store_true", help="the 18th and 19th")
    options = parser.parse_args()
    asked = [] if options.methods == "none" else options.methods.split(",")
    unknown = sorted(set(asked) - set(METHODS))
    if unknown:
        parser.error(f"--methods: '{unknown[0]}' is not one of {', '.join(METHODS)}")
    shop = Shop.open(options.data, options.vectors, validate=options.validate)
    out = options.out / ("validate" if options.validate else "test")
    out.mkdir(parents=True, exist_ok=True)
    for method in asked:
        for seed in map(int, options.seeds.split(",") if method in RANDOM else "0"):
            run(shop, method, seed, out)
    show(shop, out, [tuple(pair.split(":")) for pair in options.compare.split(",")])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory {peak:.2f} GiB, {os.cpu_count()} cores, {platform.machine()}")


def run(shop: Shop, method: str, seed: int, out: Path) -> None:
    """Write the lists of each day at every share, and what is known of the run beside them."""
    for day in shop.days:
        begin = time.perf_counter()
        try:
            made = METHODS[method](shop, day, seed)
        except InputError as error:
            print(f"{method}, {day.day}: refused: {error}", flush=True)
            return
        seconds = time.perf_counter() - begin
        lists = pd.concat([
            part[[Columns.User, Columns.Item, Columns.Rank]].assign(method=method, seed=seed, day=day.day, share=share)
            for share, part in frontier_lists(made, day, seed).items()
        ], ignore_index=True)
        name = f"{method}-{seed}-{day.day}"
        lists.to_parquet(out / f"{name}.parquet")
        facts = {"method": method, "seed": seed, "day": day.day, "seconds": seconds, **made.facts}
        (out / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {seconds:.0f} s {made.facts}", flush=True)


def show(shop: Shop, out: Path, pairs: list[tuple[str, ...]]) -> None:
    """Print the tables of all runs in `out`, and write their figures to tables.json there."""
    runs = pd.DataFrame([json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*-*.json"))])
    days_of = runs.groupby(["method", "seed"])["day"].transform("nunique")
    for row in runs[days_of < len(shop.days)].itertuples():
        print(f"left out: {row.method} with seed {row.seed}, of which only {row.day} is there")
    runs = runs[days_of == len(shop.days)]
    seconds = runs.groupby("method")["seconds"].mean().to_dict()
    seeds = runs.groupby("method")["seed"].nunique().to_dict()
    scores = {}
    for name in [name for name in METHODS if name in seeds]:
        mine = runs[runs["method"] == name]
        lists = pd.concat([
            pd.read_parquet(out / f"{name}-{run.seed}-{run.day}.parquet") for run in mine.itertuples()
        ])
        for share in [PLAIN, *sorted(set(lists["share"]) - {PLAIN})]:
            scores[name, share] = score(lists[lists["share"] == share], shop.days)
    people = sum(len(day.users) for day in shop.days)
    print(f"\n{len(shop.dataset.items):,} items, {people:,} user-days, {sum(len(day.wanted) for day in shop.days):,} "
          f"bought pairs, {', '.join(day.day for day in shop.days)}\ntiers: {TailSpec()}; on the last day "
          + ", ".join(f"{row.tier} {row.items:,}" for row in tier_summary(shop.days[-1].items).itertuples()) + "\n")
    print(plain_table(scores, seconds, seeds) + "\n")
    print(frontier_table(scores) + "\n")
    print(difference_table(scores, [(left, right) for left, right in pairs]))
    short = {name: one.short for (name, share), one in scores.items() if share == PLAIN and one.short}
    print("\nlists with fewer than 12 items: " + (", ".join(f"{k} {n:,}" for k, n in short.items()) or "none"))
    rows = [{"method": name, "share": share, "seconds": seconds[name], **one.plain()}
            for (name, share), one in scores.items()]
    (out / "tables.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
