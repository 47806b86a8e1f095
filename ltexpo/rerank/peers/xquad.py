"""Lists, head and tail → lists that cover both as much as each user wants them (xQuAD for popularity)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit, prange

from ltexpo.rerank.peers.greedy import class_shares, next_of_class
from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class XQuad:
    """Greedy maximum of (1-λ) P(v|u) + λ Σ_c P(c|u) 1[v∈c] Π_{i∈S} (1 - P(i|c,S)), c = tail (protected) or head.

    Abdollahpouri, Burke & Mobasher, *Managing popularity bias in recommender systems with personalized re-ranking*,
    FLAIRS 2019 (1901.07555). Binary: P(i|c,S) = 1[i∈c], so a class counts until one item covers it. Smooth: the share
    of S that lies in c; the paper writes a product over S of a term that does not depend on i, read here as the term
    once, as in public implementations. P(c|u) is the share of c in the user's history, without one that of all users:
    who likes the head gets more of it, so exposure of the tail may fall with strength. The paper takes P(v|u) as it
    comes from the recommender; λ compares with it, so scores should be probabilities.
    """

    smooth: bool = True
    paper: str = "Abdollahpouri et al., FLAIRS 2019"
    raises: Literal["history"] = "history"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)

    @property
    def name(self) -> str:
        """Key in the registry."""
        return "xquad_smooth" if self.smooth else "xquad_binary"

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ from 0 to 1."""
        weight = checked(strength, self.name, most=1.0)
        tail = market.protected.astype(np.int8)
        wants = class_shares(market, tail, 2)
        slots = np.empty((market.n_lists, market.k), np.int32)
        _choose(market.indptr, market.items, market.scores, tail, wants, weight, self.smooth, slots)
        return slots


@njit(parallel=True, cache=True, nogil=True)
def _choose(
    indptr: Array, items: Array, scores: Array, tail: Array, wants: Array, weight: float, smooth: bool, slots: Array
) -> None:
    for r in prange(indptr.size - 1):
        lo, hi = indptr[r], indptr[r + 1]
        n = min(slots.shape[1], hi - lo)
        at = np.empty(2, np.int64)
        covered = np.zeros(2, np.int64)
        for c in range(2):
            at[c] = next_of_class(tail, items, lo, hi, c, 0)
        for j in range(n):
            pick, most = -1, -np.inf
            for c in range(2):
                if lo + at[c] >= hi:
                    continue
                share = covered[c] / j if j > 0 else 0.0
                open_share = 1.0 - (share if smooth else np.ceil(share))
                value = (1.0 - weight) * scores[lo + at[c]] + weight * wants[r, c] * open_share
                # equal values: the candidate that stands first in the plain list
                if value > most or (value == most and at[c] < at[pick]):
                    pick, most = c, value
            slots[r, j] = at[pick]
            covered[pick] += 1
            at[pick] = next_of_class(tail, items, lo, hi, pick, at[pick] + 1)
        slots[r, n:] = -1
