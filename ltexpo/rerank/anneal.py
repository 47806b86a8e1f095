"""Integral lists at the dual's prices → lists that meet the goals, by annealed swaps: for lists few next to the goals.

With hundreds of overlapping goals on a thousand lists single swaps get stuck: what mends one goal breaks another. The
annealing (Kirkpatrick, Gelatt & Vecchi 1983) walks on F = clicks - Σ_g ρ_g × violation_g, an exact penalty once every
ρ_g is high enough, over the candidates that are near each list's slots at the dual's prices. How high is learnt on the
way: ρ_g starts little above the goal's price, and grows by three tenths after every epoch that ends with the goal unmet
(dynamic weights: Wah & Wu 1999, discrete Lagrange multipliers). One fixed high ρ for all would freeze the walk.
"""

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from ltexpo.rerank.kernels import CHUNK
from ltexpo.rerank.moves import UNMADE, allowed, violation_change
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.selection import top_slots

Floats = npt.NDArray[np.float64]

NEAR = 6
"""Candidates beyond slot k that may enter a list."""
EPOCHS = 50
"""Times that ρ is looked at while the walk cools down; as often again, cold, while a goal is unmet."""
GROWTH = 1.3
HOT, COLD = 5e-3, 5e-5
"""First and last temperature, in ranges of scores."""
STEPS, LEAST_STEPS = 200, 300_000
"""Swaps that are tried: for every slot, and for a problem of few slots."""


def anneal(
    problem: Problem,
    prices: Floats,
    target: Floats,
    slots: npt.NDArray[np.signedinteger],
    exposure: Floats,
    *,
    dearest: Floats,
    spread: float,
    seed: int,
    patience: int = 1,
) -> None:
    """Change slots (R, k) and goal exposure (G,) in place.

    `spread` is the range of scores, `dearest` (G,) the clicks that one missing exposure may cost.
    `patience` times as many swaps are tried from `patience` times the temperature.
    """
    member = problem.membership
    pool = np.empty((problem.n_lists, problem.k + NEAR), np.int32)
    _near(problem.lists, problem.boosts(prices), pool)
    size = np.abs(prices)
    common = float(size[size > 0].mean()) if (size > 0).any() else 0.1 * spread
    penalty = 2.0 * size + 0.5 * common
    # goals that conflict would grow without end, and clicks would count for nothing
    most = np.maximum(penalty, 2.0 * dearest)
    weight = 1.0 if problem.weights is None else float(problem.weights.mean())
    epoch, state = patience * max(STEPS * slots.size, LEAST_STEPS) // EPOCHS, np.uint64(seed)
    for turn in range(2 * EPOCHS):
        met = problem.goals.kind * (target - exposure) <= 0.0
        if turn >= EPOCHS and met.all():
            break
        penalty = np.where(met, penalty, np.minimum(GROWTH * penalty, most))
        temperature = patience * spread * weight * HOT * (COLD / HOT) ** min(turn / EPOCHS, 1.0)
        state = np.uint64(_walk(
            problem.lists, member.indptr.astype(np.int64), member.indices.astype(np.int64), exposure, target,
            problem.goals.kind, penalty, pool, slots, epoch, temperature, state,
        ))  # fmt: skip


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
def _walk(lists, start, goals, exposure, target, kind, penalty, pool, slots, steps, temperature, state):
    k = slots.shape[1]
    n_rows = slots.shape[0]
    plain = np.full((n_rows if lists.guarded else 0, k), UNMADE, np.int64)
    chosen = np.empty(k, np.int64)
    for _ in range(steps):
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
        if lists.guarded and not allowed(lists, lo, hi, slots, r, n, p, up, plain[r], chosen):
            continue
        slots[r, p] = up - lo
        if q >= 0:
            slots[r, q] = down - lo
        for s in range(start[lists.items[down]], start[lists.items[down] + 1]):
            exposure[goals[s]] -= amount
        for s in range(start[lists.items[up]], start[lists.items[up] + 1]):
            exposure[goals[s]] += amount
    return state
