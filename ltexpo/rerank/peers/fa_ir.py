"""Lists and protected items → lists whose every prefix holds enough protected items (FA*IR)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from scipy.stats import binom

from ltexpo.rerank.peers.greedy import next_of_class
from ltexpo.rerank.peers.peer import Array, Market, Slots, checked


@dataclass(frozen=True)
class FaIr:
    """Ranked group fairness: the first j slots hold at least m(j) protected items; the best such list.

    Zehlike, Bonchi, Castillo, Hajian, Megahed & Baeza-Yates, *FA*IR: a fair top-k ranking algorithm*, CIKM 2017.
    m(j) is the least m with F(m; j, p) > α_c, F the binomial distribution; α_c ≤ α is the significance adjusted for k
    tests on one list, so that a list drawn with proportion p fails with probability at most α (the paper searches
    α_c until the failure probability is about α; here it is the greatest that does not exceed it).
    `strength` is p, the least proportion of protected items: at 0 every m(j) is 0.
    """

    significance: float = 0.1
    name: str = "fa_ir"
    paper: str = "Zehlike et al., CIKM 2017"
    raises: Literal["protected"] = "protected"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = p from 0 to 1."""
        share = checked(strength, self.name, most=1.0)
        least = needed(market.k, share, adjusted_significance(market.k, share, self.significance))
        slots = np.empty((market.n_lists, market.k), np.int32)
        _choose(market.indptr, market.items, market.scores, market.protected.astype(np.int8), least, slots)
        return slots


def needed(k: int, share: float, significance: float) -> npt.NDArray[np.int64]:
    """m(j) for j = 1..k: the least m with F(m; j, share) > significance."""
    table = np.zeros(k, np.int64)
    for j in range(1, k + 1):
        table[j - 1] = int((binom.cdf(np.arange(j + 1), j, share) <= significance).sum())
    return table


def failure_probability(least: npt.NDArray[np.int64], share: float) -> float:
    """Chance that slots drawn protected with probability `share` fall under `least` at some prefix (exact)."""
    alive = np.zeros(len(least) + 2)
    alive[0] = 1.0
    for m in least:
        moved = alive * (1.0 - share)
        moved[1:] += alive[:-1] * share
        moved[:m] = 0.0
        alive = moved
    return 1.0 - float(alive.sum())


def adjusted_significance(k: int, share: float, significance: float) -> float:
    """Greatest α_c ≤ significance whose table fails with probability at most `significance`, by bisection."""
    if failure_probability(needed(k, share, significance), share) <= significance:
        return significance
    low, high = 0.0, significance
    for _ in range(40):
        middle = 0.5 * (low + high)
        if failure_probability(needed(k, share, middle), share) <= significance:
            low = middle
        else:
            high = middle
    return low


@njit(parallel=True, cache=True, nogil=True)
def _choose(indptr: Array, items: Array, scores: Array, protected: Array, least: Array, slots: Array) -> None:
    for r in prange(indptr.size - 1):
        lo, hi = indptr[r], indptr[r + 1]
        n = min(slots.shape[1], hi - lo)
        rest = next_of_class(protected, items, lo, hi, 0, 0)
        own = next_of_class(protected, items, lo, hi, 1, 0)
        count = 0
        for j in range(n):
            if lo + own < hi and (count < least[j] or own < rest):
                slots[r, j] = own
                own = next_of_class(protected, items, lo, hi, 1, own + 1)
                count += 1
            else:
                # also where the list has no protected candidate left: then the table cannot be met
                slots[r, j] = rest
                rest = next_of_class(protected, items, lo, hi, 0, rest + 1)
        slots[r, n:] = -1
