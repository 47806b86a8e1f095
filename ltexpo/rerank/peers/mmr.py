"""Lists and features → lists whose items are relevant and unlike one another (maximal marginal relevance)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit, prange

from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class MMR:
    """Greedy: next item = argmax (1 - θ) score - θ max similarity to the items above it.

    Carbonell & Goldstein, *The use of MMR, diversity-based reranking for reordering documents and producing summaries*,
    SIGIR 1998 (their λ = 1 - θ). Similarity is the cosine of `features`; without them 1 within a group, else 0.
    """

    name: str = "mmr"
    paper: str = "Carbonell & Goldstein, SIGIR 1998"
    raises: Literal["diversity"] = "diversity"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = θ from 0 to 1."""
        weight = checked(strength, self.name, most=1.0)
        features = np.empty((0, 0), np.float32) if market.features is None else market.features
        slots = np.empty((market.n_lists, market.k), np.int32)
        _choose(market.indptr, market.items, market.scores, market.group, features, weight, slots)
        return slots


@njit(cache=True, nogil=True)
def similarity(features: Array, group: Array, a: int, b: int) -> float:
    """Cosine of two items, or whether they share a group."""
    if features.size == 0:
        return 1.0 if group[a] >= 0 and group[a] == group[b] else 0.0
    total = 0.0
    for d in range(features.shape[1]):
        total += features[a, d] * features[b, d]
    return total


@njit(parallel=True, cache=True, nogil=True)
def _choose(
    indptr: Array, items: Array, scores: Array, group: Array, features: Array, weight: float, slots: Array
) -> None:
    for r in prange(indptr.size - 1):
        lo, n = indptr[r], indptr[r + 1] - indptr[r]
        end = min(slots.shape[1], n)
        nearest = np.full(n, -np.inf)
        used = np.zeros(n, np.bool_)
        for j in range(end):
            pick, most = -1, -np.inf
            for i in range(n):
                if used[i]:
                    continue
                value = (1.0 - weight) * scores[lo + i] - (weight * nearest[i] if j > 0 else 0.0)
                if pick < 0 or value > most:
                    pick, most = i, value
            used[pick] = True
            slots[r, j] = pick
            for i in range(n):
                if not used[i]:
                    nearest[i] = max(nearest[i], similarity(features, group, items[lo + i], items[lo + pick]))
        slots[r, end:] = -1
