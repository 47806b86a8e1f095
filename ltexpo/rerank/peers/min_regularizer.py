"""Lists one by one, groups with a due share → lists by score plus each group's lag, the baseline of P-MMF."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from ltexpo.rerank.peers.greedy import best_slots
from ltexpo.rerank.peers.p_mmf import slot_weights
from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class MinRegularizer:
    """Top k of score + λ (what the group has left - what the best served group has left), in slots of its due.

    Xu et al., *P-MMF*, WWW 2023, section on baselines: a regulariser on the gap between a provider and the extreme one.
    Left is β_p / (T ρ_p), from K down; the authors' code divides the gap of β by ρ_p afterwards, which is the same for
    equal ρ. `capped` shuts out groups that used up their T K ρ_p slots, as the code does; without it strength 0 is
    the plain list. Exposure counts slots, or with `weigh_slots` their attention (mean 1); ρ = (1 + 1 / P) × due.
    """

    capped: bool = False
    weigh_slots: bool = False
    paper: str = "Xu et al., WWW 2023 (baseline)"
    raises: Literal["groups"] = "groups"
    strengths: tuple[float, ...] = (0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)

    @property
    def name(self) -> str:
        """Key in the registry."""
        return "min_regularizer_capped" if self.capped else "min_regularizer"

    @property
    def plain_at_zero(self) -> bool:
        """With the cap there is no such point."""
        return not self.capped

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ."""
        weight = checked(strength, self.name)
        slots = np.empty((market.n_lists, market.k), np.int32)
        active = market.due > 0
        rho = np.where(active, (1.0 + 1.0 / max(int(active.sum()), 1)) * market.due, 1.0)
        count = slot_weights(market, self.weigh_slots)
        _choose(
            market.indptr, market.items, market.scores, market.group, active, rho, count, weight, self.capped, slots
        )
        return slots


@njit(cache=True, nogil=True)
def _choose(
    indptr: Array, items: Array, scores: Array, group: Array, active: Array, rho: Array,
    count: Array, weight: float, capped: bool, slots: Array,
) -> None:  # fmt: skip
    n_lists, k = slots.shape
    left = np.full(rho.size, float(k))
    longest = 0
    for r in range(n_lists):
        longest = max(longest, indptr[r + 1] - indptr[r])
    values = np.empty(longest)
    best = np.empty(k)
    for r in range(n_lists):
        least = np.inf
        for p in range(rho.size):
            if active[p]:
                least = min(least, left[p])
        lo, n = indptr[r], indptr[r + 1] - indptr[r]
        for i in range(n):
            p = group[items[lo + i]]
            values[i] = scores[lo + i]
            if p >= 0 and active[p]:
                values[i] += weight * (left[p] - least)
                if capped and left[p] <= 0:
                    values[i] -= 1e6
        filled = best_slots(values, n, best, slots[r])
        slots[r, :filled].sort()
        slots[r, filled:] = -1
        for j in range(filled):
            p = group[items[lo + slots[r, j]]]
            if p >= 0 and active[p]:
                left[p] -= count[j] / (n_lists * rho[p])
