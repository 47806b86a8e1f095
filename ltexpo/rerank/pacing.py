# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
"""One arriving list and the state of a controller → its slots and the controller's next state, compiled.

Goals that a list does not show only drift, all by the same clock: with target rates left_g / (exposure left) the drift
of price g over any number of lists is rate_g × left_g × (clock now - clock then). So prices are brought up to date only
where they are read, which is exact and costs nothing for the other goals.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ltexpo.rerank.selection import clicks_of, guarded_list, top_slots

CLOCK, EXPOSURE_LEFT, SPREAD_SUM, LISTS, CEILING, CLICKS, PENDING, WAITING, BUFFERED = range(9)
KP, KI, KD, SMOOTHING, MOST_ERROR, MOST_STEP = range(6)


class State(NamedTuple):
    """Everything a controller knows, as arrays that the kernels write into."""

    totals: npt.NDArray[np.float64]
    """(9,) clock, exposure left, Σ spread, lists, ceiling, clicks; then exposure, lists and slots of the open batch."""
    price: npt.NDArray[np.float64]
    """(G,) price at the goal's own clock."""
    clock: npt.NDArray[np.float64]
    """(G,)"""
    left: npt.NDArray[np.float64]
    """(G,) target not yet given."""
    target: npt.NDArray[np.float64]
    kind: npt.NDArray[np.int8]
    rate: npt.NDArray[np.float64]
    """(G,) step of each price, in spreads per exposure; 0 for a PID."""
    pid: npt.NDArray[np.float64]
    """(6,) gains and bounds; empty for mirror descent."""
    memory: npt.NDArray[np.float64]
    """(2, G) smoothed error, integral (PID)."""
    start: npt.NDArray[np.int64]
    """(I + 1,)"""
    goals: npt.NDArray[np.int64]
    """Goals of every item."""
    boost: npt.NDArray[np.float32]
    """(I,) scratch: only the entries of the list at hand are up to date."""
    shown: npt.NDArray[np.int64]
    """(batch × k,) items shown since the last update."""
    amount: npt.NDArray[np.float64]
    """(batch × k,) their exposure."""
    batch: int


@njit(cache=True, nogil=True, inline="always")
def price_now(state, g):
    """Price of goal g with its drift until now."""
    drift = state.rate[g] * max(state.left[g], 0.0) * (state.totals[CLOCK] - state.clock[g])
    high = state.totals[CEILING] if state.kind[g] > 0 else 0.0
    return min(state.price[g] + drift, high)


