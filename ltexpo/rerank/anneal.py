"""Nearly feasible integral lists → better ones by annealed swaps, where goals are many for the number of lists.

With hundreds of overlapping goals on a thousand lists single swaps get stuck: what mends one goal breaks another. The
annealing (Kirkpatrick, Gelatt & Vecchi 1983) walks on F = clicks - Σ_g ρ_g × violation_g, an exact penalty once every
ρ_g is above the goal's price, over the candidates that are near each list's slots at the dual's prices.
"""

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from ltexpo.rerank.kernels import CHUNK
from ltexpo.rerank.moves import allowed, violation_change
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.selection import top_slots

Floats = npt.NDArray[np.float64]

NEAR = 6
"""Candidates beyond slot k that may enter a list."""


def anneal(
    problem: Problem,
    prices: Floats,
    target: Floats,
    slots: npt.NDArray[np.signedinteger],
    exposure: Floats,
    *,
    steps: int,
    hot: float,
    stiffness: float,
    seed: int,
) -> None:
    """Change slots (R, k) and goal exposure (G,) in place by `steps` tried swaps, from temperature `hot` clicks down.

    ρ_g = stiffness × (2 × price + a tenth of the mean price in force).
    """
    member = problem.membership
    pool = np.empty((problem.n_lists, problem.k + NEAR), np.int32)
    _near(problem.lists, problem.boosts(prices), pool)
    size = np.abs(prices)
    common = float(size[size > 0].mean()) if (size > 0).any() else 1e-3
    penalty = stiffness * (2.0 * size + 0.5 * common)
    _walk(
        problem.lists, member.indptr.astype(np.int64), member.indices.astype(np.int64), exposure, target,
        problem.goals.kind, penalty, pool, slots, steps, hot, np.uint64(seed),
    )  # fmt: skip


@njit(parallel=True, cache=True, nogil=True)
def _near(lists, boost, pool):
    n_rows, width = pool.shape
    most = boost.max()
    for c in prange((n_rows + CHUNK - 1) // CHUNK):
        adjusted = np.empty(width, np.float32)
        chosen = np.empty(width, np.int64)
        for r in range(c * CHUNK, min(n_rows, (c + 1) * CHUNK)):
            lo, hi = lists.indptr[r], lists.indptr[r + 1]
            n = top_slots(lists.items, lists.scores, lo, hi, boost, most, width, adjusted, chosen)
            for j in range(width):
                pool[r, j] = chosen[j] - lo if j < n else -1


@njit(cache=True, nogil=True)
def uniform(state):
    """SplitMix64 (Steele, Lea & Flood 2014) → next state, uniform in [0, 1)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, np.float64(z >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True, nogil=True)
def _walk(lists, start, goals, exposure, target, kind, penalty, pool, slots, steps, hot, state):
    k = slots.shape[1]
    n_rows = slots.shape[0]
    plain = np.empty(k, np.int64)
    chosen = np.empty(k, np.int64)
    for step in range(steps):
        temperature = hot * 10.0 ** (-4.0 * step / steps)
        state, u = uniform(state)
        r = min(int(u * n_rows), n_rows - 1)
        lo, hi = lists.indptr[r], lists.indptr[r + 1]
        n = k
        while n > 0 and slots[r, n - 1] < 0:
            n -= 1
        if n <= lists.protect:
            continue
        weight = np.float64(lists.weights[r]) if lists.weights.size > 0 else 1.0
        state, u = uniform(state)
        p = lists.protect + min(int(u * (n - lists.protect)), n - lists.protect - 1)
        state, u = uniform(state)
        # the other place: a slot, or a near candidate; one in both is the slot where it stands
        v = pool[r, min(int(u * pool.shape[1]), pool.shape[1] - 1)]
        if v < 0 or v == slots[r, p]:
            continue
        q = -1
        for j in range(n):
            if slots[r, j] == v:
                q = j
                break
        if q >= 0:
            if q < lists.protect:
                continue
            if q < p:
                p, q = q, p
        up = lo + slots[r, q] if q >= 0 else lo + v
        down = lo + slots[r, p]
        amount = weight * (lists.attention[p] - (lists.attention[q] if q >= 0 else 0.0))
        if amount <= 0.0:
            continue
        gain = amount * (np.float64(lists.scores[up]) - np.float64(lists.scores[down]))
        gain -= violation_change(
            start, goals, exposure, target, kind, penalty, lists.items[down], lists.items[up], amount
        )
        if gain < 0.0:
            if gain < -20.0 * temperature:
                continue
            state, u = uniform(state)
            if u >= np.exp(gain / temperature):
                continue
        if lists.guarded and not allowed(lists, lo, hi, slots, r, n, p, up, plain, chosen):
            continue
        slots[r, p] = up - lo
        if q >= 0:
            slots[r, q] = down - lo
        for s in range(start[lists.items[down]], start[lists.items[down] + 1]):
            exposure[goals[s]] -= amount
        for s in range(start[lists.items[up]], start[lists.items[up] + 1]):
            exposure[goals[s]] += amount
