"""Lists and users' histories → lists with each user's own mix of popular, middling and rare items."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from ltexpo.errors import InputError
from ltexpo.rerank.peers.greedy import class_shares, next_of_class
from ltexpo.rerank.peers.peer import Array, Floats, Market, Slots, checked


@dataclass(frozen=True)
class CalibratedPopularity:
    """Greedy maximum of (1-λ) Σ_{i∈L} score - λ J(P(u), Q(L)), J = Jensen-Shannon divergence in bits.

    Abdollahpouri, Mansoury, Burke, Mobasher & Malthouse, *User-centered evaluation of popularity bias in recommender
    systems*, UMAP 2021. Items are head (first 20% of interactions), mid, tail (last 20%); P is the mix of the user's
    history, Q that of the list so far. Needs a history; a user without one gets the mix of all interactions. It serves
    each user's own mix, so a group's exposure may fall with strength.
    """

    name: str = "calibrated_popularity"
    paper: str = "Abdollahpouri et al., UMAP 2021"
    raises: Literal["history"] = "history"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ from 0 to 1."""
        weight = checked(strength, self.name, most=1.0)
        if market.history_indptr is None:
            raise InputError("calibrated_popularity needs the users' histories. Give Market.build a history.")
        classes = _thirds(market.popularity)
        wants = class_shares(market, classes, 3)
        slots = np.empty((market.n_lists, market.k), np.int32)
        _choose(market.indptr, market.items, market.scores, classes, wants, weight, slots)
        return slots


def _thirds(popularity: Floats) -> npt.NDArray[np.int8]:
    """0 head: the first 20% of interactions, 2 tail: the last 20%, 1 the rest; ties by code."""
    order = np.argsort(-popularity, kind="stable")
    held = np.cumsum(popularity[order])
    total = popularity.sum()
    classes = np.ones(len(popularity), np.int8)
    classes[order[held - popularity[order] < 0.2 * total]] = 0
    classes[order[held > 0.8 * total]] = 2
    classes[popularity == 0] = 2
    return classes


@njit(cache=True, nogil=True)
def divergence(p: Array, counts: Array, size: int) -> float:
    """J(p, counts / size) in bits."""
    total = 0.0
    for c in range(p.size):
        q = counts[c] / size
        mean = 0.5 * (p[c] + q)
        if p[c] > 0:
            total += 0.5 * p[c] * np.log2(p[c] / mean)
        if q > 0:
            total += 0.5 * q * np.log2(q / mean)
    return total


@njit(parallel=True, cache=True, nogil=True)
def _choose(
    indptr: Array, items: Array, scores: Array, classes: Array, wants: Array, weight: float, slots: Array
) -> None:
    for r in prange(indptr.size - 1):
        lo, hi = indptr[r], indptr[r + 1]
        n = min(slots.shape[1], hi - lo)
        at = np.empty(3, np.int64)
        counts = np.zeros(3, np.int64)
        for c in range(3):
            at[c] = next_of_class(classes, items, lo, hi, c, 0)
        for j in range(n):
            pick, most = -1, -np.inf
            for c in range(3):
                if lo + at[c] >= hi:
                    continue
                counts[c] += 1
                # the scores already in the list are the same for every class
                value = (1.0 - weight) * scores[lo + at[c]] - weight * divergence(wants[r], counts, j + 1)
                counts[c] -= 1
                if value > most or (value == most and at[c] < at[pick]):
                    pick, most = c, value
            slots[r, j] = at[pick]
            counts[pick] += 1
            at[pick] = next_of_class(classes, items, lo, hi, pick, at[pick] + 1)
        slots[r, n:] = -1
