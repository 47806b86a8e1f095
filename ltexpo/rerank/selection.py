"""One list and a boost per item → its best slots under the guardrails: the step every kernel repeats.

For fixed prices the best list is a sort by score + boost (rearrangement inequality; Hardy, Littlewood & Pólya 1934).
With at most m items per part the greedy stays exact, since every prefix of a list is an independent set of a partition
matroid (Edmonds 1971). With items that may not rise above their plain slot it stays exact too: they are unit jobs with
release dates, and taking the best available job for every slot is optimal by exchange. Caps and release dates together,
or two crossing caps, make it a heuristic: then `relaxed_value` relaxes one of them at a time, and the least bounds.
Pinned items take their slots before all else (the matroid is contracted by them), which changes none of this.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit


class Lists(NamedTuple):
    """Arrays of a `Problem` as the kernels read them."""

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float64]
    guarded: bool
    floors: bool
    ratio: float
    floor: float
    boostable: npt.NDArray[np.bool_]
    protect: int
    parts: npt.NDArray[np.int32]
    caps: npt.NDArray[np.int32]
    keep: float
    pin: npt.NDArray[np.int32]


@njit(cache=True, nogil=True, inline="always")
def top_slots(items, scores, lo, hi, boost, most, n, adjusted, chosen):
    """The `n` best of candidates lo..hi by score + boost, best first, into adjusted (n,) and chosen (n,) → how many.

    Scores fall along the list, so once score + the greatest boost is under the n-th best, nothing later can enter.
    """
    filled = 0
    for i in range(lo, hi):
        value = scores[i] + boost[items[i]]
        if filled == n:
            last = adjusted[n - 1]
            if value <= last:
                if scores[i] + most <= last:
                    break
                continue
            j = n - 1
        else:
            j = filled
            filled += 1
        # strict: an equal value stays behind the earlier candidate, which has the higher score or lower code
        while j > 0 and adjusted[j - 1] < value:
            adjusted[j] = adjusted[j - 1]
            chosen[j] = chosen[j - 1]
            j -= 1
        adjusted[j] = value
        chosen[j] = i
    return filled


@njit(cache=True, nogil=True, inline="always")
def may_rise(lists, lo, i):
    """Whether candidate i of the list that starts at lo passes the quality floors."""
    if not lists.floors:
        return True
    score = lists.scores[i]
    best = lists.scores[lo]
    if lists.boostable.size > 0 and not lists.boostable[i]:
        return False
    return score >= lists.floor and (best <= 0.0 or score >= lists.ratio * best)


@njit(cache=True, nogil=True)
def fits_caps(lists, chosen, filled, i, skip, only):
    """Whether candidate i may join chosen[:filled] (without slot `skip` and -1) under cap `only`, all caps if -1."""
    for p in range(lists.caps.size):
        if only >= 0 and p != only:
            continue
        code = lists.parts[p, lists.items[i]]
        if code < 0:
            continue
        count = 0
        for j in range(filled):
            if j != skip and chosen[j] >= 0 and lists.parts[p, lists.items[chosen[j]]] == code:
                count += 1
        if count >= lists.caps[p]:
            return False
    return True


@njit(cache=True, nogil=True)
def plain_slots(lists, lo, hi, plain):
    """The plain list under pins and all caps into plain (k,) → how many slots it fills."""
    size = plain.size
    pinned = lists.pin.size > 0
    if pinned:
        plain[:] = -1
        for i in range(lo, hi):
            slot = lists.pin[lists.items[i]]
            if slot >= 0:
                plain[slot] = i
    filled = 0
    for i in range(lo, hi):
        if pinned:
            while filled < size and plain[filled] >= 0:
                filled += 1
            if is_pinned(lists, i):
                continue
        if filled == size:
            break
        if fits_caps(lists, plain, size if pinned else filled, i, -1, -1):
            plain[filled] = i
            filled += 1
    return close_up(plain, filled, size) if pinned else filled


@njit(cache=True, nogil=True, inline="always")
def is_pinned(lists, i):
    """Whether candidate i has a slot of its own."""
    return lists.pin.size > 0 and lists.pin[lists.items[i]] >= 0


@njit(cache=True, nogil=True)
def close_up(chosen, filled, n):
    """Pinned candidates of chosen[filled:n] move up to where the list ends, in order → its length."""
    for j in range(filled, n):
        if chosen[j] >= 0:
            chosen[filled] = chosen[j]
            filled += 1
    return filled


@njit(cache=True, nogil=True)
def plain_slot(plain, filled, i):
    """Slot of candidate i in the plain list; the list's length if it is not in it."""
    for j in range(filled):
        if plain[j] == i:
            return j
    return plain.size


