"""Parquet of made candidates on disk → the re-rank job in a fresh process: seconds by stage, peak memory, gap, goals.

Run: python benchmarks/speed_from_disk.py [--lists 10000000] [--candidates 50] [--memory-limit GB] [--scattered]
The tables are made by one process and the job runs in another, so peak memory is that of the job alone: peak_rss_mb is
all that it touched at one moment, pages of mapped temporary files included, which the system may take back at any time;
peak_anonymous_mb is what it may not. Items, scores and goals are those of speed_rerank.py: a tail share of 30%, and a
floor for every seller. Everything is removed at the end, but with --folder the tables stay and are used again.
"""

import argparse
import json
import logging
import multiprocessing
import re
import resource
import shutil
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from speed_rerank import draw_lists

from ltexpo.columns import Columns
from ltexpo.config import check_settings
from ltexpo.jobs.reranking import RerankJob, run_rerank

FILES = 8
ROW_GROUP = 2**20


def make_tables(folder: Path, n_lists: int, n_candidates: int, n_items: int, n_sellers: int, scattered: bool) -> None:
    """data/items.parquet, data/events.parquet and candidates/part-*.parquet, sorted by request_id unless scattered."""
    rng = np.random.default_rng(0)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.9
    popularity /= popularity.sum()
    quality = -2.8 + 0.35 * np.log(popularity * n_items) + 0.4 * rng.standard_normal(n_items)
    ids = np.array([f"sku-{n:09d}" for n in rng.permutation(10 * n_items)[:n_items]])
    seller = (rng.random(n_items) ** 2 * n_sellers).astype(np.int64)
    (folder / "data").mkdir(parents=True)
    (folder / "candidates").mkdir()
    pd.DataFrame({
        Columns.Item: ids, Columns.Title: [f"Product {n}" for n in range(n_items)],
        Columns.Seller: [f"seller-{n:04d}" for n in seller],
    }).to_parquet(folder / "data" / "items.parquet")
    bought = rng.multinomial(20 * n_items, popularity)
    pd.DataFrame({
        Columns.User: "u", Columns.Item: np.repeat(ids, bought), Columns.Event: "purchase",
        Columns.Timestamp: pd.Timestamp("2024-01-01", tz="UTC"),
    }).to_parquet(folder / "data" / "events.parquet")
    names, cumulative = pa.array(ids), np.cumsum(popularity)
    bounds = np.linspace(0, n_lists, FILES + 1).astype(np.int64)
    for part, (first, last) in enumerate(pairwise(bounds)):
        n = int(last - first)
        items, scores = np.empty(n * n_candidates, np.int32), np.empty(n * n_candidates, np.float32)
        draw_lists(n, n_candidates, cumulative, quality, 0.3, part, items, scores)
        owner = np.repeat(np.arange(n, dtype=np.int32), n_candidates)
        if scattered:
            order = rng.permutation(len(owner))
            owner, items, scores = owner[order], items[order], scores[order]
        requests = pa.array([f"user-{number:010d}" for number in range(first, last)])
        _write_part(folder / "candidates" / f"part-{part:03d}.parquet", owner, requests, items, names, scores)


def _write_part(
    path: Path, owner: npt.NDArray[np.int32], requests: pa.Array, items: npt.NDArray[np.int32], names: pa.Array,
    scores: npt.NDArray[np.float32],
) -> None:
    """Plain string columns, as any engine writes them."""
    with pq.ParquetWriter(
        path, pa.schema([(Columns.Request, pa.string()), (Columns.Item, pa.string()), (Columns.Score, pa.float32())]),
        compression="zstd",
    ) as writer:
        for at in range(0, len(owner), ROW_GROUP):
            rows = slice(at, at + ROW_GROUP)
            writer.write_table(pa.table({
                Columns.Request: requests.take(pa.array(owner[rows])), Columns.Item: names.take(pa.array(items[rows])),
                Columns.Score: scores[rows],
            }))


def run_job(folder: Path, memory_limit: float | None, results: "multiprocessing.Queue[dict[str, object]]") -> None:
    """The job, in this process, watched."""
    stages: dict[str, float] = {}

    class Stages(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found = re.fullmatch(r"(.*): ([\d.]+) s", record.getMessage())
            if found:
                stages[found[1]] = float(found[2])

    logging.getLogger("ltexpo").addHandler(Stages())
    logging.getLogger("ltexpo").setLevel(logging.INFO)
    job = check_settings(RerankJob, {
        "data": folder / "data", "candidates": folder / "candidates", "out": folder / "lists", "k": 20,
        "goals": [
            {"group": "tail", "min_share": 0.3},
            {"group": "seller_id", "each": True, "min_of_attainable": 0.05},
        ],
        "guardrails": {"min_score_ratio": None}, "memory_limit": memory_limit,
    }, "benchmark")
    anonymous = _Watch()
    began = time.perf_counter()
    result = run_rerank(job)
    seconds = time.perf_counter() - began
    certificate = result.certificate
    results.put({
        "seconds": round(seconds, 1), **stages, "cpu_seconds": round(time.process_time(), 1),
        "goals": len(certificate.goals),
        "goals_met": int(certificate.goals["met"].sum()), "gap": certificate.gap,
        "click_loss": certificate.click_loss, "promotions": certificate.facts["boosted"],
        "passes": certificate.facts["passes"],
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "peak_anonymous_mb": anonymous.stop(),
    })


class _Watch:
    """The largest anonymous memory of this process, looked at ten times a second."""

    def __init__(self) -> None:
        self.most, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while not self.over.wait(0.1):
            rows = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            self.most = max(self.most, next(int(row.split()[1]) for row in rows if row.startswith("RssAnon")))

    def stop(self) -> int:
        self.over.set()
        self.thread.join()
        return round(self.most * 1024 / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=10_000_000)
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--sellers", type=int, default=2_000)
    parser.add_argument("--memory-limit", type=float)
    parser.add_argument("--scattered", action="store_true", help="shuffle the rows within each file")
    parser.add_argument("--folder", type=Path, help="keep the tables here, and use those that are here already")
    options = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ltexpo-"))
    try:
        if not (folder / "candidates").exists():
            maker = fresh.Process(target=make_tables, args=(
                folder, options.lists, options.candidates, options.items, options.sellers, options.scattered,
            ))
            maker.start()
            maker.join()
            if maker.exitcode:
                sys.exit("the tables could not be made")
        disk = sum(path.stat().st_size for path in (folder / "candidates").iterdir())
        results = fresh.Queue()
        job = fresh.Process(target=run_job, args=(folder, options.memory_limit, results))
        job.start()
        job.join()
        if job.exitcode:
            sys.exit("the job failed")
        written = sum(path.stat().st_size for path in (folder / "lists").iterdir())
        print(json.dumps({
            "lists": options.lists, "candidates": options.candidates, "items": options.items,
            "scattered": options.scattered, "memory_limit": options.memory_limit,
            "arrays_mb": round(options.lists * (8 * options.candidates + 8) / 1e6),
            "input_on_disk_mb": round(disk / 1e6), "output_on_disk_mb": round(written / 1e6), **results.get(),
        }, indent=1))
    finally:
        shutil.rmtree(folder / "lists" if options.folder else folder, ignore_errors=True)


if __name__ == "__main__":
    main()
