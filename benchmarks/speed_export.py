"""A made rankings.parquet → each lookup format: lists a second, size, peak memory.

Run: python benchmarks/speed_export.py [--lists 1000000] [--k 20] [--items 100000]
Each format is written by a process of its own, so that peak memory is that format's alone; the process with nothing
written yet is the first line. user ids stand in no order, so that `key: user` has to sort.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from ltexpo.columns import Columns
from ltexpo.data.batches import write_batches
from ltexpo.exports import ExportSettings, export_lists

CASES = (
    {"formats": ("redis",)}, {"formats": ("redis",), "details": True}, {"formats": ("jsonl",)},
    {"formats": ("csv",)}, {"formats": ("parquet",)}, {"formats": ("redis",), "key": "user"},
    {"formats": ("redis", "csv", "parquet", "jsonl")},
)
ID = pa.dictionary(pa.int32(), pa.large_string())
SCHEMA = pa.schema([
    (Columns.Request, ID), (Columns.User, ID), (Columns.Rank, pa.int32()), (Columns.Item, ID),
    (Columns.Score, pa.float32()), (Columns.Price, pa.float64()),
])


def make_rankings(path: Path, n_lists: int, k: int, ids: pa.Array) -> None:
    rng = np.random.default_rng(0)
    users = rng.permutation(n_lists)

    def batches():
        for first in range(0, n_lists, 50_000):
            n = min(50_000, n_lists - first)
            owner = pa.array(np.repeat(np.arange(n, dtype=np.int32), k))
            requests = pa.array([f"q{at:010d}" for at in range(first, first + n)], pa.large_string())
            named = pa.array([f"u{at:010d}" for at in users[first : first + n]], pa.large_string())
            yield pa.record_batch([
                pa.DictionaryArray.from_arrays(owner, requests), pa.DictionaryArray.from_arrays(owner, named),
                pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), n)),
                pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, len(ids), n * k).astype(np.int32)), ids),
                pa.array(rng.random(n * k, dtype=np.float32)), pa.array(rng.random(n * k)),
            ], schema=SCHEMA)

    write_batches(batches(), SCHEMA, path)


def export(rankings: Path, ids: pa.Array, case: dict[str, object], answer: "multiprocessing.Queue[object]") -> None:
    with tempfile.TemporaryDirectory(dir=rankings.parent) as folder:
        started = time.perf_counter()
        if case:
            export_lists(rankings, ids, ExportSettings.model_validate(case), Path(folder))
        seconds = time.perf_counter() - started
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    answer.put((seconds, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--items", type=int, default=100_000)
    asked = parser.parse_args()
    ids = pa.array([f"sku-{at:07d}" for at in range(asked.items)], pa.large_string())
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        rankings = Path(folder) / "rankings.parquet"
        make_rankings(rankings, asked.lists, asked.k, ids)
        print(f"{asked.lists:,} lists of {asked.k}, {asked.items:,} items, {rankings.stat().st_size / 1e6:.0f} MB")
        for case in ({}, *CASES):
            answer = fresh.Queue()
            process = fresh.Process(target=export, args=(rankings, ids, case, answer))
            process.start()
            seconds, size, peak = answer.get()
            process.join()
            words = ", ".join(f"{name} {value}" for name, value in case.items()) or "nothing"
            rate = f"{asked.lists / seconds:>9,.0f} lists/s" if case else " " * 17
            print(f"{words:<60} {seconds:6.1f} s {rate} {size / 1e6:7.0f} MB, peak {peak / 1e3:,.0f} MB")


if __name__ == "__main__":
    main()
