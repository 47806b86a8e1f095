"""Lists one by one → lists by score plus each group's lag in exposure behind its merit (FairCo)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from ltexpo.rerank.peers.greedy import best_slots
from ltexpo.rerank.peers.merit import Merit, merits
from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class FairCo:
    """σ_τ = sort by score + λ err_p, err_p = (τ - 1) max_q (E_q / M_q - E_p / M_p): a proportional controller.

    Morik, Singh, Hong & Joachims, *Controlling fairness and bias in dynamic learning-to-rank*, SIGIR 2020. E is a
    group's average exposure so far and M its merit: the mean score of its candidates (`merit="relevance"`, the paper;
    sizes of groups cancel), or its due share. Exposure is counted in lists and merit as a share, so λ is score units
    for each list's worth of exposure that a group is behind. Groups without merit are left as they are.
    """

    merit: Merit = "relevance"
    paper: str = "Morik et al., SIGIR 2020"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 1e-5, 3e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.03, 0.1, 1.0)

    @property
    def name(self) -> str:
        """Key in the registry."""
        return "fairco" if self.merit == "relevance" else "fairco_due"

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ."""
        weight = checked(strength, self.name)
        slots = np.empty((market.n_lists, market.k), np.int32)
        attention = market.attention / max(float(market.attention.sum()), 1e-300)
        merit = merits(market, self.merit)
        _control(market.indptr, market.items, market.scores, market.group, attention, merit, weight, slots)
        return slots


@njit(cache=True, nogil=True)
def _control(
    indptr: Array, items: Array, scores: Array, group: Array, attention: Array, merit: Array, weight: float,
    slots: Array,
) -> None:  # fmt: skip
    n_lists, k = slots.shape
    # sums instead of averages: (τ - 1) times a difference of averages is a difference of sums
    served = np.zeros(merit.size)
    longest = 0
    for r in range(n_lists):
        longest = max(longest, indptr[r + 1] - indptr[r])
    values = np.empty(longest)
    best = np.empty(k)
    for r in range(n_lists):
        most = served.max() if served.size else 0.0
        lo, n = indptr[r], indptr[r + 1] - indptr[r]
        for i in range(n):
            p = group[items[lo + i]]
            values[i] = scores[lo + i]
            if p >= 0 and merit[p] > 0:
                values[i] += weight * (most - served[p])
        filled = best_slots(values, n, best, slots[r])
        slots[r, filled:] = -1
        for j in range(filled):
            p = group[items[lo + slots[r, j]]]
            if p >= 0 and merit[p] > 0:
                served[p] += attention[j] / merit[p]
