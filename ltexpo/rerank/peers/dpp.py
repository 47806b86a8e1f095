"""Lists and features → lists that span as much as they can (determinantal point process, greedy MAP)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit, prange

from ltexpo.rerank.peers.mmr import similarity
from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class DPP:
    """Greedy maximum of (1 - θ) Σ score + θ log det S over the chosen items.

    Chen, Zhang & Zhou, *Fast greedy MAP inference for determinantal point process to improve recommendation diversity*,
    NeurIPS 2018: their trade-off form (their θ is 1 - θ here), with the incremental Cholesky update. S is the cosine of
    `features`; without them `alike` within a group, else 0. Where S is singular the rest follows by score.
    """

    alike: float = 0.9
    name: str = "dpp"
    paper: str = "Chen et al., NeurIPS 2018"
    raises: Literal["diversity"] = "diversity"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = θ from 0 to 1."""
        weight = checked(strength, self.name, most=1.0)
        features = np.empty((0, 0), np.float32) if market.features is None else market.features
        slots = np.empty((market.n_lists, market.k), np.int32)
        _choose(market.indptr, market.items, market.scores, market.group, features, self.alike, weight, slots)
        return slots


@njit(parallel=True, cache=True, nogil=True)
def _choose(
    indptr: Array, items: Array, scores: Array, group: Array, features: Array, alike: float, weight: float, slots: Array
) -> None:
    for r in prange(indptr.size - 1):
        lo, n = indptr[r], indptr[r + 1] - indptr[r]
        end = min(slots.shape[1], n)
        rows = np.zeros((end, n))
        residual = np.ones(n)
        used = np.zeros(n, np.bool_)
        for j in range(end):
            pick, most = -1, -np.inf
            for i in range(n):
                if used[i]:
                    continue
                value = (1.0 - weight) * scores[lo + i] + weight * np.log(max(residual[i], 1e-9))
                if pick < 0 or value > most:
                    pick, most = i, value
            used[pick] = True
            slots[r, j] = pick
            if residual[pick] <= 1e-9:
                continue
            root = np.sqrt(residual[pick])
            for i in range(n):
                if used[i]:
                    continue
                like = similarity(features, group, items[lo + i], items[lo + pick])
                if features.size == 0:
                    like *= alike
                for t in range(j):
                    like -= rows[t, i] * rows[t, pick]
                rows[j, i] = like / root
                residual[i] -= rows[j, i] * rows[j, i]
        slots[r, end:] = -1
