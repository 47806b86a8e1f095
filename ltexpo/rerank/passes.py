"""Lists in memory (all of a job, or a block of them) → the sums and ratings that a pass is made for, on all cores.

Sums are integers: those of blocks add up to the same as one pass over all lists.
"""

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ltexpo.rerank.attain import find_extremes
from ltexpo.rerank.fixed import fixed_sum, sum_scale
from ltexpo.rerank.kernels import pass_over
from ltexpo.rerank.moves import Search, measure, score_moves
from ltexpo.rerank.selection import Lists
from ltexpo.rerank.task import Boosts, Scales, Sums

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.signedinteger]

ALL: Ints = np.empty(0, np.int64)
"""In place of rows: every list."""


def list_exposure(lists: Lists, rows: Ints) -> Floats:
    """Exposure that each of the lists `rows` gives away, whatever stands in it: (n,)."""
    upto = np.concatenate([[0.0], np.cumsum(lists.attention)])
    given: Floats = upto[np.minimum(lists.indptr[rows + 1] - lists.indptr[rows], len(lists.attention))]
    return given if lists.weights.size == 0 else given * lists.weights[rows]


def total(given: Floats) -> float:
    """Sum of the exposure (n,) of lists, the same in any order."""
    scale = sum_scale(len(given), float(given.max(initial=0.0)))
    return fixed_sum(given, scale) / scale


def sum_best(lists: Lists, rows: Ints, boost: Boosts, scales: Scales) -> Sums:
    """The best of the lists `rows` at these boosts (I,), summed."""
    threads = numba.get_num_threads()
    exposure, sums = np.zeros((threads, len(boost)), np.int64), np.zeros((threads, 2), np.int64)
    pass_over(lists, rows, boost, scales.exposure, scales.value, scales.clicks, exposure, sums)
    value, clicks = sums.sum(axis=0)
    return Sums(exposure.sum(axis=0), int(value), int(clicks))


def sum_extremes(
    lists: Lists, member: csr_array, kind: npt.NDArray[np.int8], *, guarded: bool, scale: float
) -> Ints:
    """Extreme exposure × scale of every goal (G,); member (I, G)."""
    table = np.zeros((numba.get_num_threads(), len(kind)), np.int64)
    start, goals = member.indptr.astype(np.int64), member.indices.astype(np.int64)
    find_extremes(lists, start, goals, kind, guarded and lists.guarded, scale, table)
    return np.asarray(table.sum(axis=0))


def sum_lists(lists: Lists, slots: Slots, n_items: int, scales: Scales) -> Sums:
    """Lists as given by slots (R, k), summed."""
    threads = numba.get_num_threads()
    exposure, clicks = np.zeros((threads, n_items), np.int64), np.zeros(threads, np.int64)
    measure(lists, slots, scales.exposure, scales.clicks, exposure, clicks)
    return Sums(exposure.sum(axis=0), 0, int(clicks.sum()))


def rated(
    lists: Lists, search: Search, exposure: Floats, slots: Slots, limit: float
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """Lists (n,), rising, that have a move with a rate under `limit`, and these rates."""
    rates = np.empty(len(lists.indptr) - 1, np.float32)
    score_moves(lists, search, exposure, slots, rates, limit)
    rows = np.flatnonzero(np.isfinite(rates))
    return rows, rates[rows]


def count_pins(lists: Lists, slots: Slots) -> tuple[int, int]:
    """How many candidates are pinned, and how many of them stand in their slot; others are in lists too short for it.
    """
    if not lists.pin.size:
        return 0, 0
    row, slot = np.nonzero(slots >= 0)
    shown = lists.items[lists.indptr[row] + slots[row, slot]]
    return int((lists.pin[lists.items] >= 0).sum()), int((lists.pin[shown] == slot).sum())


def spread(n: int, most: int) -> Ints:
    """Up to `most` of n things, spread over all of them."""
    return np.unique(np.linspace(0, n - 1, most).astype(np.int64)) if n else np.empty(0, np.int64)


def narrowest(longest: int) -> type[np.signedinteger]:
    """The narrowest integers that hold an offset in a list of `longest` candidates."""
    return next(kind for kind in (np.int8, np.int16, np.int32) if longest <= np.iinfo(kind).max)
