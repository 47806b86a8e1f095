"""Integral lists, their goal exposure and prices → the same lists after swaps that mend or refund goals.

A move swaps two neighbours of a list, or its last slot with a candidate left out; pinned items stay. It trades
a_p - a_{p+1} of exposure and costs its margin (difference of boosted scores) per unit: near ties are nearly free, and
prices leave near ties in almost every list. `score_moves` rates the best move of every list for frozen exposure
(parallel); `apply_moves` walks the lists from the best rate on, looks again with the exposure of the moment, and makes
the move (one thread, so the answer never depends on the number of threads).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import get_thread_id, njit, prange

from ltexpo.rerank.kernels import CHUNK
from ltexpo.rerank.selection import clicks_of, fits_caps, is_pinned, may_rise, plain_slot, plain_slots

NONE = np.inf
UNMADE = -2
"""In front of a plain list that is still to be made."""


class Search(NamedTuple):
    """What the walk looks for: goals of every item (CSR), targets, what is urgent, and bounds that prune.

    heaviest = greatest penalty, reach = most goals that two items touch, top_boost = greatest boost.
    """

    start: npt.NDArray[np.int64]
    goals: npt.NDArray[np.int64]
    target: npt.NDArray[np.float64]
    kind: npt.NDArray[np.int8]
    penalty: npt.NDArray[np.float64]
    urgent: npt.NDArray[np.bool_]
    boost: npt.NDArray[np.float64]
    refund: bool
    heaviest: float
    reach: int
    top_boost: float


@njit(cache=True, nogil=True)
def violation_change(start, goals, exposure, target, kind, penalty, down, up, amount):
    """Change of Σ_g penalty × missing or surplus exposure when `amount` goes from item `down` to item `up`."""
    change = 0.0
    for side in range(2):
        item, other = (up, down) if side == 0 else (down, up)
        shift = amount if side == 0 else -amount
        for t in range(start[item], start[item + 1]):
            g = goals[t]
            shared = False
            for s in range(start[other], start[other + 1]):
                if goals[s] == g:
                    shared = True
                    break
            if not shared:
                before = max(0.0, kind[g] * (target[g] - exposure[g]))
                change += penalty[g] * (max(0.0, kind[g] * (target[g] - exposure[g] - shift)) - before)
    return change


@njit(cache=True, nogil=True)
def allowed(lists, lo, hi, slots, r, n, j, i, plain, chosen):
    """Whether candidate i may stand in slot j (its neighbour, or the one it pushes out, going down) by guardrails.

    plain (k,): the plain list, -1 behind its end, made by the first call after `UNMADE` was put in front.
    """
    if j < lists.protect or is_pinned(lists, i) or is_pinned(lists, lo + slots[r, j]):
        return False
    if plain[0] == UNMADE:
        plain[plain_slots(lists, lo, hi, plain) :] = -1
    if not may_rise(lists, lo, i) and plain_slot(plain, plain.size, i) > j:
        return False
    inside = -1
    for p in range(n):
        chosen[p] = lo + slots[r, p]
        if chosen[p] == i:
            inside = p
    if inside < 0 and not fits_caps(lists, chosen, n, i, j, -1):
        return False
    if lists.keep >= 0.0:
        best = 0.0
        for p in range(plain.size):
            if plain[p] >= 0:
                best += lists.attention[p] * lists.scores[plain[p]]
        if inside >= 0:
            chosen[inside] = chosen[j]
        chosen[j] = i
        if best > 0.0 and clicks_of(lists, chosen, n) < (lists.keep - 1e-9) * best:
            return False
    return True


@njit(cache=True, nogil=True)
def next_slot(lists, lo, slots, r, j, n):
    """The first slot after j that no pinned item holds; n if there is none."""
    below = j + 1
    while below < n and is_pinned(lists, lo + slots[r, below]):
        below += 1
    return below


@njit(cache=True, nogil=True)
def stands_in(slots, r, n, offset):
    """Whether the candidate at `offset` of list r stands in one of its first n slots."""
    for p in range(n):  # noqa: SIM110, numba compiles no generator
        if slots[r, p] == offset:
            return True
    return False


@njit(cache=True, nogil=True)
def same_part(lists, one, other):
    """Whether two items count for the same part of some cap."""
    for p in range(lists.caps.size):
        if lists.parts[p, one] >= 0 and lists.parts[p, one] == lists.parts[p, other]:
            return True
    return False


@njit(cache=True, nogil=True)
def best_move(lists, search, exposure, slots, r, plain, chosen, limit):
    """Best move of list r with a rate under `limit` → (rate, slot, candidate that moves into it).

    Mending: loss of boosted value per unit of violation removed. Refund: that loss per click won, no goal hurt.
    """
    start, goals, target, kind, penalty = search.start, search.goals, search.target, search.kind, search.penalty
    urgent, boost, refund, heaviest = search.urgent, search.boost, search.refund, search.heaviest
    lo, hi = lists.indptr[r], lists.indptr[r + 1]
    weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
    best, at, who = limit, -1, -1
    plain[0] = UNMADE
    n = 0
    while n < slots.shape[1] and slots[r, n] >= 0:
        n += 1
    if n == 0 or weight <= 0.0:
        return NONE, at, who
    for j in range(lists.protect, n - 1):
        below = next_slot(lists, lo, slots, r, j, n)
        if below == n:
            break
        u, v = lo + slots[r, j], lo + slots[r, below]
        if is_pinned(lists, u):
            continue
        down, up = lists.items[u], lists.items[v]
        if not refund and not (urgent[up] or urgent[down]):
            continue
        gain = np.float64(lists.scores[v]) - np.float64(lists.scores[u])
        if refund and gain <= 0.0:
            continue
        amount = weight * (lists.attention[j] - lists.attention[below])
        if amount <= 0.0:
            continue
        margin = max(0.0, boost[down] - boost[up] - gain)
        if refund and margin >= best * gain:
            continue
        change = violation_change(start, goals, exposure, target, kind, penalty, down, up, amount)
        if (refund and change > 0.0) or (not refund and change > -1e-12):
            continue
        rate = margin / gain if refund else amount * margin / -change
        if rate < best and (not lists.guarded or allowed(lists, lo, hi, slots, r, n, j, v, plain, chosen)):
            best, at, who = rate, j, v
    j = n - 1
    while j >= lists.protect and is_pinned(lists, lo + slots[r, j]):
        j -= 1
    if j < lists.protect:
        return (best if at >= 0 else NONE), at, who
    u = lo + slots[r, j]
    down = lists.items[u]
    amount = weight * lists.attention[j]
    if amount <= 0.0:
        return (best if at >= 0 else NONE), at, who
    widest = heaviest * search.reach
    for v in range(lo, hi):
        if refund and lists.scores[v] <= lists.scores[u]:
            break
        # scores fall along the list: with the greatest boost nothing later comes near enough
        if not refund and boost[down] + lists.scores[u] - search.top_boost - lists.scores[v] >= best * widest:
            break
        up = lists.items[v]
        if not refund and not (urgent[up] or urgent[down]):
            continue
        gain = np.float64(lists.scores[v]) - np.float64(lists.scores[u])
        margin = max(0.0, boost[down] - boost[up] - gain)
        # a move mends at most its amount of every goal it touches
        most = gain if refund else heaviest * (start[up + 1] - start[up] + start[down + 1] - start[down])
        if margin >= best * most:
            continue
        if stands_in(slots, r, n, v - lo):
            continue
        change = violation_change(start, goals, exposure, target, kind, penalty, down, up, amount)
        if (refund and change > 0.0) or (not refund and change > -1e-12):
            continue
        rate = margin / gain if refund else amount * margin / -change
        if rate < best and (not lists.guarded or allowed(lists, lo, hi, slots, r, n, j, v, plain, chosen)):
            best, at, who = rate, j, v
    if refund or lists.caps.size == 0:
        return (best if at >= 0 else NONE), at, who
    # where a cap is full, an item can only come in for one of its own part, in whatever slot that stands
    for v in range(lo, hi):
        up = lists.items[v]
        if not urgent[up] or stands_in(slots, r, n, v - lo):
            continue
        for j in range(lists.protect, n - 1):
            u = lo + slots[r, j]
            down = lists.items[u]
            if not same_part(lists, up, down):
                continue
            amount = weight * lists.attention[j]
            gain = np.float64(lists.scores[v]) - np.float64(lists.scores[u])
            margin = max(0.0, boost[down] - boost[up] - gain)
            change = violation_change(start, goals, exposure, target, kind, penalty, down, up, amount)
            if change > -1e-12:
                continue
            rate = amount * margin / -change
            if rate < best and allowed(lists, lo, hi, slots, r, n, j, v, plain, chosen):
                best, at, who = rate, j, v
    return (best if at >= 0 else NONE), at, who


@njit(parallel=True, cache=True, nogil=True)
def score_moves(lists, search, exposure, slots, rates, limit):
    """Rate of the best move of every list, exposure as it stands: rates (R,), inf = no move under `limit`."""
    n_rows = lists.indptr.size - 1
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        plain = np.empty(slots.shape[1], np.int64)
        chosen = np.empty(slots.shape[1], np.int64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            rates[r] = best_move(lists, search, exposure, slots, r, plain, chosen, limit)[0]


@njit(cache=True, nogil=True)
def apply_moves(lists, search, exposure, slots, rows, rates):
    """Make the moves of `rows` in order, each list while its best rate stays within 2 × its given rate.

    Returns the moves made and the clicks won. Changes slots and exposure (G,) in place.
    """
    start, goals, target, kind = search.start, search.goals, search.target, search.kind
    plain = np.empty(slots.shape[1], np.int64)
    chosen = np.empty(slots.shape[1], np.int64)
    made = 0
    won = 0.0
    wrong = np.zeros(target.size, np.bool_)
    n_wrong = 0
    for g in range(target.size):
        wrong[g] = kind[g] * (target[g] - exposure[g]) > 0.0
        n_wrong += wrong[g]
    for t in range(rows.size):
        if n_wrong == 0 and not search.refund:
            break
        r = rows[t]
        lo = lists.indptr[r]
        weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
        for _ in range(2 * slots.shape[1]):
            found = best_move(lists, search, exposure, slots, r, plain, chosen, 2.0 * rates[t] + 1e-12)
            j, v = found[1], found[2]
            if j < 0:
                break
            u = lo + slots[r, j]
            amount = weight * lists.attention[j]
            for below in range(j + 1, slots.shape[1]):
                if lo + slots[r, below] == v:
                    amount -= weight * lists.attention[below]
                    slots[r, below] = u - lo
                    break
            slots[r, j] = v - lo
            for side in range(2):
                item = lists.items[u] if side == 0 else lists.items[v]
                for s in range(start[item], start[item + 1]):
                    g = goals[s]
                    exposure[g] += amount if side == 1 else -amount
                    now = kind[g] * (target[g] - exposure[g]) > 0.0
                    n_wrong += (1 if now else 0) - (1 if wrong[g] else 0)
                    wrong[g] = now
            won += amount * (np.float64(lists.scores[v]) - np.float64(lists.scores[u]))
            made += 1
    return made, won


@njit(parallel=True, cache=True, nogil=True)
def measure(lists, slots, scale, clicks_scale, exposure, clicks):
    """Item exposure × scale of given lists into exposure (threads, I), clicks × clicks_scale into clicks (threads,).

    Both are int64: their sums do not depend on the order.
    """
    n_rows = lists.indptr.size - 1
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        thread = get_thread_id()
        table = exposure[thread]
        total = np.int64(0)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo = lists.indptr[r]
            weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
            of_list = 0.0
            for j in range(slots.shape[1]):
                if slots[r, j] < 0:
                    break
                i = lo + slots[r, j]
                of_list += weight * lists.attention[j] * lists.scores[i]
                table[lists.items[i]] += np.int64(weight * lists.attention[j] * scale + 0.5)
            total += np.int64(np.rint(of_list * clicks_scale))
        clicks[thread] += total
