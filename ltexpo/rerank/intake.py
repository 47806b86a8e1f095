"""Batches of candidates → compact lists: offsets, item codes and scores, lists in the order of their request ids.

One scan is enough where a request's rows stand together. A request in several places is several runs of rows, which are
joined after the scan; runs that rise by request id already are not moved at all. So the lists are the same for any
order and any partitioning of the rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.errors import TableError
from ltexpo.rerank.rows import count_repeats, pass_floors
from ltexpo.rerank.runs import Joined, Runs, cut
from ltexpo.rerank.settings import GuardrailSettings
from ltexpo.rerank.source import Source, as_texts
from ltexpo.rerank.workspace import Workspace

Floats = npt.NDArray[np.floating]

_UNKNOWN, _BANNED = -1, -2


@dataclass(frozen=True, eq=False)
class CompactLists:
    """R lists of nnz candidates; inside a list the order is that of the input."""

    indptr: npt.NDArray[np.int64]
    """(R + 1,)"""
    items: npt.NDArray[np.int32]
    """(nnz,) codes."""
    scores: npt.NDArray[np.float32]
    """(nnz,) in clicks."""
    lower: npt.NDArray[np.float32] | None
    """(nnz,) lower confidence bounds of the scores, where they are asked for."""
    requests: pa.Array
    """(R,) ids, rising."""
    users: pa.Array | None
    """(R,) where candidates name one: that of the request's first row."""
    weights: npt.NDArray[np.float32] | None
    """(R,) where candidates hold them."""


@dataclass(frozen=True)
class Reading:
    """How the values of candidates are read."""

    to_clicks: Callable[[Floats, int], Floats]
    """Scores, and the row of the first of them → scores in clicks."""
    lower_bound: Callable[[Floats, Floats], Floats] | None = None
    """Scores and score_std → lower confidence bounds in clicks; None: score_std is not read."""
    banned: tuple[str, ...] = ()
    """item_ids whose rows are left out."""


def read_lists(
    source: Source, item_ids: IdMap, workspace: Workspace, reading: Reading, notes: dict[str, int]
) -> CompactLists:
    """Read and check every candidate once; what is left out or looks odd is counted in `notes`.

    Raises `ColumnError` or `TableError` on values that cannot be used, and `InputError` when the rows of requests are
    scattered over more places than the workspace can hold.
    """
    reader, runs = Reader(source, item_ids, reading, notes), Runs(workspace.limit)
    workspace.expect(source.n_rows * sum(np.dtype(kind).itemsize for kind in reader.kinds))
    arrays = [workspace.empty(source.n_rows, kind) for kind in reader.kinds]
    for rows in reader.batches():
        at = runs.rows
        for array, column in zip(arrays, rows.values, strict=True):
            array[at : at + len(column)] = column
        runs.add(cut(rows.requests, rows.users, rows.weights))
    kept = runs.rows
    lists = runs.joined() if kept else None
    note_rows(
        notes, rows=reader.rows, kept=kept, least=reader.least, most=reader.most, banned=bool(reading.banned),
        weightless=lists is not None and lists.weights is not None and not lists.weights.any(),
    )
    assert lists is not None
    for n, array in enumerate(arrays):
        arrays[n] = array[:kept]
        if lists.targets is not None:
            arrays[n] = lists.placed(array[:kept], workspace.empty(kept, array.dtype))
    return compact(lists, arrays)


def compact(lists: Joined, arrays: Sequence[npt.NDArray[Any]]) -> CompactLists:
    """Lists of the columns of `Rows.values`, put in the order of the lists."""
    items, scores, *lower = arrays
    return CompactLists(
        lists.indptr, items, scores, lower[0] if lower else None, lists.requests, lists.users,
        None if lists.weights is None else lists.weights.astype(np.float32),
    )


def confident(lists: CompactLists, rails: GuardrailSettings, workspace: Workspace) -> npt.NDArray[np.bool_]:
    """(nnz,) whether each candidate's lower confidence bound passes the score floors."""
    passes = workspace.empty(len(lists.items), np.bool_)
    ratio = -np.inf if rails.min_score_ratio is None else rails.min_score_ratio
    floor = -np.inf if rails.min_score is None else rails.min_score
    pass_floors(lists.indptr, lists.scores, lists.lower, ratio, floor, passes)
    return passes


def repeated_item(source: Source, lists: CompactLists) -> TableError | None:
    """The refusal of an item that stands twice in a list, with the first such row; None when there is none."""
    count = np.zeros(len(lists.indptr) - 1, np.int64)
    count_repeats(lists.indptr, lists.items, count)
    if not count.any():
        return None
    return first_repeat(source, lists.requests.filter(pa.array(count > 0)), int(count.sum()))


def first_repeat(source: Source, spoilt: pa.Array, count: int) -> TableError | None:
    """The refusal of `count` rows that repeat one of their list, all in the requests `spoilt`."""
    seen: dict[tuple[str, str], int] = {}
    row = 0
    for batch in source.batches([Columns.Request, Columns.Item]):
        texts = [as_texts(values) for values in batch.columns]
        for at in pc.indices_nonzero(pc.is_in(texts[0], value_set=spoilt)).to_pylist():
            pair = texts[0][at].as_py(), texts[1][at].as_py()
            if pair in seen:
                return TableError(
                    f"candidates row {row + at}: the {Columns.Request} of row {seen[pair]}, {Columns.Item} '{pair[1]}' "
                    f"stands there twice ({count} repeated rows). Keep one of each."
                )
            seen[pair] = row + at
        row += batch.num_rows
    return None


