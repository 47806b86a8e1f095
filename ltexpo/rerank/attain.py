"""Candidates → the most (at-least goals) or least (at-most goals) exposure each goal could get, alone.

A list with c candidates of a group can put them in its first c slots, or in its last: no pricing is needed to see that
a goal asks for more than its candidates can give. With guardrails, pinned and protected slots are as they are, what is
under a quality floor may only stand from its plain slot on, and the lists are as long as caps let them be; caps on who
shares a list and limits on clicks are not looked at, so the answer stays optimistic with these.
"""

import numpy as np
import numpy.typing as npt
from numba import get_thread_id, njit, prange

from ltexpo.rerank.fixed import exposure_scale
from ltexpo.rerank.kernels import CHUNK
from ltexpo.rerank.selection import is_pinned, may_rise, plain_slot, plain_slots
from ltexpo.rerank.task import Task

Floats = npt.NDArray[np.float64]


def attainable(task: Task, *, guarded: bool = False) -> Floats:
    """Extreme exposure of every goal (G,): the most for at-least goals and welfare groups, the
    least for at-most goals."""
    scale = exposure_scale(task.total_exposure)
    return np.asarray(task.extremes(guarded=guarded, scale=scale) / scale)


@njit(parallel=True, cache=True, nogil=True)
def find_extremes(lists, start, goals, kind, guarded, scale, table):
    """Extreme exposure × scale of every goal of kind (G,), added into table (threads, G) int64.

    start, goals: the goals of every item (CSR).
    """
    n_rows = lists.indptr.size - 1
    k = lists.attention.size
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        thread = get_thread_id()
        free = np.zeros(kind.size, np.int32)  # candidates of a goal that may stand in any free slot
        late = np.zeros(kind.size, np.int32)  # and those that may stand from their plain slot on
        held = np.zeros(kind.size, np.float64)  # exposure that a goal has anyway
        more = np.zeros(kind.size, np.float64)  # the most that it can get besides
        seen = np.zeros(kind.size, np.bool_)
        touched = np.empty(kind.size, np.int64)
        plain = np.empty(k, np.int64)
        place = np.empty(k, np.int64)
        gaps = np.empty(k + 1, np.float64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
            n = plain_slots(lists, lo, hi, plain) if guarded else min(k, hi - lo)
            # the free slots: gaps[t] = attention of the first t of them, place[j] = which of them slot j is
            n_free = 0
            last = -1
            gaps[0] = 0.0
            for j in range(n):
                place[j] = -1
                if guarded:
                    last = max(last, plain[j])
                if not guarded or (j >= lists.protect and not is_pinned(lists, plain[j])):
                    place[j] = n_free
                    gaps[n_free + 1] = gaps[n_free] + lists.attention[j]
                    n_free += 1
            n_touched = n_able = 0
            for i in range(lo, hi):
                slot = plain_slot(plain, n, i) if i <= last else k
                fixed = slot < n and place[slot] < 0
                able = True
                if guarded and lists.floors:
                    able = may_rise(lists, lo, i)
                if not fixed and not able and slot >= n:
                    continue
                n_able += not fixed
                item = lists.items[i]
                for t in range(start[item], start[item + 1]):
                    g = goals[t]
                    if not seen[g]:
                        seen[g] = True
                        touched[n_touched] = g
                        n_touched += 1
                    if fixed:
                        held[g] += lists.attention[slot]
                    elif able:
                        free[g] += 1
                    else:
                        late[g] += 1
            for t in range(n_touched):
                g = touched[t]
                if kind[g] >= 0:
                    more[g] = gaps[min(free[g], n_free)]
                else:
                    # everything else comes first
                    more[g] = gaps[n_free] - gaps[min(n_able - free[g] - late[g], n_free)]
            if guarded and lists.floors:
                # after those that may stand anywhere, late candidates take the next free slot from their own on
                for j in range(n):
                    if place[j] < 0 or may_rise(lists, lo, plain[j]):
                        continue
                    item = lists.items[plain[j]]
                    for t in range(start[item], start[item + 1]):
                        g = goals[t]
                        if kind[g] >= 0:
                            at = max(free[g], place[j])
                            if at < n_free:
                                more[g] += gaps[at + 1] - gaps[at]
                            free[g] = at + 1
            for t in range(n_touched):
                g = touched[t]
                table[thread, g] += np.int64(weight * (held[g] + more[g]) * scale + 0.5)
                free[g] = late[g] = 0
                held[g] = more[g] = 0.0
                seen[g] = False
