"""Rows that come batch by batch → runs of one request, and where each run goes so that lists rise by request id."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltexpo.columns import Columns
from ltexpo.errors import InputError, TableError
from ltexpo.rerank.rows import move_runs
from ltexpo.rerank.workspace import GB

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Joined:
    """Requests in order, and the moves of rows that put them so; starts is None where rows stay."""

    indptr: npt.NDArray[np.int64]
    """(R + 1,)"""
    requests: pa.Array
    """(R,)"""
    users: pa.Array | None
    """(R,) of the request's first row."""
    weights: Floats | None
    """(R,)"""
    starts: npt.NDArray[np.int64] | None
    """(n_runs + 1,) offset of each run in the rows as they came."""
    targets: npt.NDArray[np.int64] | None
    """(n_runs,) offset of each run in the lists."""

    def placed(self, rows: npt.NDArray[Any], empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A column of the rows as they came, put into `empty` in the order of the lists."""
        if self.starts is None or self.targets is None:
            raise ValueError("these rows stay where they are")
        move_runs(rows, self.starts, self.targets, empty)
        return empty


@dataclass(frozen=True, eq=False)
class Cut:
    """Rows cut into runs of one request: offset of each run's first row, and its request, user and weight."""

    n_rows: int
    starts: npt.NDArray[np.int64]
    requests: pa.Array
    users: pa.Array | None
    weights: Floats | None


def cut(requests: pa.Array, users: pa.Array | None, weights: Floats | None) -> Cut:
    """The runs of n rows: requests and users as strings or dictionaries of strings, weights (n,).

    Raises `TableError` when a request has two weights in one run.
    """
    starts = _changes(requests)
    ids = _texts(requests, starts)
    if weights is not None:
        changes = np.flatnonzero(weights[1:] != weights[:-1]) + 1
        within = np.setdiff1d(changes, starts, assume_unique=True)
        if len(within):
            row = int(within[0])
            raise _two_weights(weights[row - 1], weights[row])
        weights = weights[starts]
    return Cut(len(requests), starts, ids, None if users is None else _texts(users, starts), weights)


class Runs:
    """Runs seen so far; `limit` (bytes) bounds what they may take once they do not rise by request id."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes, self.rows = limit, 0, 0
        self.rising = True
        self.starts: list[npt.NDArray[np.int64]] = []
        self.requests: list[pa.Array] = []
        self.users: list[pa.Array] = []
        self.weights: list[Floats] = []

    def add(self, run: "Cut") -> None:
        """The next rows."""
        starts, ids, users, weights = run.starts, run.requests, run.users, run.weights
        # a request that goes on from the batch before is the same run
        if self.requests and self.requests[-1][-1].as_py() == ids[0].as_py():
            if weights is not None and self.weights[-1][-1] != weights[0]:
                raise _two_weights(self.weights[-1][-1], weights[0])
            starts, ids = starts[1:], ids[1:]
            users = None if users is None else users[1:]
            weights = None if weights is None else weights[1:]
        if len(starts):
            self.rising = self.rising and _rises(ids) and (
                not self.requests or self.requests[-1][-1].as_py() < ids[0].as_py()
            )
            self.starts.append(starts + self.rows)
            self.requests.append(ids)
            self.bytes += 8 * len(starts) + ids.nbytes
            if users is not None:
                self.users.append(users)
                self.bytes += users.nbytes
            if weights is not None:
                self.weights.append(weights)
        self.rows += run.n_rows
        if self.bytes > self.limit and not self.rising:
            runs = sum(map(len, self.starts))
            raise InputError(
                f"candidates: the rows of a request_id do not stand together or do not rise ({runs:,} runs in the "
                f"first {self.rows:,} rows), and putting them in order takes more than memory_limit = "
                f"{self.limit / GB:.3g} GB. Sort the candidates by request_id, or raise memory_limit."
            )

    def joined(self) -> Joined:
        """The requests of all rows added, rising by id."""
        requests = pa.concat_arrays(self.requests)
        users = pa.concat_arrays(self.users) if self.users else None
        weights = np.concatenate(self.weights) if self.weights else None
        starts = np.concatenate([*self.starts, [self.rows]]).astype(np.int64, copy=False)
        self.starts, self.requests, self.users, self.weights = [], [], [], []
        if self.rising:
            return Joined(starts, requests, users, weights, None, None)
        coded = requests.dictionary_encode()
        order = pc.array_sort_indices(coded.dictionary).to_numpy()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        seen = coded.indices.to_numpy()
        of_run = rank[seen]  # list of every run
        first = np.empty(len(order), np.int64)
        first[of_run[::-1]] = np.arange(len(of_run))[::-1]  # the last to write is the first run
        if weights is not None:
            other = np.flatnonzero(weights != weights[first[of_run]])
            if len(other):
                run = int(other[0])
                raise _two_weights(weights[first[of_run[run]]], weights[run])
            weights = weights[first]
        lengths = np.diff(starts)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(of_run, lengths, len(order)).astype(np.int64))])
        by_list = np.argsort(of_run, kind="stable")
        targets = np.empty(len(of_run), np.int64)
        targets[by_list] = np.cumsum(lengths[by_list]) - lengths[by_list]
        firsts = pa.array(first)
        return Joined(
            indptr, coded.dictionary.take(pa.array(order)), None if users is None else users.take(firsts), weights,
            starts, targets,
        )


def _rises(ids: pa.Array) -> bool:
    return bool(pc.all(pc.less(ids[:-1], ids[1:]), min_count=0).as_py())


def _two_weights(one: float, other: float) -> TableError:
    return TableError(
        f"candidates: '{Columns.Weight}' is {one:g} in one row of a request_id and {other:g} in another. "
        "Give every row of a request the same weight."
    )


def _changes(values: pa.Array) -> npt.NDArray[np.int64]:
    """Rows whose value is not that of the row before; row 0 always."""
    if pa.types.is_dictionary(values.type):
        # two codes of one string only cut a run in two, which are joined later
        codes = values.indices.to_numpy()
        changed = codes[1:] != codes[:-1]
    else:
        changed = pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(changed) + 1]).astype(np.int64, copy=False)


def _texts(values: pa.Array, rows: npt.NDArray[np.int64]) -> pa.Array:
    taken = values.take(pa.array(rows))
    if pa.types.is_dictionary(taken.type):
        taken = taken.dictionary.take(taken.indices)
    return taken.cast(pa.large_string())
