"""A job and how to make all that scores its users → candidates, as Parquet parts that executors write."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ltexpo.data.tables import write_frame
from ltexpo.engines.blocks import arrow_schema
from ltexpo.engines.lists import PART, refuse_unseen
from ltexpo.engines.session import PARTS_A_CORE, cores
from ltexpo.errors import InputError, unwritable
from ltexpo.ranking.recommender import Recommended

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from ltexpo.ranking.users import Users

SCORED = "block int, counts string, refusal string"


def recommend_on(
    session: "SparkSession", make: "Callable[[str], Users]", told: str, out: Path, *, partitions: int | None, k: int,
    report: Mapping[str, Any], noted: Mapping[str, Any],
) -> Recommended:
    """Every user's list into the folder `out`, one part for each block of users, with the report.

    `make(told)` is called once by each Python worker, which keeps what it gives: model, dataset and features. A block
    is the one that the local engine scores at a time, so its scores are the same; the driver learns their number from
    an executor too, and loads nothing.
    """
    try:
        out.mkdir()
    except OSError as error:
        raise unwritable(out, error) from error

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield _row(-1, lambda: {"counts": make(told).counts, "blocks": len(make(told).starts)})

    first = _told(session.range(0, 1, 1, 1).mapInArrow(look, SCORED).toArrow())[0]
    n_blocks, counts = first["blocks"], first["counts"]

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for block in batch.column(0).to_pylist():
                def one(block: int = block) -> dict[str, Any]:
                    users = make(told)
                    scored = users.score(users.starts[block])
                    write_frame(scored.frame(), out / PART.format(block), metadata=noted)
                    return scored.counts(k)

                yield _row(block, one)

    n_parts = min(n_blocks, partitions or PARTS_A_CORE * cores(session))
    blocks = session.range(0, n_blocks, 1, max(n_parts, 1))
    for found in _told(blocks.mapInArrow(score, SCORED).toArrow()):
        counts = {name: count + found.get(name, 0) for name, count in counts.items()}
    refuse_unseen([out / PART.format(block) for block in range(n_blocks)])
    return Recommended(report={**report, "counts": counts})


def _row(block: int, work: Callable[[], dict[str, Any]]) -> pa.RecordBatch:
    """What `work` found as a row, or its refusal: raised in a task it would be tried again, and end as a Java trace."""
    try:
        counts, refusal = json.dumps(work()), None
    except InputError as error:
        counts, refusal = None, json.dumps([type(error).__name__, str(error)])
    return pa.RecordBatch.from_pylist(
        [{"block": block, "counts": counts, "refusal": refusal}], schema=arrow_schema(SCORED)
    )


def _told(table: pa.Table) -> list[dict[str, Any]]:
    from ltexpo.engines.intake import refusal_of

    rows = sorted(table.to_pylist(), key=lambda row: int(row["block"]))
    refusal = refusal_of([{"refusal": json.loads(row["refusal"])} for row in rows if row["refusal"]])
    if refusal is not None:
        raise refusal
    return [json.loads(row["counts"]) for row in rows]
