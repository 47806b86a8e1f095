"""Seconds to make, draw and save the standard made marketplace; run: python benchmarks/speed_make_shop.py.

The first run on a machine also compiles the logging policy's kernel (a few seconds, then cached).
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from ltexpo.data import Dataset
from ltexpo.data.synthetic import make_shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        begin = time.perf_counter()
        shop = make_shop(n_items=options.items, n_users=options.users, n_days=options.days, rng=0)
        made = time.perf_counter()
        rows.append(("make", made - begin))
        shop.save(Path(scratch) / "plain", pictures=False)
        saved = time.perf_counter()
        rows.append(("save without pictures", saved - made))
        shop.save(Path(scratch) / "shop", workers=options.workers)
        drawn = time.perf_counter()
        rows.append(("draw and save with pictures", drawn - saved))
        rows.append(("total (make, draw, save)", made - begin + drawn - saved))
        Dataset.load(Path(scratch) / "shop")
        rows.append(("load and check", time.perf_counter() - drawn))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = shop.dataset.require_events("the benchmark")["event"].value_counts()
    print(f"{options.items:,} items, {options.users:,} users, {options.days} days on {os.cpu_count()} cores: "
          + ", ".join(f"{count:,} {event}s" for event, count in counts.items()))
    for name, seconds in rows:
        print(f"{name:<28} {seconds:7.1f} s")
    print(f"{'peak memory':<28} {peak:7.0f} MiB")


if __name__ == "__main__":
    main()
