"""The same re-ranking job on the local engine and on Spark → equal answers, seconds and memory as a Markdown table.

Run: python benchmarks/speed_spark.py [--lists 1000000] [--candidates 100] [--partitions 1 4 32] [--masters local[2]]
  or, for candidates that lie on disk: python benchmarks/speed_spark.py --data DIR --from CANDIDATES [--k 12]
Made candidates are drawn as in speed_rerank.py and written as Parquet. Goals: a tail share, and for made candidates a
floor for every seller. Every run is a process of its own, from reading Parquet to written rankings; the answers of each
Spark run (rankings, control, promotions, prices, boosts, certificate but for seconds) are compared with those of the
local run value by value, and a difference ends the benchmark. Memory: the greatest of the driver's Python process;
Java, where it runs on the same machine, is given --java GB.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from speed_rerank import draw_lists

from ltexpo.engines import EngineSettings
from ltexpo.engines.rerank import engine_of
from ltexpo.jobs.reranking import catalogue_with_tiers
from ltexpo.rerank import ExposureReranker, RerankSettings

PIECE = 50_000
"""Lists of a row group."""


def make_candidates(folder: Path, n_lists: int, n_candidates: int, n_items: int, n_sellers: int) -> None:
    """candidates.parquet and items.parquet (with tier) of a made job."""
    rng = np.random.default_rng(0)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.9
    popularity /= popularity.sum()
    quality = -2.8 + 0.35 * np.log(popularity * n_items) + 0.4 * rng.standard_normal(n_items)
    ids = pa.array([f"i{code:06}" for code in range(n_items)])
    pd.DataFrame({
        "item_id": ids.to_pylist(), "tier": np.where(np.cumsum(popularity) > 0.8, "tail", "head"),
        "seller_id": [f"s{code:04}" for code in (rng.random(n_items) ** 2 * n_sellers).astype(int)],
    }).to_parquet(folder / "items.parquet")
    kind = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("request_id", kind), ("item_id", kind), ("score", pa.float32())])
    with pq.ParquetWriter(folder / "candidates.parquet", schema, compression="zstd", store_schema=False) as writer:
        for first in range(0, n_lists, PIECE):
            n = min(PIECE, n_lists - first)
            items, scores = np.empty(n * n_candidates, np.int32), np.empty(n * n_candidates, np.float32)
            draw_lists(n, n_candidates, np.cumsum(popularity), quality, 0.3, first, items, scores)
            requests = pa.array([f"r{row:09}" for row in range(first, first + n)])
            rows = np.repeat(np.arange(n, dtype=np.int32), n_candidates)
            writer.write_batch(pa.record_batch([
                pa.DictionaryArray.from_arrays(pa.array(rows), requests),
                pa.DictionaryArray.from_arrays(pa.array(items), ids), pa.array(scores),
            ], schema=schema))  # fmt: skip


def one_run(options: argparse.Namespace, room: Path, name: str, engine: EngineSettings, told: Path) -> None:
    """Re-rank into the folder `name`, and write seconds and memory to `told`."""
    out = room / name
    out.mkdir()
    if options.data is None:
        items, candidates = pd.read_parquet(room / "items.parquet"), room / "candidates.parquet"
        goals = [{"group": "tail", "min_share": 0.3}, {"group": "seller_id", "each": True, "min_of_attainable": 0.05}]
    else:
        items = catalogue_with_tiers(options.data, options.source, RerankSettings().tail, None)[0]
        candidates, goals = options.source, [{"group": "tail", "min_share": options.tail_share}]
    settings = RerankSettings(
        k=options.k, goals=goals, guardrails={"min_score_ratio": None}, elastic=True, memory_limit=options.memory,
        score_kind="probability",
    )
    began = time.perf_counter()
    with engine_of(engine, memory_limit=options.java) as made:
        started = time.perf_counter()
        found = ExposureReranker(settings, scratch=out, engine=made).fit(candidates, items=items).fitted_
        solved = time.perf_counter()
        found.lists.write(*(out / f"{table}.parquet" for table in ("rankings", "control", "promotions")), noted={})
        found.prices.to_parquet(out / "prices.parquet")
        found.boosts.to_parquet(out / "boosts.parquet")
        written = time.perf_counter()
    certificate = found.certificate.to_dict()
    (out / "certificate.json").write_text(json.dumps(certificate))
    told.write_text(json.dumps({
        "start": started - began, "solve": solved - started, "write": written - solved,
        "total": time.perf_counter() - began, "passes": certificate["passes"], "lists": certificate["requests"],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, "gap": certificate["gap"],
    }))  # fmt: skip


def refuse_difference(one: Path, other: Path) -> None:
    """Stop unless both folders hold the same values."""
    for name in ("rankings", "control", "promotions", "prices", "boosts"):
        here, there = (
            pq.read_table(folder / f"{name}.parquet", read_dictionary=["request_id", "item_id", "displaced", "goal"])
            for folder in (one, other)
        )
        if here.num_rows != there.num_rows or here.column_names != there.column_names:
            sys.exit(f"{other}: {name} has another shape")
        for column in here.column_names:
            ours, theirs = (table.column(column) for table in (here, there))
            step = 1 << 22
            for first in range(0, here.num_rows, step):
                mine, its = ours.slice(first, step), theirs.slice(first, step)
                if pa.types.is_dictionary(mine.type):
                    mine, its = (part.cast(pa.large_string()) for part in (mine, its))
                if not mine.combine_chunks().equals(its.combine_chunks()):
                    sys.exit(f"{other}: {name}.{column} differs")
    certificates = [json.loads((folder / "certificate.json").read_text()) for folder in (one, other)]
    for certificate in certificates:
        del certificate["seconds"]
    if certificates[0] != certificates[1]:
        sys.exit(f"{other}: the certificate differs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--sellers", type=int, default=200)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--tail-share", type=float, default=0.3)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--masters", nargs="+", default=["local[2]"])
    parser.add_argument("--partitions", nargs="+", type=int, default=[1, 4, 32])
    parser.add_argument("--memory", type=float, default=2.0, help="memory_limit, GB")
    parser.add_argument("--java", type=float, default=2.0, help="GB for Java")
    options = parser.parse_args()
    runs = [("local", EngineSettings())]
    for master in options.masters:
        for parts in options.partitions:
            runs.append((f"Spark {master}, {parts}", EngineSettings(engine="spark", master=master, partitions=parts)))
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        if options.data is None:
            make_candidates(room, options.lists, options.candidates, options.items, options.sellers)
        print("| engine, partitions | start | read and solve | write | total | peak GB | passes | equal |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for number, (words, engine) in enumerate(runs):
            told = room / "told.json"
            work = fresh.Process(target=one_run, args=(options, room, str(number), engine, told))
            work.start()
            work.join()
            if work.exitcode:
                sys.exit(f"{words}: stopped")
            if number:
                refuse_difference(room / "0", room / str(number))
            facts = json.loads(told.read_text())
            seconds = " | ".join(f"{facts[step]:.1f} s" for step in ("start", "solve", "write", "total"))
            print(f"| {words} | {seconds} | {facts['peak_gb']:.2f} | {facts['passes']:.1f} | "
                  f"{'yes' if number else ''} |", flush=True)
        print(f"\n{facts['lists']:,} lists, gap {facts['gap'] or float('nan'):.2e}")


if __name__ == "__main__":
    main()