@njit(cache=True, nogil=True)
def serve(state, lists, lo, hi, weight, adjusted, chosen, plain, spare):
    """Choose the slots of candidates lo..hi into chosen (k,) → how many; remember what was shown, update if due."""
    totals = state.totals
    if hi > lo:
        # the distance that a boost has to bridge
        totals[SPREAD_SUM] += lists.scores[lo] - lists.scores[lo + (hi - lo) // 2]
        totals[CEILING] = max(totals[CEILING], lists.scores[lo] - lists.scores[hi - 1])
    totals[LISTS] += 1.0
    most = np.float32(-np.inf)
    for i in range(lo, hi):
        item = lists.items[i]
        total = 0.0
        for t in range(state.start[item], state.start[item + 1]):
            total += price_now(state, state.goals[t])
        boost = np.float32(total)
        state.boost[item] = boost
        most = max(most, boost)
    if lists.guarded:
        n = guarded_list(lists, lo, hi, state.boost, plain, chosen, spare)[0]
    else:
        n = top_slots(lists.items, lists.scores, lo, hi, state.boost, most, lists.attention.size, adjusted, chosen)
    totals[CLICKS] += weight * clicks_of(lists, chosen, n)
    place = int(totals[BUFFERED])
    for j in range(n):
        state.shown[place] = lists.items[chosen[j]]
        state.amount[place] = weight * lists.attention[j]
        totals[PENDING] += state.amount[place]
        place += 1
    totals[BUFFERED] = place
    totals[WAITING] += 1.0
    if totals[WAITING] >= state.batch:
        update(state)
    return n


@njit(cache=True, nogil=True)
def update(state):
    """Close the open batch: move the prices by what it gave, and by what it should have given."""
    totals = state.totals
    if state.pid.size > 0:
        _update_pid(state)
    else:
        _update_dual(state)
    totals[EXPOSURE_LEFT] -= totals[PENDING]
    totals[PENDING] = 0.0
    totals[WAITING] = 0.0
    totals[BUFFERED] = 0.0


@njit(cache=True, nogil=True)
def _update_dual(state):
    """λ ← projection of λ - η (given - exposure of the batch × left / exposure left)."""
    totals = state.totals
    given = totals[PENDING]
    spread = totals[SPREAD_SUM] / totals[LISTS]
    # past the expected end, what is left is due at once
    ticks = spread * given / max(totals[EXPOSURE_LEFT], given, 1e-12)
    later = totals[CLOCK] + ticks
    for n in range(int(totals[BUFFERED])):
        item = state.shown[n]
        for t in range(state.start[item], state.start[item + 1]):
            g = state.goals[t]
            if state.clock[g] < later:
                # the drift of this batch is projected together with what the batch gave
                state.price[g] = price_now(state, g) + state.rate[g] * max(state.left[g], 0.0) * ticks
                state.clock[g] = later
            state.price[g] -= state.rate[g] * spread * state.amount[n]
    totals[CLOCK] = later
    _settle(state)
    for n in range(int(totals[BUFFERED])):
        item = state.shown[n]
        for t in range(state.start[item], state.start[item + 1]):
            g = state.goals[t]
            low = 0.0 if state.kind[g] > 0 else -totals[CEILING]
            high = totals[CEILING] if state.kind[g] > 0 else 0.0
            state.price[g] = min(max(state.price[g], low), high)


@njit(cache=True, nogil=True)
def _settle(state):
    for n in range(int(state.totals[BUFFERED])):
        item = state.shown[n]
        for t in range(state.start[item], state.start[item + 1]):
            state.left[state.goals[t]] -= state.amount[n]


@njit(cache=True, nogil=True)
def _update_pid(state):
    totals = state.totals
    given = totals[PENDING]
    spread = totals[SPREAD_SUM] / totals[LISTS]
    share = given / max(totals[EXPOSURE_LEFT], given, 1e-12)
    due = np.maximum(state.left, 0.0) * share
    before = state.left.copy()
    _settle(state)
    per_list = given / max(totals[WAITING], 1.0)
    for g in range(state.price.size):
        low = 0.0 if state.kind[g] > 0 else -totals[CEILING]
        high = totals[CEILING] if state.kind[g] > 0 else 0.0
        # relative to what is due; a goal that is due less than a list's exposure is judged on a list's
        error = (due[g] - (before[g] - state.left[g])) / max(due[g], per_list)
        error = min(max(error, -state.pid[MOST_ERROR]), state.pid[MOST_ERROR])
        smooth = state.memory[0, g] + state.pid[SMOOTHING] * (error - state.memory[0, g])
        bend = smooth - state.memory[0, g]
        state.memory[0, g] = smooth
        # anti-windup: the integral itself stays inside the allowed prices
        state.memory[1, g] = min(max(state.memory[1, g] + state.pid[KI] * spread * error, low), high)
        wanted = state.memory[1, g] + spread * (state.pid[KP] * smooth + state.pid[KD] * bend)
        most = state.pid[MOST_STEP] * spread
        wanted = min(max(wanted, state.price[g] - most), state.price[g] + most)
        state.price[g] = min(max(wanted, low), high)


@njit(cache=True, nogil=True)
def serve_all(state, lists, rows, stride, slots, seen, clicks, prices, left):
    """Serve the lists `rows` in order; after every `stride` lists write the next entry of seen, clicks, prices, left.

    slots (R, k) is filled unless it is empty.
    """
    k = lists.attention.size
    adjusted = np.empty(k, np.float32)
    chosen = np.empty(k, np.int64)
    plain = np.empty(k, np.int64)
    spare = np.empty(k, np.int64)
    point = 0
    for t in range(rows.size):
        r = rows[t]
        lo, hi = lists.indptr[r], lists.indptr[r + 1]
        weight = lists.weights[r] if lists.weights.size > 0 else 1.0
        n = serve(state, lists, lo, hi, np.float64(weight), adjusted, chosen, plain, spare)
        if slots.size > 0:
            for j in range(k):
                slots[r, j] = chosen[j] - lo if j < n else -1
        if (t + 1) % stride == 0 or t + 1 == rows.size:
            seen[point] = t + 1
            clicks[point] = state.totals[CLICKS]
            for g in range(state.price.size):
                prices[point, g] = price_now(state, g)
                left[point, g] = state.left[g]
            for n in range(int(state.totals[BUFFERED])):
                item = state.shown[n]
                for e in range(state.start[item], state.start[item + 1]):
                    left[point, state.goals[e]] -= state.amount[n]
            point += 1
