"""Lists one by one → lists that pay back attention owed to groups, at a bounded loss of quality in each."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from ltexpo.rerank.peers.merit import Merit
from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class Amortised:
    """Each list lowers Σ_p |A_p - R_p| as far as DCG@k ≥ θ × ideal DCG@k allows; A attention, R relevance so far.

    Biega, Gummadi & Weikum, *Equity of attention: amortizing individual fairness in rankings*, SIGIR 2018. Attention
    sums to 1 in every list, relevance over its candidates too (`merit="relevance"`, the paper), or the due shares are
    owed instead. The paper solves an integer program a list over individuals; subjects here are groups, whose terms are
    no longer separate, so a greedy stands in: slot by slot the candidate of the group that is owed most, if the best
    completion of the list still meets the quality bound. `strength` is 1 - θ; at 0 only ideal lists are allowed.
    """

    merit: Merit = "relevance"
    paper: str = "Biega et al., SIGIR 2018"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)

    @property
    def name(self) -> str:
        """Key in the registry."""
        return "amortised" if self.merit == "relevance" else "amortised_due"

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = 1 - θ from 0 to 1."""
        keep = 1.0 - checked(strength, self.name, most=1.0)
        slots = np.empty((market.n_lists, market.k), np.int32)
        due = market.due if self.merit == "due" else np.empty(0)
        groups = market.n_groups
        _pay_back(market.indptr, market.items, market.scores, market.group, market.attention, groups, due, keep, slots)
        return slots


@njit(cache=True, nogil=True)
def _completion(
    scores: Array, lo: int, n: int, used: Array, skip: int, attention: Array, start: int, end: int
) -> float:
    """Clicks of slots start..end filled with the best unused candidates other than `skip`."""
    total = 0.0
    j = start
    for i in range(n):
        if j == end:
            break
        if not used[i] and i != skip:
            total += attention[j] * scores[lo + i]
            j += 1
    return total


@njit(cache=True, nogil=True)
def _pay_back(
    indptr: Array, items: Array, scores: Array, group: Array, attention: Array, n_groups: int, due: Array, keep: float,
    slots: Array,
) -> None:  # fmt: skip
    n_lists, k = slots.shape
    owed = np.zeros(n_groups)
    stamp = np.full(n_groups, -1, np.int64)
    whole = attention.sum()
    longest = 0
    for r in range(n_lists):
        longest = max(longest, indptr[r + 1] - indptr[r])
    used = np.empty(longest, np.bool_)
    tried = np.empty(longest, np.bool_)
    turn = 0
    for r in range(n_lists):
        lo, n = indptr[r], indptr[r + 1] - indptr[r]
        end = min(k, n)
        relevance = 0.0
        for i in range(n):
            relevance += max(scores[lo + i], 0.0)
        if due.size > 0:
            owed += due
        elif relevance > 0:
            for i in range(n):
                p = group[items[lo + i]]
                if p >= 0:
                    owed[p] += max(scores[lo + i], 0.0) / relevance
        used[:n] = False
        ideal = _completion(scores, lo, n, used, -1, attention, 0, end)
        # a bound on the loss, which means the same for scores of any sign
        bound = ideal - (1.0 - keep) * abs(ideal) - 1e-9 * abs(ideal)
        clicks = 0.0
        for j in range(end):
            tried[:n] = used[:n]
            first = -1
            pick = -1
            while pick < 0:
                # the best candidate of every group not yet tried; of these the one owed most
                turn += 1
                most = -np.inf
                at = -1
                for i in range(n):
                    if used[i]:
                        continue
                    if first < 0:
                        first = i
                    if tried[i]:
                        continue
                    p = group[items[lo + i]]
                    if p >= 0:
                        if stamp[p] == turn:
                            continue
                        stamp[p] = turn
                    value = owed[p] if p >= 0 else 0.0
                    if value > most:
                        most, at = value, i
                if at < 0:
                    pick = first
                    break
                left = _completion(scores, lo, n, used, at, attention, j + 1, end)
                if clicks + attention[j] * scores[lo + at] + left >= bound:
                    pick = at
                else:
                    p = group[items[lo + at]]
                    for i in range(n):
                        if i == at or (p >= 0 and group[items[lo + i]] == p):
                            tried[i] = True
            used[pick] = True
            slots[r, j] = pick
            clicks += attention[j] * scores[lo + pick]
            p = group[items[lo + pick]]
            if p >= 0 and whole > 0:
                owed[p] -= attention[j] / whole
        slots[r, end:] = -1
