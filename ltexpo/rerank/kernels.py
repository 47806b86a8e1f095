"""Lists and boosts → values, exposures, chosen slots and near ties, one read of the scores a pass, on all cores.

Exposure, values and clicks are added in fixed point (int64), which is associative: the result is the same bytes for any
number of threads, and for lists that are cut into blocks in any way.
"""

import numpy as np
from numba import get_thread_id, njit, prange

from ltexpo.rerank.selection import clicks_of, guarded_list, plain_slots, top_slots

CHUNK = 1024


@njit(cache=True, nogil=True)
def stands_twice(items, lo, hi, seen, stamps, stamp):
    """Whether a code stands twice in items[lo:hi]; seen and stamps are a hash table of a power of 2 > hi - lo slots.

    An entry counts where its stamp is that of this list, so the table need not be emptied between lists.
    """
    mask = seen.size - 1
    for i in range(lo, hi):
        at = (items[i] * 2654435769 >> 8) & mask
        while stamps[at] == stamp:
            if seen[at] == items[i]:
                return True
            at = (at + 1) & mask
        seen[at] = items[i]
        stamps[at] = stamp
    return False


@njit(parallel=True, cache=True, nogil=True)
def sort_lists(indptr, items, scores, boostable):
    """Put every list in place by score, best first, ties by item code → False if an item stands twice in a list."""
    n_chunks = (indptr.size - 1 + CHUNK - 1) // CHUNK
    twice = np.zeros(n_chunks, np.bool_)
    for c in prange(n_chunks):
        first, last = c * CHUNK, min(indptr.size - 1, (c + 1) * CHUNK)
        longest = 1
        for r in range(first, last):
            longest = max(longest, indptr[r + 1] - indptr[r])
        size = 4
        while size < 2 * longest:
            size *= 2
        seen = np.empty(size, np.int32)
        stamps = np.full(size, -1, np.int32)
        for r in range(first, last):
            lo, hi = indptr[r], indptr[r + 1]
            in_order = True
            for i in range(lo + 1, hi):
                if scores[i - 1] < scores[i] or (scores[i - 1] == scores[i] and items[i - 1] >= items[i]):
                    in_order = False
                    break
            if not in_order:
                by_item = np.argsort(items[lo:hi], kind="mergesort")
                order = by_item[np.argsort(-scores[lo:hi][by_item], kind="mergesort")]
                items[lo:hi] = items[lo:hi][order]
                scores[lo:hi] = scores[lo:hi][order]
                if boostable.size > 0:
                    boostable[lo:hi] = boostable[lo:hi][order]
            if stands_twice(items, lo, hi, seen, stamps, r - first):
                twice[c] = True
    return not twice.any()


@njit(parallel=True, cache=True, nogil=True)
def pass_over(lists, rows, boost, scale, value_scale, clicks_scale, exposure, sums):
    """One pass at these boosts: exposure (threads, I) int64 += a × scale, sums (threads, 2) int64 += value, clicks.

    rows (n,) names the lists; empty = all. Dual value: Σ w Σ a × (score + boost) of the best lists; it and the clicks
    of each list are rounded to their own scale.
    """
    k = lists.attention.size
    n_rows = rows.size if rows.size > 0 else lists.indptr.size - 1
    most = boost.max()
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        thread = get_thread_id()
        adjusted = np.empty(k, np.float32)
        chosen = np.empty(k, np.int64)
        plain = np.empty(k, np.int64)
        spare = np.empty(k, np.int64)
        total = clicks = np.int64(0)
        for t in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            r = rows[t] if rows.size > 0 else t
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
            if lists.guarded:
                n, bound = guarded_list(lists, lo, hi, boost, plain, chosen, spare)
                total += np.int64(np.rint(weight * bound * value_scale))
                clicks += np.int64(np.rint(weight * clicks_of(lists, chosen, n) * clicks_scale))
                for j in range(n):
                    exposure[thread, lists.items[chosen[j]]] += np.int64(weight * lists.attention[j] * scale + 0.5)
            else:
                n = top_slots(lists.items, lists.scores, lo, hi, boost, most, k, adjusted, chosen)
                value, plain_value = 0.0, 0.0
                for j in range(n):
                    i = chosen[j]
                    value += lists.attention[j] * adjusted[j]
                    plain_value += lists.attention[j] * lists.scores[i]
                    exposure[thread, lists.items[i]] += np.int64(weight * lists.attention[j] * scale + 0.5)
                total += np.int64(np.rint(weight * value * value_scale))
                clicks += np.int64(np.rint(weight * plain_value * clicks_scale))
        sums[thread, 0] += total
        sums[thread, 1] += clicks


@njit(parallel=True, cache=True, nogil=True)
def choose(lists, boost, slots):
    """Slots of every list at these boosts: slots (R, k) = offset of the candidate in its list, -1 = empty."""
    k = lists.attention.size
    n_rows = lists.indptr.size - 1
    most = boost.max()
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        adjusted = np.empty(k, np.float32)
        chosen = np.empty(k, np.int64)
        plain = np.empty(k, np.int64)
        spare = np.empty(k, np.int64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            if lists.guarded:
                n = guarded_list(lists, lo, hi, boost, plain, chosen, spare)[0]
            else:
                n = top_slots(lists.items, lists.scores, lo, hi, boost, most, k, adjusted, chosen)
            for j in range(k):
                slots[r, j] = chosen[j] - lo if j < n else -1


@njit(parallel=True, cache=True, nogil=True)
def choose_plain(lists, slots):
    """Slots of the plain lists under the caps: slots (R, k), -1 = empty."""
    k = lists.attention.size
    n_rows = lists.indptr.size - 1
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        plain = np.empty(k, np.int64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo = lists.indptr[r]
            n = plain_slots(lists, lo, lists.indptr[r + 1], plain)
            for j in range(k):
                slots[r, j] = plain[j] - lo if j < n else -1


@njit(parallel=True, cache=True, nogil=True)
def near_ties(lists, rows, boost, upper, lower, amount, margin):
    """Neighbours in the boosted lists `rows`: items upper, lower (n, k), the exposure they would trade, their margin.

    Slot k - 1 is paired with the best candidate left out. amount 0 = no pair.
    """
    k = lists.attention.size
    most = boost.max()
    for c in prange((rows.size + CHUNK - 1) // CHUNK):
        adjusted = np.empty(k + 1, np.float32)
        chosen = np.empty(k + 1, np.int64)
        for t in range(c * CHUNK, min(rows.size, (c + 1) * CHUNK)):
            r = rows[t]
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
            n = top_slots(lists.items, lists.scores, lo, hi, boost, most, k + 1, adjusted, chosen)
            for j in range(k):
                amount[t, j] = 0.0
                if j >= lists.protect and j + 1 < n:
                    below = lists.attention[j + 1] if j + 1 < k else 0.0
                    upper[t, j] = lists.items[chosen[j]]
                    lower[t, j] = lists.items[chosen[j + 1]]
                    amount[t, j] = weight * (lists.attention[j] - below)
                    margin[t, j] = adjusted[j] - adjusted[j + 1]
