"""rankings.parquet → lists by key, in batches: sorted by key, each key once, items by rank.

One scan of the keys finds where each list begins. Where the keys rise already, as request_ids do in what 'ltexpo
rerank' writes, a second scan passes the lists on; else they are sorted part by part, a scan each. Memory holds a key
and a length for every list, and the rows of one part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltexpo.columns import Columns
from ltexpo.data.batches import open_parquet, read_batches
from ltexpo.errors import ColumnError, TableError

BATCH_ROWS = 2**18
"""Rows of a batch, about; what is sorted at once is 16 times as much."""
TEXT = pa.large_string()


@dataclass(frozen=True, eq=False)
class ListBatch:
    """L whole lists of n rows in all."""

    keys: pa.Array
    """(L,) strings, rising."""
    offsets: npt.NDArray[np.int64]
    """(L + 1,) where each list begins in the columns."""
    items: npt.NDArray[np.int64]
    """(n,) codes in the catalogue."""
    ranks: npt.NDArray[np.int32]
    """(n,) rising within a list."""
    scores: npt.NDArray[np.float32] | None
    """(n,), where they are asked for."""
    prices: npt.NDArray[np.float64] | None
    """(n,), with the scores."""


class Lists:
    """The lists of a rankings table; raises `ColumnError` or `TableError` on what cannot be looked up."""

    def __init__(
        self, path: Path, item_ids: pa.Array | pa.ChunkedArray, *, key: str, details: bool, batch_rows: int = BATCH_ROWS
    ) -> None:
        ids = pc.cast(item_ids, TEXT)
        # a catalogue in parts comes in as many chunks, which no writer of batches takes
        self.item_ids: pa.Array = pa.concat_arrays(ids.chunks) if isinstance(ids, pa.ChunkedArray) else ids
        self.path, self.batch_rows = path, batch_rows
        self.columns = [Columns.Rank, Columns.Item, *((Columns.Score, Columns.Price) if details else ())]
        wanted = [Columns.Request, *([Columns.User] if key == Columns.User else []), *self.columns]
        # the same strings stand in row after row: as codes they are read without being copied
        self._data = open_parquet(path, columns=wanted, dictionary=(Columns.Request, Columns.User, Columns.Item))
        lacking = [column for column in wanted if column not in self._data.schema.names]
        if lacking:
            mend = ("Its lists belong to requests only: use key: request." if lacking == [Columns.User]
                    else "Run 'ltexpo rerank' again.")
            raise ColumnError(f"{path}: lacks '{lacking[0]}'; found {', '.join(self._data.schema.names)}. {mend}")
        self.keys, self.lengths = self._scan(key)
        """(N,) each list's key and its rows, in the order of the file."""
        if not len(self.lengths):
            raise TableError(f"{path}: holds no list. Run 'ltexpo rerank' on at least one candidate.")
        self.order = self._sorted(key)
        """(N,) lists by key; None: as they stand."""
        self.gaps = 0
        """Lists seen so far whose ranks leave slots empty."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def rows(self) -> int:
        """Rows of all lists."""
        return int(self.lengths.sum())

    def batches(self) -> Iterator[ListBatch]:
        """Every list, by key."""
        if self.order is None:
            yield from self._as_they_stand()
            return
        ends = np.cumsum(self.lengths[self.order])
        first = 0
        while first < len(self.order):
            done = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, done + 16 * self.batch_rows, side="right")), first + 1)
            yield self._part(self.order[first:last])
            first = last

    def _scan(self, key: str) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        """Each list's key and length; a list ends where the request changes."""
        columns = list(dict.fromkeys([Columns.Request, key]))
        keys: list[pa.Array] = []
        starts: list[npt.NDArray[np.int64]] = []
        before: object = None
        row = 0
        for batch in read_batches(self._data, columns, rows=self.batch_rows):
            requests = _texts(batch.column(0), Columns.Request, self.path)
            new = np.empty(len(requests), dtype=bool)
            new[0] = requests[0].as_py() != before
            new[1:] = pc.not_equal(requests[1:], requests[:-1]).to_numpy(zero_copy_only=False)
            at = np.flatnonzero(new)
            before = requests[-1].as_py()
            named = requests if key == Columns.Request else _texts(batch.column(1), key, self.path)
            keys.append(named.take(pa.array(at)))
            starts.append(at + row)
            row += len(requests)
        if not keys:
            return pa.array([], TEXT), np.empty(0, np.int64)
        ends = np.concatenate([*starts, [row]])
        return pa.concat_arrays(keys), ends[1:] - ends[:-1]

    def _sorted(self, key: str) -> npt.NDArray[np.int64] | None:
        """The order of the keys, or None where they rise; refuses a key of two lists."""
        if len(self.keys) < 2 or pc.all(pc.less(self.keys[:-1], self.keys[1:])).as_py():
            return None
        order: npt.NDArray[np.int64] = pc.sort_indices(self.keys).to_numpy().astype(np.int64)
        ordered = self.keys.take(pa.array(order))
        twice = pc.equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
        if twice.any():
            if key == Columns.User:
                raise TableError(
                    f"{self.path}: {int(twice.sum()):,} of {len(self):,} lists are of a {key} that has another list "
                    "before, and rankings do not say which is the newest. Use key: request, or rank one request a user."
                )
            again = int(order[1:][twice].min())
            row = int(self.lengths[:again].sum())
            raise TableError(f"{self.path} row {row}: its {key} stands further up, too, and the rows between are of "
                             "others. Run 'ltexpo rerank' again, or sort the rows by request_id and rank.")
        return order

    def _as_they_stand(self) -> Iterator[ListBatch]:
        """Lists in the order of the file; rows of a list that a batch cuts are kept for the next."""
        ends = np.cumsum(self.lengths)
        kept: list[dict[str, npt.NDArray[Any]]] = []
        row = passed = 0  # rows read, lists passed on
        for batch in read_batches(self._data, self.columns, rows=self.batch_rows):
            kept.append(self._columns(batch, row))
            row += batch.num_rows
            whole = int(np.searchsorted(ends, row, side="right"))
            if whole == passed:
                continue
            joined = _join(kept)
            n = int(ends[whole - 1]) - (int(ends[passed - 1]) if passed else 0)
            yield self._batch(np.arange(passed, whole), {name: part[:n] for name, part in joined.items()})
            kept = [{name: part[n:] for name, part in joined.items()}]
            passed = whole

    def _part(self, chosen: npt.NDArray[np.int64]) -> ListBatch:
        """The lists `chosen`, in that order, from one scan."""
        wanted = np.zeros(len(self), dtype=bool)
        wanted[chosen] = True
        ends = np.cumsum(self.lengths)
        kept = []
        row = 0
        for batch in read_batches(self._data, self.columns, rows=self.batch_rows):
            of_list = np.searchsorted(ends, np.arange(row, row + batch.num_rows), side="right")
            rows = np.flatnonzero(wanted[of_list])
            if len(rows):
                kept.append({name: part[rows] for name, part in self._columns(batch, row).items()})
            row += batch.num_rows
        joined = _join(kept)
        in_file = np.sort(chosen)
        starts = np.cumsum(self.lengths[in_file]) - self.lengths[in_file]
        lengths = self.lengths[chosen]
        begin = np.repeat(starts[np.searchsorted(in_file, chosen)], lengths)
        within = np.arange(len(begin)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._batch(chosen, {name: part[begin + within] for name, part in joined.items()})

    def _columns(self, batch: pa.RecordBatch, row: int) -> dict[str, npt.NDArray[Any]]:
        """The columns of rows `row` on, as arrays; items as codes."""
        found = dict(zip(self.columns, batch.columns, strict=True))
        arrays = {Columns.Item: self._codes(found.pop(Columns.Item), row)}
        for name, values in found.items():
            if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
                raise ColumnError(f"{self.path}: {name} is {values.type}, expected numbers. Run 'ltexpo rerank' again.")
            numbers = values.to_numpy(zero_copy_only=False)
            wrong = np.flatnonzero(~np.isfinite(numbers))
            if len(wrong):
                raise ColumnError(f"{self.path} row {row + int(wrong[0])}: {name} is {numbers[wrong[0]]}, not a finite "
                                  "number. Run 'ltexpo rerank' again.")
            arrays[name] = numbers
        arrays[Columns.Rank] = arrays[Columns.Rank].astype(np.int32)
        return arrays

    def _codes(self, values: pa.Array, row: int) -> npt.NDArray[np.int64]:
        if pa.types.is_dictionary(values.type):
            known = pc.index_in(pc.cast(values.dictionary, TEXT), self.item_ids).take(values.indices)
        else:
            known = pc.index_in(pc.cast(values, TEXT), self.item_ids)
        if known.null_count:
            at = int(np.argmax(known.is_null().to_numpy(zero_copy_only=False)))
            raise TableError(f"{self.path} row {row + at}: item_id '{values[at].as_py()}' is not in the catalogue. "
                             "Give the --data that the lists were made from.")
        codes: npt.NDArray[np.int64] = known.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes

    def _batch(self, chosen: npt.NDArray[np.int64], columns: dict[str, npt.NDArray[Any]]) -> ListBatch:
        offsets = np.concatenate([[0], np.cumsum(self.lengths[chosen])]).astype(np.int64)
        ranks = columns[Columns.Rank]
        inner = np.ones(len(ranks), dtype=bool)
        inner[offsets[:-1]] = False
        wrong = np.flatnonzero(inner & (np.diff(ranks, prepend=ranks[:1]) <= 0))
        if len(wrong) or ranks.min() < 1:
            at = int(wrong[0]) if len(wrong) else int(np.argmin(ranks))
            of = int(chosen[np.searchsorted(offsets, at, side="right") - 1])
            raise TableError(
                f"{self.path}: ranks should rise from 1 on in each list, but list {of + 1:,} has rank {int(ranks[at])} "
                f"after {int(ranks[at - 1]) if len(wrong) else 0} ({max(len(wrong), 1):,} such rows). Run 'ltexpo "
                "rerank' again, or sort the rows by request_id and rank, each rank once."
            )
        self.gaps += int((ranks[offsets[1:] - 1] != self.lengths[chosen]).sum())
        return ListBatch(
            self.keys.take(pa.array(chosen)), offsets, columns[Columns.Item], ranks,
            columns.get(Columns.Score), columns.get(Columns.Price),
        )


def _join(parts: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _texts(values: pa.Array, column: str, path: Path) -> pa.Array:
    """Ids as plain strings, without gaps."""
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    if plain.null_count:
        raise ColumnError(f"{path}: {column} has {plain.null_count:,} gaps or more. Fill them, or use another key.")
    return pc.cast(plain, TEXT)
