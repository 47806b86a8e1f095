"""Candidates on disk → blocks of lists in a cached Spark table, read, checked, encoded and packed by executors.

Row groups are dealt out in order. A task reads its rows as the local engine does (`Reader`), cuts them into runs of one
request and sends each run to the partition that its request id falls into; there runs are joined in the order in which
they came. So lists, users and refusals are those of the local engine for any number of tasks and partitions.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ltexpo import errors
from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.engines.blocks import BLOCKS, arrow_schema, block_rows, facts_row, from_bytes, record_batch, to_bytes
from ltexpo.errors import InputError, LtexpoError
from ltexpo.rerank.encode import Job, reading_of
from ltexpo.rerank.intake import Reader, Rows, compact, confident
from ltexpo.rerank.kernels import sort_lists
from ltexpo.rerank.rows import count_repeats
from ltexpo.rerank.runs import Cut, Runs, cut
from ltexpo.rerank.source import Source
from ltexpo.rerank.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PIECES = (
    "part int, task int, seq int, facts string, starts binary, requests binary, users binary, weights binary, "
    "items binary, scores binary, lower binary"
)
SAMPLES = "request string, rows double"
SAMPLE = 256
"""Request ids that each reading task names, for cutting all of them into ranges."""
TASKS_A_CORE = 4


@dataclass(frozen=True)
class Deal:
    """Parquet in parts for the tasks that read it: what the executors are told."""

    schema: pa.Schema
    layout: ds.ParquetFileFormat
    filesystem: Any
    tasks: list[list[tuple[ds.ParquetFileFragment, list[int]]]]
    """For each task: files, and the row groups of each."""

    @classmethod
    def of(cls, source: Source, n_tasks: int) -> "Deal":
        """About as many rows for each of `n_tasks` tasks, in order."""
        data = source.files
        groups = [
            (fragment, group.id, group.num_rows) for fragment in data.get_fragments() for group in fragment.row_groups
        ]
        ends = np.cumsum([rows for *_, rows in groups])
        middle = ends - np.array([rows for *_, rows in groups]) / 2
        owner = np.minimum((middle * n_tasks / max(int(ends[-1]), 1)).astype(np.int64), n_tasks - 1)
        tasks: list[list[tuple[ds.ParquetFileFragment, list[int]]]] = [[] for _ in range(n_tasks)]
        for (fragment, group, _), task in zip(groups, owner, strict=True):
            if tasks[task] and tasks[task][-1][0] is fragment:
                tasks[task][-1][1].append(group)
            else:
                tasks[task].append((fragment, [group]))
        return cls(data.schema, data.format, data.filesystem, [task for task in tasks if task])

    def source(self, task: int) -> Source | None:
        """The rows of one task; None where there are none."""
        fragments = [fragment.subset(row_group_ids=groups) for fragment, groups in self.tasks[task]]
        data = ds.FileSystemDataset(fragments, self.schema, self.layout, self.filesystem)
        return Source(data) if data.count_rows() else None


def range_bounds(session: "SparkSession", deal: Deal, n_parts: int) -> list[str]:
    """n_parts − 1 request ids (or fewer) that cut all rows into ranges of about one size."""
    if n_parts == 1:
        return []
    told = session.sparkContext.broadcast(deal)

    def sample(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                yield _sample(told.value, task)

    found = _tasks(session, deal).mapInArrow(sample, SAMPLES).toArrow()
    told.destroy()
    ids = np.array(found.column("request").to_pylist(), dtype=object)
    order = np.argsort(ids, kind="stable")
    share = np.cumsum(found.column("rows").to_numpy()[order])
    cuts = np.searchsorted(share, share[-1] * np.arange(1, n_parts) / n_parts) if len(ids) else []
    return sorted({str(ids[order][at]) for at in cuts})


def read_blocks(
    session: "SparkSession", deal: Deal, job: Job, *, n_parts: int, most_candidates: int
) -> "tuple[DataFrame, list[dict[str, Any]]]":
    """The cached table of blocks, and the facts of its partitions in order; see `blocks.BLOCKS`."""
    from pyspark import StorageLevel

    bounds = np.array(range_bounds(session, deal, n_parts), dtype=object)
    told = session.sparkContext.broadcast((deal, job.item_ids, job.scale, job.settings))

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                yield from _pieces(*told.value, task, bounds)

    settings = job.settings

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        yield from _packed(batches, context.partitionId(), settings.guardrails, most_candidates)

    pieces = _tasks(session, deal).mapInArrow(read, PIECES)
    blocks = pieces.repartitionById(n_parts, "part").mapInArrow(pack, BLOCKS).persist(StorageLevel.MEMORY_AND_DISK)
    found = blocks.where("facts is not null").select("part", "facts").toArrow().to_pydict()
    facts = [json.loads(text) for _, text in sorted(zip(found["part"], found["facts"], strict=True))]
    return blocks, facts


def refusal_of(facts: list[dict[str, Any]]) -> LtexpoError | None:
    """The first refusal in facts of partitions or tasks, as its executor worded it."""
    for fact in facts:
        if fact.get("refusal"):
            kind, message = fact["refusal"]
            refusal: LtexpoError = getattr(errors, kind)(message)
            return refusal
    return None


def _tasks(session: "SparkSession", deal: Deal) -> "DataFrame":
    return session.range(0, len(deal.tasks), 1, len(deal.tasks))


def _sample(deal: Deal, task: int) -> pa.RecordBatch:
    source, ids, rows = deal.source(task), [], []
    for batch in () if source is None else source.batches([Columns.Request]):
        at = np.unique(np.linspace(0, batch.num_rows - 1, SAMPLE).astype(np.int64))
        values = batch.column(0).take(pa.array(at))
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        # a column of another type is refused by the reader
        texts = pc.drop_null(pc.cast(values, pa.large_string(), safe=False)).to_pylist()
        ids += texts
        rows += [batch.num_rows / max(len(texts), 1)] * len(texts)
    return pa.record_batch([ids, rows], schema=arrow_schema(SAMPLES))


def _pieces(
    deal: Deal, item_ids: IdMap, scale: Any, settings: Any, task: int, bounds: npt.NDArray[np.object_]
) -> Iterator[pa.RecordBatch]:
    """The rows of one task, by the partition they go to; last comes what was seen."""
    source, notes = deal.source(task), {}  # type: ignore[var-annotated]
    if source is None:
        return
    reader = Reader(source, item_ids, reading_of(scale, settings.guardrails), notes)
    seq, kept, refusal = 0, 0, None
    try:
        for rows in reader.batches():
            kept += len(rows.requests)
            for piece in _split(rows, bounds):
                yield _batch(PIECES, {**piece, "task": task, "seq": seq})
                seq += 1
    except InputError as error:
        refusal = [type(error).__name__, str(error)]
    seen = {
        "task": task, "rows": reader.rows, "kept": kept, "notes": notes, "refusal": refusal,
        "least": float(reader.least), "most": float(reader.most),
    }
    yield _batch(PIECES, {"part": 0, "task": task, "seq": seq, "facts": json.dumps(seen)})


def _split(rows: Rows, bounds: npt.NDArray[np.object_]) -> Iterator[dict[str, Any]]:
    runs = cut(rows.requests, rows.users, rows.weights)
    part = np.searchsorted(bounds, runs.requests.to_numpy(zero_copy_only=False), side="right")
    lengths = np.diff(runs.starts, append=runs.n_rows)
    of_row = None if (part == part[0]).all() else np.repeat(part, lengths)
    for here in np.unique(part):
        runs_here = np.flatnonzero(part == here)
        at = slice(None) if of_row is None else np.flatnonzero(of_row == here)
        items, scores, *lower = (
            np.ascontiguousarray(column[at], kind).tobytes()
            for column, kind in zip(rows.values, (np.int32, np.float32, np.float32), strict=False)
        )
        starts = np.concatenate([[0], np.cumsum(lengths[runs_here])]).astype(np.int64)
        taken = pa.array(runs_here)
        yield {
            "part": int(here), "starts": starts.tobytes(), "requests": to_bytes(runs.requests.take(taken)),
            "users": None if runs.users is None else to_bytes(runs.users.take(taken)),
            "weights": None if runs.weights is None else runs.weights[runs_here].astype(np.float64).tobytes(),
            "items": items, "scores": scores, "lower": lower[0] if lower else None,
        }


def _packed(
    batches: Iterator[pa.RecordBatch], part: int, rails: Any, most_candidates: int
) -> Iterator[pa.RecordBatch]:
    """The blocks of one partition, and its facts."""
    pieces = [row for batch in batches for row in batch.to_pylist()]
    read = [json.loads(row["facts"]) for row in pieces if row["facts"] is not None]
    pieces = sorted((row for row in pieces if row["facts"] is None), key=lambda row: (row["task"], row["seq"]))
    facts: dict[str, Any] = {"read": read}
    if not pieces:
        yield record_batch([facts_row(part, facts)])
        return
    runs, columns = Runs(np.iinfo(np.int64).max), []  # a partition is in memory anyway
    try:
        for row in pieces:
            starts = np.frombuffer(row["starts"], np.int64)
            runs.add(Cut(
                int(starts[-1]), starts[:-1], from_bytes(row["requests"]),
                None if row["users"] is None else from_bytes(row["users"]),
                None if row["weights"] is None else np.frombuffer(row["weights"], np.float64),
            ))  # fmt: skip
        joined = runs.joined()
    except InputError as error:
        yield record_batch([facts_row(part, {**facts, "refusal": [type(error).__name__, str(error)]})])
        return
    for name, kind in (("items", np.int32), ("scores", np.float32), ("lower", np.float32)):
        if pieces[0][name] is not None:
            column: npt.NDArray[Any] = np.concatenate([np.frombuffer(row.pop(name), kind) for row in pieces])
            if joined.targets is not None:
                column = joined.placed(column, np.empty_like(column))
            columns.append(column)
    del pieces
    lists = compact(joined, columns)
    boostable = None if lists.lower is None else confident(lists, rails, Workspace())
    if not sort_lists(lists.indptr, lists.items, lists.scores, np.empty(0, np.bool_) if boostable is None
                      else boostable):
        count = np.zeros(len(lists.indptr) - 1, np.int64)
        count_repeats(lists.indptr, lists.items, count)
        facts |= {"repeats": int(count.sum()), "spoilt": lists.requests.filter(pa.array(count > 0)).to_pylist()}
        yield record_batch([facts_row(part, facts)])
        return
    lengths = np.diff(lists.indptr)
    facts |= {
        "least_score": float(lists.scores.min()), "most_score": float(lists.scores.max()),
        "longest": int(lengths.max()), "candidates": int(lists.indptr[-1]),
        "heaviest": None if lists.weights is None else float(lists.weights.max()),
    }
    blocks = []
    for row in block_rows(part, lists, boostable, most_candidates):
        blocks.append({name: row[name] for name in ("seq", "n_lists", "n_long")})
        yield record_batch([row])
    yield record_batch([facts_row(part, {**facts, "blocks": blocks})])


def _batch(columns: str, row: dict[str, Any]) -> pa.RecordBatch:
    schema = arrow_schema(columns)
    return pa.RecordBatch.from_pylist([{name: row.get(name) for name in schema.names}], schema=schema)

