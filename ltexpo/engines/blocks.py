"""Blocks of lists as rows of a Spark table: arrays as bytes, one row a block, in the order of request ids.

A partition holds a range of requests; its blocks are numbered from 0. One more row a partition, numbered −1, says what
was read and found there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltexpo.rerank.intake import CompactLists
from ltexpo.rerank.selection import Lists

MOST_CANDIDATES = 1 << 21
"""Candidates of a block, about: 16 MB, so that several are on their way at once."""

BLOCKS = (
    "part int, seq int, n_lists int, n_long int, facts string, indptr binary, items binary, scores binary, "
    "boostable binary, weights binary, requests binary, users binary"
)
FACTS = -1
"""`seq` of the row of a partition that holds its facts."""


@dataclass(frozen=True, eq=False)
class Block:
    """Lists that stand one after the other."""

    part: int
    seq: int
    lists: Lists
    requests: pa.Array
    users: pa.Array | None

    @property
    def n_lists(self) -> int:
        """Lists in it."""
        return len(self.lists.indptr) - 1


def block_rows(
    part: int, lists: CompactLists, boostable: npt.NDArray[np.bool_] | None, most: int
) -> Iterator[dict[str, Any]]:
    """`lists` in blocks of about `most` candidates."""
    first, n_lists = 0, len(lists.indptr) - 1
    seq = 0
    while first < n_lists:
        last = int(np.searchsorted(lists.indptr, lists.indptr[first] + most, side="right")) - 1
        last = min(max(last, first + 1), n_lists)
        lo, hi = int(lists.indptr[first]), int(lists.indptr[last])
        indptr = lists.indptr[first : last + 1] - lo
        yield {
            "part": part, "seq": seq, "n_lists": last - first, "n_long": int((np.diff(indptr) >= 2).sum()),
            "facts": None, "indptr": indptr.tobytes(), "items": lists.items[lo:hi].tobytes(),
            "scores": lists.scores[lo:hi].tobytes(),
            "boostable": None if boostable is None else boostable[lo:hi].tobytes(),
            "weights": None if lists.weights is None else lists.weights[first:last].tobytes(),
            "requests": to_bytes(lists.requests[first:last]),
            "users": None if lists.users is None else to_bytes(lists.users[first:last]),
        }  # fmt: skip
        first, seq = last, seq + 1


def facts_row(part: int, facts: dict[str, Any]) -> dict[str, Any]:
    """The row of what was read and found in a partition."""
    empty = dict.fromkeys(name.split()[0] for name in BLOCKS.split(", "))
    return {**empty, "part": part, "seq": FACTS, "n_lists": 0, "n_long": 0, "facts": json.dumps(facts)}


def record_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows of `BLOCKS` as Spark takes them."""
    return pa.RecordBatch.from_pylist(rows, schema=arrow_schema(BLOCKS))


def blocks_of(batches: Iterator[pa.RecordBatch], constants: Lists) -> Iterator[Block]:
    """The blocks in `batches`; `constants` are what the kernels read besides lists."""
    for batch in batches:
        for row in batch.to_pylist():
            if row["seq"] == FACTS:
                continue
            yield Block(
                row["part"], row["seq"],
                constants._replace(
                    indptr=_array(row["indptr"], np.int64),
                    items=_array(row["items"], np.int32),
                    scores=_array(row["scores"], np.float32),
                    weights=_array(row["weights"], np.float32),
                    boostable=_array(row["boostable"], np.bool_),
                ),
                from_bytes(row["requests"]),
                None if row["users"] is None else from_bytes(row["users"]),
            )


def _array(raw: bytes | None, kind: type[np.generic]) -> npt.NDArray[Any]:
    # writable as all other arrays: the kernels are compiled once
    return np.frombuffer(raw or b"", kind).copy()


def arrow_schema(columns: str) -> pa.Schema:
    """Spark's words for columns → Arrow's."""
    kinds = {"int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "string": pa.string(),
             "binary": pa.binary()}
    return pa.schema([(name, kinds[kind]) for name, kind in (column.split() for column in columns.split(", "))])


def to_bytes(values: pa.Array) -> bytes:
    """An Arrow array as bytes."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([values], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def from_bytes(raw: bytes) -> pa.Array:
    """What `to_bytes` wrote."""
    with pa.ipc.open_stream(raw) as reader:
        return reader.read_next_batch().column(0)
