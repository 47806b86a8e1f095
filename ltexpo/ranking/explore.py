"""Components' scores + who is in the tail → lists of which a stated share is tail or new."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ltexpo.ranking.blend import mixed
from ltexpo.sparse import Csr, csr, top_rows

CURIOSITY = 0.05
"""Least weight of a component when tail products are compared: the blend may have found no use for the only component
that reaches products without history, since nobody could click what was never shown."""


def scored(parts: Mapping[str, Csr], weights: Mapping[str, float], in_tail: npt.NDArray[np.bool_]) -> Csr:
    """Scores of all that the parts reach, CSR (B, I): the head's by `weights`, the tail's with every component at least
    at weight `CURIOSITY`, so that a tail product that only an unused component reaches has a score too."""
    curious = {name: max(weight, CURIOSITY) for name, weight in weights.items()}
    return csr(mixed(parts, weights) @ _diagonal(~in_tail) + mixed(parts, curious) @ _diagonal(in_tail))


def with_tail(
    parts: Mapping[str, Csr], weights: Mapping[str, float], in_tail: npt.NDArray[np.bool_], *, k: int, share: float
) -> Csr:
    """The `k` best items of each user by the blend, among them the user's ⌊share · k⌋ best of the tail: CSR (B, I).

    parts: name → CSR (B, I); in_tail: (I,). Scores are those of `scored`; beyond its best, a tail product is in the
    list only if the blend reaches it. Where too few tail products are reached, lists keep what the blend has.
    """
    every = scored(parts, weights, in_tail)
    tail = top_rows(csr(every @ _diagonal(in_tail)), max(_slots(k, share), 1))
    # Far above every score, so that they are kept whatever their score; its size never enters the score itself.
    kept = top_rows(csr(mixed(parts, weights).maximum(tail) + (tail > 0).astype(np.float32) * np.float32(1e3)), k)
    return csr(every.multiply(kept > 0))


def best_with_tail(
    user: npt.NDArray[np.int64], item: npt.NDArray[np.int64], score: npt.NDArray[np.float64],
    in_tail: npt.NDArray[np.bool_], *, k: int, share: float, in_new: npt.NDArray[np.bool_] | None = None,
    new_share: float = 0.0,
) -> npt.NDArray[np.int64]:
    """Rows of each user's `k` best candidates, among them the ⌊share · k⌋ best of the tail: by user, best first.

    With `in_new` also the ⌊new_share · k⌋ best of those. All (n,); ties go to the lower item code.
    """
    order = np.lexsort((item, -score, user))
    of = user[order]
    first = np.zeros(len(of), dtype=bool)
    for group, part in ((in_tail, share), (in_new, new_share)):
        if group is not None:
            inside = group[order]
            first |= inside & (_running(of, inside) <= _slots(k, part))
    # What is to be kept comes before all others, so that it is among the first k whatever its score.
    again = np.lexsort((np.arange(len(of)), ~first, of))
    kept = again[_running(of[again], np.ones(len(of), dtype=bool)) <= k]
    return order[np.sort(kept)]


def _slots(k: int, share: float) -> int:
    """⌊share · k⌋ of the share as it was written: 0.29 · 100 is 28.999… in binary."""
    return int(share * k + 1e-9)


def _running(user: npt.NDArray[np.int64], counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many of the rows up to each one of the same user are `counted`; rows are sorted by user."""
    total = np.cumsum(counted)
    start = np.searchsorted(user, user)
    return np.asarray(total - np.where(start > 0, total[start - 1], 0))


def _diagonal(mask: npt.NDArray[np.bool_]) -> Csr:
    at = np.flatnonzero(mask)
    return csr((np.ones(len(at), dtype=np.float32), (at, at)), shape=(len(mask), len(mask)))
