"""Lists and producers → lists that guarantee every producer copies and leave users little to envy (FairRec)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.sparse import csr_array

from ltexpo.errors import InputError
from ltexpo.rerank.peers.envy import Bundles, without_envy_cycles
from ltexpo.rerank.peers.peer import Array, Floats, Market, Slots, checked

MOST_LISTS = 4_000
"""FairRec+ compares every pair of lists."""


@dataclass(frozen=True)
class FairRec:
    """Greedy round robin over ℓ copies of every producer, then every user's favourites.

    Patro, Biswas, Ganguly, Gummadi & Chakraborty, *FairRec: two-sided fairness for personalized recommendations in
    two-sided platforms*, WWW 2020: each producer is shown in at least ℓ = ⌊α m k / n⌋ lists, users are envy free up to
    one item. `plus`: envy cycles are removed after every round and the next round follows the topological order of
    the envy graph (Biswas, Patro, Ganguly, Gummadi & Chakraborty, *Toward fair recommendation in two-sided platforms*,
    TWEB 2021), at a cost quadratic in the number of lists.

    The papers have one product a producer and every product feasible for every user. Here a producer is a group with
    several items (`by="group"`, its copies in proportion to `due`) or an item (`by="item"`), and only candidates are
    feasible: a user without a feasible product sits out a turn instead of ending the round robin, a bundle goes to an
    envious user only if it consists of the user's candidates, and the guarantees hold as far as candidates reach. A
    list's order is by score, which neither paper sets. Exposure is a count of lists, as in the papers.
    """

    plus: bool = False
    by: Literal["group", "item"] = "group"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    @property
    def name(self) -> str:
        """Key in the registry."""
        return "fairrec_plus" if self.plus else "fairrec"

    @property
    def paper(self) -> str:
        """Where it was published."""
        return "Biswas et al., TWEB 2021" if self.plus else "Patro et al., WWW 2020"

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = α, the guaranteed part of a producer's maximin share (0 to 1)."""
        share = checked(strength, self.name, most=1.0)
        if self.plus and market.n_lists > MOST_LISTS:
            raise InputError(f"fairrec_plus compares all pairs of lists: {market.n_lists} are more than {MOST_LISTS}.")
        producer, due = _producers(market, self.by)
        copies = np.floor(share * due * int(market.filled.sum()) + 1e-9).astype(np.int64)
        taken = np.zeros(len(market.items), np.bool_)
        count = np.zeros(market.n_lists, np.int64)
        if not self.plus:
            _all_rounds(market.indptr, market.items, producer, market.filled, copies, taken, count)
        else:
            order = np.arange(market.n_lists)
            values = csr_array((market.scores.astype(np.float64), market.items, market.indptr), shape=_shape(market))
            while _round(market.indptr, market.items, producer, market.filled, copies, order, taken, count):
                mine = Bundles.of(values, taken)
                bundles, order = without_envy_cycles(mine)
                if bundles is not None:
                    taken = _mark(market, mine, bundles)
                    count = np.diff(np.concatenate([[0], np.cumsum(taken)])[market.indptr])
        return _fill(market.indptr, market.filled, market.k, taken, count)


def _shape(market: Market) -> tuple[int, int]:
    return market.n_lists, market.n_items


def _producers(market: Market, by: Literal["group", "item"]) -> tuple[npt.NDArray[np.int32], Floats]:
    if by == "group":
        return market.group, market.due
    offered = np.bincount(market.items, minlength=market.n_items) > 0
    return np.arange(market.n_items, dtype=np.int32), offered / max(int(offered.sum()), 1)


def _mark(market: Market, mine: Bundles, owner: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Candidates taken (nnz,) after list r got the bundle that was built by list owner[r]."""
    wanted = csr_array(mine.held[owner])
    own = csr_array((np.arange(1, len(market.items) + 1), market.items, market.indptr), shape=_shape(market))
    taken = np.zeros(len(market.items), np.bool_)
    taken[(own * wanted).data.astype(np.int64) - 1] = True
    return taken


@njit(cache=True, nogil=True)
def _all_rounds(
    indptr: Array, items: Array, producer: Array, filled: Array, copies: Array, taken: Array, count: Array
) -> None:
    # copies only fall, so what a user passed over stays out of reach: one pointer a list
    at = indptr[:-1].copy()
    moving = True
    while moving:
        moving = False
        for r in range(indptr.size - 1):
            if count[r] == filled[r]:
                continue
            while at[r] < indptr[r + 1]:
                p = producer[items[at[r]]]
                if p >= 0 and copies[p] > 0:
                    break
                at[r] += 1
            if at[r] < indptr[r + 1]:
                taken[at[r]] = True
                copies[producer[items[at[r]]]] -= 1
                count[r] += 1
                at[r] += 1
                moving = True


@njit(cache=True, nogil=True)
def _round(
    indptr: Array, items: Array, producer: Array, filled: Array, copies: Array, order: Array, taken: Array, count: Array
) -> bool:
    moved = False
    for r in order:
        if count[r] == filled[r]:
            continue
        for i in range(indptr[r], indptr[r + 1]):
            p = producer[items[i]]
            if p >= 0 and copies[p] > 0 and not taken[i]:
                taken[i] = True
                copies[p] -= 1
                count[r] += 1
                moved = True
                break
    return moved


@njit(cache=True, nogil=True)
def _fill(indptr: Array, filled: Array, k: int, taken: Array, count: Array) -> Array:
    slots = np.full((indptr.size - 1, k), -1, np.int32)
    for r in range(indptr.size - 1):
        free = filled[r] - count[r]
        j = 0
        for i in range(indptr[r], indptr[r + 1]):
            if not taken[i]:
                if free == 0:
                    continue
                free -= 1
            slots[r, j] = i - indptr[r]
            j += 1
    return slots
