"""Compiled steps between candidates as rows, lists in codes, and rows to be written."""

import numpy as np
from numba import njit, prange

from ltexpo.rerank.kernels import CHUNK


@njit(parallel=True, cache=True, nogil=True)
def move_runs(rows, starts, targets, placed):
    """placed = rows with run n moved from starts[n] to targets[n]."""
    for run in prange(targets.size):
        shift = targets[run] - starts[run]
        for i in range(starts[run], starts[run + 1]):
            placed[i + shift] = rows[i]


@njit(parallel=True, cache=True, nogil=True)
def count_repeats(indptr, items, count):
    """count (R,) += rows of each list whose item stands there already."""
    for r in prange(indptr.size - 1):
        codes = np.sort(items[indptr[r] : indptr[r + 1]])
        for i in range(1, codes.size):
            count[r] += codes[i] == codes[i - 1]


@njit(parallel=True, cache=True, nogil=True)
def pass_floors(indptr, scores, lower, ratio, floor, passes):
    """passes (nnz,) = lower bound ≥ floor and ≥ ratio × the best score of the list (-inf: no such floor)."""
    for r in prange(indptr.size - 1):
        best = np.float32(0.0)
        for i in range(indptr[r], indptr[r + 1]):
            best = max(best, scores[i])
        for i in range(indptr[r], indptr[r + 1]):
            passes[i] = lower[i] >= floor and (ratio == -np.inf or lower[i] >= ratio * best)


@njit(cache=True, nogil=True)
def plain_place(plain, r, candidate):
    """Slot of a candidate in the plain list; its length when it is not in it."""
    for j in range(plain.shape[1]):
        if plain[r, j] == candidate:
            return j
    return plain.shape[1]


@njit(parallel=True, cache=True, nogil=True)
def count_promoted(lists, slots, plain, boosts, count):
    """count (R,) += boosted items of each list above their plain slot."""
    n_rows, k = slots.shape
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            for j in range(k):
                if slots[r, j] < 0:
                    break
                if boosts[lists.items[lists.indptr[r] + slots[r, j]]] > 0 and j < plain_place(plain, r, slots[r, j]):
                    count[r] += 1


# These two fill one batch on one thread: a file has a thread of its own.
@njit(cache=True, nogil=True)
def fill_lists(lists, slots, plain, boosts, first, last, row, rank, item, score, exposure, price, boosted):
    """The columns of the rows of lists first..last → how many rows; `row` counts lists from `first`."""
    n = 0
    for r in range(first, last):
        lo = lists.indptr[r]
        weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
        for j in range(slots.shape[1]):
            if slots[r, j] < 0:
                break
            i = lo + slots[r, j]
            boost = boosts[lists.items[i]]
            row[n], rank[n], item[n], score[n] = r - first, j + 1, lists.items[i], lists.scores[i]
            exposure[n] = weight * lists.attention[j]
            price[n] = boost
            boosted[n] = boost > 0 and j < plain_place(plain, r, slots[r, j])
            n += 1
    return n


@njit(cache=True, nogil=True)
def fill_promotions(lists, slots, plain, boosts, first, last, row, item, rank, before, displaced, lost):
    """The columns of the promotions of lists first..last; -1 = no such rank or item."""
    n = 0
    k = slots.shape[1]
    for r in range(first, last):
        lo = lists.indptr[r]
        weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
        for j in range(k):
            if slots[r, j] < 0:
                break
            i = lo + slots[r, j]
            if not boosts[lists.items[i]] > 0:
                continue
            was = plain_place(plain, r, slots[r, j])
            if j >= was:
                continue
            row[n], item[n], rank[n] = r - first, lists.items[i], j + 1
            before[n] = was + 1 if was < k else -1
            other = 0.0
            displaced[n] = -1
            if plain[r, j] >= 0:
                displaced[n] = lists.items[lo + plain[r, j]]
                other = np.float64(lists.scores[lo + plain[r, j]])
            lost[n] = weight * lists.attention[j] * (other - np.float64(lists.scores[i]))
            n += 1
