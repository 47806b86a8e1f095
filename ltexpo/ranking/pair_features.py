"""Users' latest interactions + candidates → how each relates to them: the same, alike, sharing values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.ranking.item_features import heat_columns
from ltexpo.sparse import Csr


class PairFeatureSettings(Settings):
    """Pair features."""

    latest: int = 20
    """Only this many latest interactions of a user are compared with candidates."""
    half_life: float = 7.0
    """Days before the user's latest interaction after which one counts half."""


@dataclass(frozen=True)
class Latest:
    """Each of B users' latest interactions, newest first: CSR-like."""

    start: npt.NDArray[np.int64]
    """(B + 1,)"""
    item: npt.NDArray[np.int64]
    age: npt.NDArray[np.float32]
    """Days before the end of history."""
    weight: npt.NDArray[np.float32]
    """Decayed by the age before the user's latest interaction; sums to 1 within a user."""
    last: npt.NDArray[np.bool_]
    """Whether it is of the user's last day."""

    @classmethod
    def of(cls, history: History, users: npt.NDArray[np.int64], settings: PairFeatureSettings) -> "Latest":
        """The latest interactions of `users` (codes); ties in time go by item code."""
        first = np.searchsorted(history.user, users)
        stop = np.searchsorted(history.user, users, side="right")
        size = stop - first
        row = np.repeat(np.arange(len(users)), size)
        at = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + first[row]
        order = np.lexsort((history.item[at], -history.day[at], row))
        at = at[order]
        within = np.arange(len(at)) - np.repeat(np.cumsum(size) - size, size)
        kept = within < settings.latest
        at, row = at[kept], row[kept]
        size = np.minimum(size, settings.latest)
        start = np.concatenate([[0], np.cumsum(size)])
        newest = history.day[at[start[:-1][size > 0]]]
        since = np.repeat(newest, size[size > 0]) - history.day[at]
        weight = 0.5 ** (since / settings.half_life)
        total = np.bincount(row, weights=weight, minlength=len(users))
        same_day = np.floor(history.day[at]) == np.repeat(np.floor(newest), size[size > 0])
        return cls(
            start, history.item[at], (history.now - history.day[at]).astype(np.float32),
            (weight / total[row]).astype(np.float32), same_day,
        )


def pair_features(
    latest: Latest, pairs: Csr, items: pd.DataFrame, *,
    vectors: Mapping[str, npt.NDArray[np.float32]] | None = None, columns: Sequence[str] | None = None,
    order: bool = True,
) -> pd.DataFrame:
    """One row per stored entry of `pairs` (B, I), in its order, float32.

    items: the catalogue in code order; vectors: name → (I, d), rows of length 1, or 0 where the item has none;
    `columns` of items to compare, none: every attribute that holds one value; `order`: whether catalogue order says
    anything. Each runs over the user's latest
    interactions:

    `p_same` (how many are with this item), `p_same_age` (days since, −1: never), `p_near` (smallest distance in
    catalogue order), `p_C` and `p_C_last` (weight of those with the same value of column C, and their share on the
    user's last day), `p_max_V`, `p_mean_V`, `p_last_V` (largest cosine with another item, weighted mean, mean over the
    last day, by vectors V; NaN where the candidate has no vector).
    """
    pairs = pairs.sorted_indices()
    row = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    item = pairs.indices.astype(np.int64)
    names = list(heat_columns(items) if columns is None else columns)
    codes = np.stack(
        [pd.factorize(items[name])[0].astype(np.int32) for name in names], axis=1
    ) if names else np.zeros((len(items), 0), dtype=np.int32)
    same = np.zeros((len(item), 3 + 2 * len(names)), dtype=np.float32)
    _compare(latest.start, latest.item, latest.age, latest.weight, latest.last, row, item, codes, same)
    titles = ["p_same", "p_same_age", "p_near"]
    for name in names:
        titles += [f"p_{name}", f"p_{name}_last"]
    frame = {title: same[:, at] for at, title in enumerate(titles) if order or title != "p_near"}
    for name, matrix in (vectors or {}).items():
        found = np.empty((len(item), 3), dtype=np.float32)
        _cosines(latest.start, latest.item, latest.weight, latest.last, row, item, matrix, found)
        found[np.abs(matrix).sum(axis=1)[item] == 0] = np.nan
        frame |= {f"p_{kind}_{name}": found[:, at] for at, kind in enumerate(("max", "mean", "last"))}
    return pd.DataFrame(frame)


def _compare_python(
    start: npt.NDArray[np.int64], seen: npt.NDArray[np.int64], age: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32], last: npt.NDArray[np.bool_], row: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64], codes: npt.NDArray[np.int32], out: npt.NDArray[np.float32],
) -> None:
    values = codes.shape[1]
    for n in range(len(row)):
        first, stop, j = start[row[n]], start[row[n] + 1], item[n]
        out[n, 1] = -1.0
        near = len(codes)
        newest = 0
        for h in range(first, stop):
            newest += last[h]
        for h in range(first, stop):
            i = seen[h]
            near = min(near, abs(i - j))
            if i == j:
                out[n, 0] += 1.0
                if out[n, 1] < 0 or age[h] < out[n, 1]:
                    out[n, 1] = age[h]
            for v in range(values):
                if codes[i, v] == codes[j, v] and codes[j, v] >= 0:
                    out[n, 3 + 2 * v] += weight[h]
                    if last[h]:
                        out[n, 4 + 2 * v] += 1.0 / newest
        out[n, 2] = near


def _cosines_python(
    start: npt.NDArray[np.int64], seen: npt.NDArray[np.int64], weight: npt.NDArray[np.float32],
    last: npt.NDArray[np.bool_], row: npt.NDArray[np.int64], item: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float32], out: npt.NDArray[np.float32],
) -> None:
    width = vectors.shape[1]
    for n in range(len(row)):
        first, stop, j = start[row[n]], start[row[n] + 1], item[n]
        largest, mean, of_last, newest = np.float32(-1.0), np.float32(0.0), np.float32(0.0), 0
        for h in range(first, stop):
            i = seen[h]
            dot = np.float32(0.0)
            for d in range(width):
                dot += vectors[i, d] * vectors[j, d]
            if i != j and dot > largest:
                largest = dot
            mean += weight[h] * dot
            if last[h]:
                of_last += dot
                newest += 1
        out[n, 0] = largest
        out[n, 1] = mean
        out[n, 2] = of_last / max(newest, 1)


_compare = numba.njit(cache=True, nogil=True)(_compare_python)
_cosines = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})(_cosines_python)
