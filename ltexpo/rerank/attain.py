"""Candidates → the most (at-least goals) or least (at-most goals) exposure each goal could get, alone.

A list with c candidates of a group can put them in its first c slots, or in its last: no pricing is needed to see that
a goal asks for more than its candidates can give. Guardrails are not looked at, so the answer is optimistic with them.
"""

import numba
import numpy as np
import numpy.typing as npt
from numba import get_thread_id, njit, prange

from ltexpo.rerank.kernels import CHUNK
from ltexpo.rerank.problem import Problem

Floats = npt.NDArray[np.float64]


def attainable(problem: Problem) -> Floats:
    """Extreme exposure of every goal (G,): the least for at-most goals, else the most."""
    n_goals = len(problem.goals)
    scale = min(2.0 ** np.floor(61.0 - np.log2(max(problem.total_exposure, 1.0))), 2.0**40)
    table = np.zeros((numba.get_num_threads(), n_goals), np.int64)
    member = problem.membership
    _extremes(
        problem.lists,
        member.indptr.astype(np.int64),
        member.indices.astype(np.int64),
        problem.goals.kind,
        np.concatenate([[0.0], np.cumsum(problem.attention)]),
        scale,
        table,
    )
    return np.asarray(table.sum(axis=0) / scale)


@njit(parallel=True, cache=True, nogil=True)
def _extremes(lists, start, goals, kind, prefix, scale, table):
    n_rows = lists.indptr.size - 1
    k = lists.attention.size
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        thread = get_thread_id()
        count = np.zeros(kind.size, np.int32)
        touched = np.empty(kind.size, np.int64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            weight = lists.weights[r] if lists.weights.size > 0 else np.float32(1.0)
            n_touched = 0
            for i in range(lo, hi):
                item = lists.items[i]
                for t in range(start[item], start[item + 1]):
                    g = goals[t]
                    if count[g] == 0:
                        touched[n_touched] = g
                        n_touched += 1
                    count[g] += 1
            n = min(k, hi - lo)
            for t in range(n_touched):
                g = touched[t]
                # at most: everything else comes first
                amount = prefix[min(count[g], n)] if kind[g] >= 0 else prefix[n] - prefix[min(hi - lo - count[g], n)]
                table[thread, g] += np.int64(weight * amount * scale + 0.5)
                count[g] = 0
