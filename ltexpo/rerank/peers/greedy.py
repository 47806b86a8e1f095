"""Values of a list's candidates → its k best slots: the step that the published re-rankers share."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from ltexpo.rerank.peers.peer import Array, Floats, Market, Slots


@njit(cache=True, nogil=True)
def best_slots(values: Array, n: int, best: Array, chosen: Array) -> int:
    """The best of values[:n] into chosen (k,), best first; an equal value stays behind the earlier one → how many."""
    k = chosen.size
    filled = 0
    for i in range(n):
        value = values[i]
        if filled == k:
            if value <= best[k - 1]:
                continue
            j = k - 1
        else:
            j = filled
            filled += 1
        while j > 0 and best[j - 1] < value:
            best[j] = best[j - 1]
            chosen[j] = chosen[j - 1]
            j -= 1
        best[j] = value
        chosen[j] = i
    return filled


@njit(parallel=True, cache=True, nogil=True)
def _tilted_slots(
    indptr: Array, items: Array, scores: Array, factor: Array, boost: Array, list_factor: Array, slots: Array
) -> None:
    for r in prange(indptr.size - 1):
        lo, hi = indptr[r], indptr[r + 1]
        values = np.empty(hi - lo, np.float64)
        best = np.empty(slots.shape[1], np.float64)
        scale = list_factor[r] if list_factor.size > 0 else 1.0
        for i in range(lo, hi):
            item = items[i]
            times = factor[item] if factor.size > 0 else 1.0
            values[i - lo] = scale * times * scores[i] + (boost[item] if boost.size > 0 else 0.0)
        filled = best_slots(values, hi - lo, best, slots[r])
        slots[r, filled:] = -1


def tilted_slots(
    market: Market, *, factor: Floats | None = None, boost: Floats | None = None, list_factor: Floats | None = None
) -> Slots:
    """Top k of list_factor[r] × factor[item] × score + boost[item]; ties go to the higher score, then lower code."""
    slots = np.empty((market.n_lists, market.k), np.int32)
    none = np.empty(0, np.float64)
    _tilted_slots(
        market.indptr,
        market.items,
        market.scores,
        none if factor is None else factor,
        none if boost is None else boost,
        none if list_factor is None else list_factor,
        slots,
    )
    return slots


@njit(cache=True, nogil=True)
def next_of_class(classes: Array, items: Array, lo: int, hi: int, wanted: int, start: int) -> int:
    """First offset ≥ start of a candidate of the wanted class in lo..hi; the list's length if there is none."""
    at = start
    while lo + at < hi and classes[items[lo + at]] != wanted:
        at += 1
    return at


def class_shares(market: Market, classes: npt.NDArray[np.int8], n_classes: int) -> Floats:
    """P(class | user) (R, n_classes): the user's own history, or the mix of all interactions without one."""
    overall = np.bincount(classes, market.popularity, n_classes)
    overall = overall / overall.sum() if overall.sum() > 0 else np.full(n_classes, 1.0 / n_classes)
    shares: Floats = np.tile(overall, (market.n_lists, 1))
    if market.history_indptr is None or market.history_items is None:
        return shares
    length = np.diff(market.history_indptr)
    owner: npt.NDArray[Any] = np.repeat(np.arange(market.n_lists), length)
    cell = owner * n_classes + classes[market.history_items]
    counts = np.bincount(cell, minlength=market.n_lists * n_classes).reshape(-1, n_classes)
    shares[length > 0] = counts[length > 0] / length[length > 0, None]
    return shares