@njit(cache=True, nogil=True)
def guarded_slots(lists, lo, hi, boost, theta, plain, n, release, only, chosen):
    """Greedy list by score + theta × boost under the guardrails into chosen (k,) → (slots filled, Σ a × adjusted).

    `release` keeps items under the floor at or below their plain slot; `only` names one cap (-1 all, -2 none).
    """
    size = hi - lo
    falling = np.empty(size, np.float64)
    for i in range(size):
        falling[i] = -(lists.scores[lo + i] + theta * boost[lists.items[lo + i]])
    order = np.argsort(falling, kind="mergesort")
    used = np.zeros(size, np.bool_)
    pinned = lists.pin.size > 0
    if pinned:
        for j in range(n):
            chosen[j] = -1
            if is_pinned(lists, plain[j]):
                chosen[j] = plain[j]
                used[plain[j] - lo] = True
    value = 0.0
    filled = 0
    first = 0
    while filled < n:
        pick = -1
        held = n if pinned else filled
        if filled < lists.protect or (pinned and chosen[filled] >= 0):
            pick = plain[filled]
        else:
            while first < size and used[order[first]]:
                first += 1
            for t in range(first, size):
                i = lo + order[t]
                if used[order[t]]:
                    continue
                if release and not may_rise(lists, lo, i) and plain_slot(plain, n, i) > filled:
                    continue
                if only == -2 or fits_caps(lists, chosen, held, i, -1, only):
                    pick = i
                    break
            if pick < 0:
                for i in range(lo, hi):
                    if not used[i - lo] and (only == -2 or fits_caps(lists, chosen, held, i, -1, only)):
                        pick = i
                        break
            if pick < 0:
                break
        chosen[filled] = pick
        used[pick - lo] = True
        value -= lists.attention[filled] * falling[pick - lo]
        filled += 1
    if pinned and filled < n:
        ended = filled
        filled = close_up(chosen, filled, n)
        for j in range(ended, filled):
            value -= lists.attention[j] * falling[chosen[j] - lo]
    return filled, value


@njit(cache=True, nogil=True)
def clicks_of(lists, chosen, filled):
    """Σ a × score of one list."""
    clicks = 0.0
    for j in range(filled):
        clicks += lists.attention[j] * lists.scores[chosen[j]]
    return clicks


@njit(cache=True, nogil=True)
def relaxed_value(lists, lo, hi, boost, theta, plain, n, value, spare):
    """Upper bound of Σ a × (score + theta × boost) over all lists the guardrails allow; `value` is the greedy's."""
    n_caps = lists.caps.size
    if n_caps == 0 or (n_caps == 1 and not lists.floors):
        return value
    bound = np.inf
    if lists.floors:
        bound = guarded_slots(lists, lo, hi, boost, theta, plain, n, True, -2, spare)[1]
    for p in range(n_caps):
        bound = min(bound, guarded_slots(lists, lo, hi, boost, theta, plain, n, False, p, spare)[1])
    return max(bound, value)


@njit(cache=True, nogil=True)
def guarded_list(lists, lo, hi, boost, plain, chosen, spare):
    """The list for these boosts under all guardrails into chosen → (slots filled, upper bound of Σ a × adjusted).

    A list that would lose too many clicks is redone with boosts scaled by theta in [0, 1]: theta = 1 / (1 + μ) for the
    multiplier μ of its own click guardrail, so each theta also gives a bound by weak duality.
    """
    n = plain_slots(lists, lo, hi, plain)
    filled, value = guarded_slots(lists, lo, hi, boost, 1.0, plain, n, True, -1, chosen)
    bound = relaxed_value(lists, lo, hi, boost, 1.0, plain, n, value, spare)
    best = clicks_of(lists, plain, n)
    if lists.keep < 0.0 or best <= 0.0:
        return filled, bound
    keep = lists.keep * best
    if clicks_of(lists, chosen, filled) >= keep - 1e-9 * best:
        return filled, bound
    low, high = 0.0, 1.0
    for _ in range(10):
        theta = 0.5 * (low + high)
        filled, value = guarded_slots(lists, lo, hi, boost, theta, plain, n, True, -1, chosen)
        top = relaxed_value(lists, lo, hi, boost, theta, plain, n, value, spare)
        bound = min(bound, top / theta - (1.0 / theta - 1.0) * keep)
        if clicks_of(lists, chosen, filled) >= keep - 1e-9 * best:
            low = theta
        else:
            high = theta
    filled, value = guarded_slots(lists, lo, hi, boost, low, plain, n, True, -1, chosen)
    return filled, bound