@dataclass(frozen=True)
class Rows:
    """Candidates that were read and checked: n rows in the order in which they came."""

    requests: pa.Array
    """(n,) strings, or a dictionary of them."""
    users: pa.Array | None
    weights: Floats | None
    values: tuple[npt.NDArray[np.generic], ...]
    """Item codes, scores in clicks and, if they are asked for, lower confidence bounds: (n,) each."""


class Reader:
    """Batches of a source → checked rows; what is left out or looks odd is counted in `notes`."""

    def __init__(self, source: Source, item_ids: IdMap, reading: Reading, notes: dict[str, int]) -> None:
        self.source, self.reading, self.notes = source, reading, notes
        self.columns = [Columns.Request, Columns.Item, Columns.Score]
        self.columns += [name for name in (Columns.User, Columns.Weight) if name in source]
        self.kinds: list[type] = [np.int32, np.float32]
        if reading.lower_bound is not None:
            self.columns.append(Columns.ScoreStd)
            self.kinds.append(np.float32)
        self.codes = _Codes(item_ids, reading.banned)
        self.least, self.most = np.inf, -np.inf
        self.rows = 0

    def batches(self) -> Iterator[Rows]:
        """All rows of the source but those of banned items."""
        for batch in self.source.batches(self.columns):
            rows = self._read(batch)
            if len(rows.requests):
                yield rows

    def _read(self, batch: pa.RecordBatch) -> Rows:
        source, columns = self.source, dict(zip(self.columns, batch.columns, strict=True))
        requests = source.ids(columns[Columns.Request], Columns.Request, self.notes)
        codes = self._item_codes(source.ids(columns[Columns.Item], Columns.Item, self.notes))
        raw = source.numbers(columns[Columns.Score], Columns.Score)
        values: list[npt.NDArray[np.generic]] = [codes, self.reading.to_clicks(raw, self.rows)]
        if self.reading.lower_bound is not None:
            values.append(self.reading.lower_bound(raw, source.amounts(columns[Columns.ScoreStd], Columns.ScoreStd)))
        users = source.ids(columns[Columns.User], Columns.User, {}) if Columns.User in columns else None
        weights = source.amounts(columns[Columns.Weight], Columns.Weight) if Columns.Weight in columns else None
        self.rows += batch.num_rows
        if codes.min() == _BANNED:
            rows = np.flatnonzero(codes != _BANNED)
            values = [column[rows] for column in values]
            requests = requests.take(pa.array(rows))
            users = None if users is None else users.take(pa.array(rows))
            weights = None if weights is None else weights[rows]
        if len(requests):
            self.least, self.most = min(self.least, values[1].min()), max(self.most, values[1].max())
        return Rows(requests, users, weights, tuple(values))

    def _item_codes(self, items: pa.Array) -> npt.NDArray[np.int32]:
        codes = self.codes(items)
        if codes.min() < 0 and (codes == _UNKNOWN).any():
            raise self._stranger()
        return codes

    def _stranger(self) -> TableError:
        """The refusal of ids outside the catalogue."""
        first, count, seen, shown = -1, 0, 0, ""
        for batch in self.source.batches([Columns.Item]):
            items = self.source.ids(batch.column(0), Columns.Item, {})
            unknown = np.flatnonzero(self.codes(items) == _UNKNOWN)
            if first < 0 and len(unknown):
                first, shown = seen + int(unknown[0]), items[int(unknown[0])].as_py()
            count += len(unknown)
            seen += len(items)
        return TableError(
            f"candidates row {first}: item_id '{shown}' is not in items ({count} such rows). "
            "Add it to items or leave those rows out."
        )


def note_rows(
    notes: dict[str, int], *, rows: int, kept: int, least: float, most: float, banned: bool, weightless: bool
) -> None:
    """Notes on all `rows` together, of which `kept` with scores from `least` to `most`; raises `TableError`."""
    if banned:
        notes["banned candidates left out"] = rows - kept
    if kept == 0:
        raise TableError("guardrails.banned: no candidate is left. Ban fewer items.")
    if kept > 1 and least == most:
        notes["candidates with one and the same score"] = kept
    if weightless:
        raise TableError("candidates: 'weight' is 0 in every request. Give at least one request a weight above 0.")


class _Codes:
    """Ids → codes (int32) of the catalogue, through the ids' own dictionary: each distinct id is looked up once."""

    def __init__(self, item_ids: IdMap, banned: tuple[str, ...]) -> None:
        self.ids = pa.array(item_ids.ids.to_numpy(dtype=object), pa.large_string())
        self.banned = pa.array(banned, pa.large_string())
        self.dictionary: pa.Array | None = None

    def __call__(self, ids: pa.Array) -> npt.NDArray[np.int32]:
        if not pa.types.is_dictionary(ids.type):
            ids = ids.dictionary_encode()
        # the batches of a row group share their dictionary
        if self.dictionary is None or not ids.dictionary.equals(self.dictionary):
            self.dictionary = ids.dictionary
            texts = ids.dictionary.cast(pa.large_string())
            found = pc.index_in(texts, value_set=self.ids)
            self.table = pc.fill_null(found, _UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int32)
            if len(self.banned):
                out = pc.is_in(texts, value_set=self.banned).to_numpy(zero_copy_only=False)
                self.table[out] = _BANNED
        codes: npt.NDArray[np.int32] = self.table[ids.indices.to_numpy()]
        return codes
