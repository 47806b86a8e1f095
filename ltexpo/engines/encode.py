"""Contents of a catalogue and how to make their encoder → vectors, computed by executors piece by piece."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ltexpo.encoders.cache import KEY_BYTES, VectorCache
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.encoders.encoder import Encoder
from ltexpo.engines.blocks import arrow_schema
from ltexpo.engines.intake import refusal_of
from ltexpo.engines.session import PARTS_A_CORE, cores
from ltexpo.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIECES = "piece int, vectors binary, states binary, keys binary, refusal string"


@dataclass(frozen=True)
class Work:
    """Contents that one encoder is to turn into vectors."""

    encoder: Encoder
    contents: list[object]
    cache: VectorCache | None
    root: Path | None = None
    """Where the paths of pictures start."""

    def encode(self, rows: slice = slice(None)) -> Encoded:
        """Vectors of the contents `rows`."""
        named: dict[str, Any] = {} if self.root is None else {"root": self.root}
        return self.encoder.encode(self.contents[rows], cache=self.cache, **named)

    def keys(self, rows: slice) -> list[bytes | State]:
        """What the contents `rows` are known by."""
        named: dict[str, Any] = {} if self.root is None else {"root": self.root}
        return self.encoder.keys(self.contents[rows], **named)


def encode_on(
    session: "SparkSession", make: Callable[[str], dict[str, Work]], told: str, name: str, work: Work, *,
    partitions: int | None,
) -> Encoded:
    """What `work.encode()` gives; every Python worker makes its own of it once, as `make(told)[name]`.

    Equal contents have the vector of the first of them, and count as one computed, whichever executors met them.
    The cache, on a folder that all share, is read and written by executors.
    """
    n, width = len(work.contents), work.encoder.width
    n_parts = partitions or PARTS_A_CORE * cores(session)
    size = max(min(work.encoder.chunk, -(-n // n_parts)), 1)
    n_pieces = -(-n // size)
    known = None if work.cache is None else work.cache.shelf(work.encoder.identity, width)

    def compute(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for piece in batch.column(0).to_pylist():
                row = {"piece": piece, "vectors": b"", "states": b"", "keys": b"", "refusal": None}
                try:
                    own, rows = make(told)[name], slice(piece * size, (piece + 1) * size)
                    found, keys = own.encode(rows), own.keys(rows)
                    row |= {
                        "vectors": found.vectors.tobytes(), "states": found.states.tobytes(),
                        "keys": b"".join(bytes(KEY_BYTES) if isinstance(key, State) else key for key in keys),
                    }
                except InputError as error:
                    row["refusal"] = json.dumps([type(error).__name__, str(error)])
                yield pa.RecordBatch.from_pylist([row], schema=arrow_schema(PIECES))

    table = session.range(0, n_pieces, 1, max(min(n_parts, n_pieces), 1)).mapInArrow(compute, PIECES).toArrow()
    pieces = sorted(table.to_pylist(), key=lambda row: int(row["piece"]))
    refusal = refusal_of([{"refusal": json.loads(row["refusal"])} for row in pieces if row["refusal"]])
    if refusal is not None:
        raise refusal
    vectors = np.frombuffer(b"".join(row["vectors"] for row in pieces), np.float32).reshape(n, width).copy()
    states = np.frombuffer(b"".join(row["states"] for row in pieces), np.uint8).copy()
    raw = b"".join(row["keys"] for row in pieces)
    keys = [raw[at : at + KEY_BYTES] for at in range(0, len(raw), KEY_BYTES)]
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        if key == bytes(KEY_BYTES):
            continue
        same = first.setdefault(key, row)
        vectors[row], states[row] = vectors[same], states[same]
    if known is not None and first:
        fresh = known.find(list(first), np.zeros((len(first), width), np.float32), np.zeros(len(first), np.uint8))
    else:
        fresh = np.arange(len(first))
    rows = np.fromiter(first.values(), np.int64, len(first))[fresh]
    return Encoded(vectors, states, int((states[rows] != State.UNREADABLE).sum()))
