"""Lists one by one, groups with a due share → lists by online mirror descent on max-min fairness (P-MMF)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from ltexpo.rerank.peers.greedy import best_slots
from ltexpo.rerank.peers.peer import Array, Floats, Market, Slots, checked


@dataclass(frozen=True)
class PMMF:
    """Maximises Σ score + λ × the least e_p / γ_p over groups, by a dual step after every list.

    Xu, Chen, Xu, Shen, Zhang, Wang & Dong, *P-MMF: provider max-min fairness re-ranking in recommender system*, WWW
    2023. A list is the top k of score - μ_p; groups that used up γ_p = T K ρ_p slots are shut out as long as others
    have candidates (`capped`; False leaves the cap out, while prices of over-served groups remain even at λ = 0).
    Then with momentum g = α (β / (T K) - shares of this list) + (1 - α) g, β what is left of γ, and
    μ = argmin Σ ρ² (μ' - μ + η g / ρ²)² over Σ_{p∈S} ρ_p μ'_p ≥ -λ for every set S.
    In x = ρ μ this domain is "negative parts sum to at most λ", so the step is a soft threshold in O(P log P); the
    authors solve it with a general QP. The list's order is by score and exposure counts slots, both as in the paper;
    `weigh_slots` counts a slot by its attention instead (mean 1), for goals in attention.
    The step is η / √T with T lists; ρ = (1 + 1 / P) × due, where the authors' code takes the shares of interactions.
    """

    capped: bool = True
    step: float = 1e-3
    momentum: float = 0.1
    weigh_slots: bool = False
    paper: str = "Xu et al., WWW 2023"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = False
    strengths: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

    @property
    def name(self) -> str:
        """Key in the registry."""
        return "p_mmf" if self.capped else "p_mmf_uncapped"

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ."""
        weight = checked(strength, self.name)
        slots = np.empty((market.n_lists, market.k), np.int32)
        active = market.due > 0
        rho = np.where(active, (1.0 + 1.0 / max(int(active.sum()), 1)) * market.due, 1.0)
        step = self.step / np.sqrt(max(market.n_lists, 1))
        _descend(
            market.indptr, market.items, market.scores, market.group, active, rho,
            slot_weights(market, self.weigh_slots), weight, step, self.momentum, self.capped, slots,
        )  # fmt: skip
        return slots


def slot_weights(market: Market, weigh: bool) -> Floats:
    """What a slot counts (k,), mean 1: its attention, or all the same."""
    mean = float(market.attention.mean())
    return market.attention / mean if weigh and mean > 0 else np.ones(market.k)


@njit(cache=True, nogil=True)
def project(x: Array, weight: float) -> None:
    """Nearest x whose negative parts sum to at most `weight`, in place (Duchi et al., ICML 2008)."""
    depth = 0.0
    for p in range(x.size):
        depth += max(-x[p], 0.0)
    if depth <= weight:
        return
    falling = -np.sort(-np.maximum(-x, 0.0))
    held, cut = 0.0, 0.0
    for p in range(falling.size):
        held += falling[p]
        if falling[p] >= (held - weight) / (p + 1):
            cut = (held - weight) / (p + 1)
    for p in range(x.size):
        if x[p] < 0:
            x[p] = min(x[p] + cut, 0.0)


@njit(cache=True, nogil=True)
def _descend(
    indptr: Array, items: Array, scores: Array, group: Array, active: Array, rho: Array,
    count: Array, weight: float, step: float, momentum: float, capped: bool, slots: Array,
) -> None:  # fmt: skip
    n_lists, k = slots.shape
    price = np.zeros(rho.size)
    left = n_lists * k * rho
    pull = np.zeros(rho.size)
    x = np.empty(rho.size)
    shown = np.empty(rho.size)
    longest = 0
    for r in range(n_lists):
        longest = max(longest, indptr[r + 1] - indptr[r])
    values = np.empty(longest)
    best = np.empty(k)
    for r in range(n_lists):
        lo, n = indptr[r], indptr[r + 1] - indptr[r]
        for i in range(n):
            p = group[items[lo + i]]
            values[i] = scores[lo + i]
            if p >= 0 and active[p]:
                values[i] -= price[p]
                if capped and left[p] <= 0:
                    values[i] -= 1e6
        filled = best_slots(values, n, best, slots[r])
        slots[r, :filled].sort()
        slots[r, filled:] = -1
        shown[:] = 0.0
        for j in range(filled):
            p = group[items[lo + slots[r, j]]]
            if p >= 0 and active[p]:
                shown[p] += count[j]
                left[p] -= count[j]
        for p in range(rho.size):
            if active[p]:
                pull[p] = momentum * (left[p] / (n_lists * k) - shown[p] / k) + (1.0 - momentum) * pull[p]
                x[p] = rho[p] * price[p] - step * pull[p] / rho[p]
            else:
                x[p] = 0.0
        project(x, weight)
        for p in range(rho.size):
            price[p] = x[p] / rho[p]
