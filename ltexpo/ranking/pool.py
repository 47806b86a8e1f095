"""Scores of the components, content vectors and demand → the items that the ranker is to judge for each user."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ltexpo.columns import Tier
from ltexpo.config import Settings
from ltexpo.ranking.pair_features import Latest
from ltexpo.sparse import Csr, csr, top_rows

_USERS_AT_ONCE = 128


class PoolSettings(Settings):
    """Candidates for the ranker."""

    best: int = Field(150, ge=1)
    """The best so many items of each component."""
    best_tail: int = Field(0, ge=0)
    """The best so many tail or new items of each component, beside those."""
    demanded: int = Field(60, ge=0)
    """The so many items with the largest expected demand, for everyone."""
    alike_tail: int = Field(60, ge=0)
    """The so many tail items that join likeness to the user's latest items with demand."""
    alike_new: int = Field(100, ge=0)
    """The same for new items."""
    alike: float = Field(8.0, ge=0)
    """Weight of the cosine, averaged over the kinds of vectors, against the logarithm of demand."""
    matched: int = Field(50, ge=0)
    """The so many items of each tier (head, tail, new) that the match model likes best for the user, where there is
    one."""
    likely: int = Field(20_000, ge=1)
    """Only so many items of a tier, those with the largest demand, are compared with each user's."""


@dataclass(frozen=True)
class Pool:
    """Candidates of B users, and how likeness brought them."""

    pairs: Csr
    """(B, I): 1 at each candidate."""
    alike_rank: Csr
    """(B, I): 1-based place of tail and new candidates by likeness and demand, each tier apart."""


def candidate_pool(
    parts: Mapping[str, Csr], latest: Latest, demand: npt.NDArray[np.floating], tier: npt.NDArray[np.object_],
    settings: PoolSettings, *, vectors: Mapping[str, npt.NDArray[np.float32]] | None = None,
    matched: Csr | None = None, skip: Csr | None = None,
) -> Pool:
    """The union of each component's best, the most demanded, the tail and new items most like the user's, and those
    that are `matched` (B, I).

    parts: name → CSR (B, I); demand (I,): expected interactions of each item, positive; tier (I,); vectors: name →
    (I, d), rows of length 1, or 0 where the item has none. Nothing stored in `skip` (B, I) is in it. Tail and new
    items are ordered by alike · mean over vectors of (largest cosine with one of the user's latest) + log demand; ties
    go to the more demanded, then to the lower code.
    """
    users, n_items = len(latest.start) - 1, len(demand)
    pairs = csr((users, n_items), dtype=np.float32)
    for part in parts.values():
        pairs = pairs + (top_rows(part, settings.best) > 0).astype(np.float32)
        if settings.best_tail:
            of_tail = csr(part.multiply((tier != Tier.Head)[None, :].astype(np.float32)))
            pairs = pairs + (top_rows(of_tail, settings.best_tail) > 0).astype(np.float32)
    by_demand = np.argsort(-demand, kind="stable")
    top = np.sort(by_demand[: settings.demanded])
    everyone = csr((np.ones(users * len(top), dtype=np.float32), np.tile(top, users),
                    np.arange(users + 1) * len(top)), shape=(users, n_items))
    ranks = csr((users, n_items), dtype=np.float32)
    if vectors:
        for name, n in ((Tier.Tail, settings.alike_tail), (Tier.New, settings.alike_new)):
            likely = by_demand[tier[by_demand] == name][: settings.likely]
            if len(likely) and n:
                ranks = ranks + _most_alike(latest, likely, demand, vectors, settings.alike, n)
    pairs = csr(pairs + everyone + (ranks > 0).astype(np.float32))
    if matched is not None:
        pairs = csr(pairs + matched)
    if skip is not None:
        pairs = csr(pairs - pairs.multiply(skip > 0))
        pairs.eliminate_zeros()
    pairs.data[:] = 1.0
    return Pool(pairs.sorted_indices(), csr(ranks).sorted_indices())


def _most_alike(
    latest: Latest, likely: npt.NDArray[np.int64], demand: npt.NDArray[np.floating],
    vectors: Mapping[str, npt.NDArray[np.float32]], alike: float, n: int,
) -> Csr:
    """CSR (B, I) of ranks 1 … n among the items `likely`."""
    users = len(latest.start) - 1
    prior = np.log(np.maximum(demand[likely], 1e-9)).astype(np.float32)
    n = min(n, len(likely))
    weight = np.float32(alike / len(vectors))
    rows, columns, ranks = [], [], []
    for begin in range(0, users, _USERS_AT_ONCE):
        block = np.arange(begin, min(begin + _USERS_AT_ONCE, users))
        block = block[latest.start[block + 1] > latest.start[block]]
        if not len(block):
            continue
        first = latest.start[block[0]]
        seen = latest.item[first : latest.start[block[-1] + 1]]
        total = np.tile(prior, (len(block), 1))
        for matrix in vectors.values():
            cosine = matrix[seen] @ matrix[likely].T
            total += weight * np.maximum.reduceat(cosine, latest.start[block] - first, axis=0)
        best = np.argsort(-total, axis=1, kind="stable")[:, :n]
        rows.append(np.repeat(block, n))
        columns.append(likely[best].ravel())
        ranks.append(np.tile(np.arange(1, n + 1, dtype=np.float32), len(block)))
    if not rows:
        return csr((users, len(demand)), dtype=np.float32)
    places = (np.concatenate(rows), np.concatenate(columns))
    return csr((np.concatenate(ranks), places), shape=(users, len(demand)))
