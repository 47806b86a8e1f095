"""A fitted blend + history + vectors → each user's candidates with one row of features each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Tier
from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.errors import TableError
from ltexpo.graph.nearest import nearest
from ltexpo.ranking.asked import Asked, Texts
from ltexpo.ranking.blend import Blend, mixed
from ltexpo.ranking.item_features import ItemFeatureSettings, heat_columns, item_features
from ltexpo.ranking.matching import Matcher
from ltexpo.ranking.pair_features import Latest, PairFeatureSettings, pair_features
from ltexpo.ranking.pool import PoolSettings, candidate_pool
from ltexpo.sparse import Csr, csr

Vectors = Mapping[str, npt.NDArray[np.float32]]


class FeatureSettings(Settings):
    """Candidates and their features."""

    pool: PoolSettings = PoolSettings()
    """Which items become candidates."""
    item: ItemFeatureSettings = ItemFeatureSettings()
    """What is known of an item."""
    pair: PairFeatureSettings = PairFeatureSettings()
    """What is known of a user and an item together."""


@dataclass(frozen=True)
class Candidates:
    """n candidates of B users, sorted by user and item."""

    user: npt.NDArray[np.int64]
    """(n,) row of the user among those asked for."""
    item: npt.NDArray[np.int64]
    """(n,) item code."""
    features: pd.DataFrame
    """(n, F) float32, NaN where unknown."""

    def outcome(self, taken: Csr) -> npt.NDArray[np.int8]:
        """(n,) 1 where `taken` (B, I) stores the candidate."""
        return np.asarray(csr(taken)[self.user, self.item]).ravel().astype(bool).astype(np.int8)

    def in_tail(self, tier: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
        """(n,) whether each is a tail or new item by `tier` (I,) that is not among the user's latest interactions."""
        return np.asarray((tier[self.item] != Tier.Head) & (self.features["p_same"].to_numpy() == 0))


class CandidateFeatures:
    """Candidates and features of any users, from one history; nothing after its end gets in.

    Columns, beside those of `item_features` (`i_…`) and `pair_features` (`p_…`):

    - `s_PART`, `r_PART`: score (best = 1, 0: not reached) and 1-based rank (NaN: not reached) in each component;
      `s_blend`: their weighted sum;
    - `i_demand`: log of the expected demand; `i_tail`, `i_new`: the item's tier;
    - `i_looked`, `i_rate`: where impressions are logged, see `looks`;
    - `r_alike`: place by likeness and demand among tail or new items (NaN: not reached);
    - `u_count`, `u_days`, `u_last`, `u_since`: the user's interactions, days with any, interactions of the last such
      day, days from it to the end of history;
    - `p_price`: log price over the user's mean log price, where items have prices;
    - `m_match`, `m_worth`: log P(item | user) of the match model, and what it says of the item alone;
    - `q_text`: where queries are read, cosine of what was typed with the item's text (NaN: either is missing).

    Fitted: `item_` (I, ·) item features, `tier_`, `demand_` (I,), `compared_` (columns of items in pair features).
    """

    def __init__(
        self, blend: Blend, settings: FeatureSettings | None = None, *, vectors: Vectors | None = None,
        matcher: Matcher | None = None, asked: Asked | None = None,
    ) -> None:
        self.blend, self.settings, self.vectors = blend, settings or FeatureSettings(), dict(vectors or {})
        self.matcher, self.asked = matcher, asked

    def fit(
        self, history: History, items: pd.DataFrame, tier: npt.NDArray[np.object_], *,
        known: pd.DataFrame | None = None, demand: npt.NDArray[np.floating] | None = None,
        looked: pd.DataFrame | None = None,
    ) -> Self:
        """Fit the blend and the item features; items, tier and vectors are in the order of the history's item codes.

        known: item features made before, none: made here; demand (I,): expected interactions, none: heat; looked: the
        features of `looks`, none: without. Demand is learnt without these, or what nobody was shown would be thought
        of as what nobody wants, and would never be a candidate.
        """
        for name, matrix in self.vectors.items():
            if len(matrix) != len(items):
                raise TableError(f"vectors '{name}' has {len(matrix):,} rows, items {len(items):,}; give one per item.")
        self.history_, self.items_, self.tier_ = history, items, tier
        self.blend.fit(history, items)
        self.item_ = known if known is not None else item_features(
            history, items, self.settings.item, vectors=self.vectors
        )
        if looked is not None:
            self.item_ = self.item_.assign(**looked)
        given = self.settings.item.heat_columns
        self.compared_ = heat_columns(items) if given is None else given
        heat = np.expm1(self.item_["i_heat"].to_numpy()) + 1e-3
        self.demand_ = np.asarray(heat if demand is None else np.maximum(demand, 1e-9), dtype=np.float32)
        return self

    def adopt(self, history: History) -> Self:
        """Answer for the users of `history`, another one over the same items; what was learnt of items stays.

        For visitors of today, and for baskets cut in two: see `baskets`.
        """
        self.history_ = history
        self.blend.adopt(history)
        return self

    def alike(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A number for each of `users` (B,) codes, the same for those who get the same candidates and features: who
        have no history, and of whom the match model knows the same."""
        strange = np.flatnonzero(~np.isin(users, self.history_.user))
        number = np.arange(len(users))
        if self.matcher is None or not len(strange):
            number[strange] = len(users)
            return number
        told = csr(self.matcher.told(self.history_, users[strange])).sorted_indices()
        length = np.diff(told.indptr)
        held = np.full((len(strange), length.max() + 1), -1, dtype=np.int64)
        row = np.repeat(np.arange(len(strange)), length)
        held[row, np.arange(told.nnz) - told.indptr[row]] = told.indices
        number[strange] = len(users) + np.unique(held, axis=0, return_inverse=True)[1].ravel()
        return number

    def table(
        self, users: npt.NDArray[np.int64], *, skip: Csr | None = None, pairs: Csr | None = None,
        queries: Texts | None = None,
    ) -> Candidates:
        """Candidates of `users` (B,) codes; nothing stored in `skip` (B, I) is among them.

        With `pairs` (B, I) these are judged in place of candidates: what was shown, for one. `queries` (B,): what each
        has typed, '' where nothing; the same user may stand in several rows. They are read where `asked` is given.
        """
        history, pair = self.history_, self.settings.pair
        latest = Latest.of(history, users, pair)
        parts = self.blend.parts(users, skip=skip)
        n = 0 if pairs is not None else self.settings.pool.matched
        typed = None if self.asked is None else self.asked.whole(queries, len(users))
        matched = None
        if self.matcher is not None:
            matched = self.matcher.match(history, users, self.tier_, n, queries=typed)
        best = None if matched is None else matched.best
        if self.asked is not None and typed is not None:
            typed = self.asked.narrow(typed)
            best = _also(best, _nearest(typed, self.vectors[self.asked.name], n))
        pool = candidate_pool(
            parts, latest, self.demand_, self.tier_, self.settings.pool, vectors=self.vectors, matched=best, skip=skip,
        )
        pairs = pool.pairs if pairs is None else csr(pairs).sorted_indices()
        user = np.repeat(np.arange(len(users)), np.diff(pairs.indptr))
        item = pairs.indices.astype(np.int64)
        columns: dict[str, npt.NDArray[np.floating]] = {}
        for name, part in parts.items():
            columns[f"s_{name}"] = at_pairs(part, user, item)
            columns[f"r_{name}"] = _missing_zeros(at_pairs(ranks(part), user, item))
        weights = dict(zip(parts, self.blend.weights_, strict=True))
        columns["s_blend"] = at_pairs(mixed(parts, weights), user, item)
        columns["i_demand"] = np.log(self.demand_)[item]
        columns["i_tail"], columns["i_new"] = (self.tier_ == Tier.Tail)[item], (self.tier_ == Tier.New)[item]
        columns["r_alike"] = _missing_zeros(at_pairs(pool.alike_rank, user, item))
        columns |= {name: values[user] for name, values in _user_features(history, users).items()}
        if "price" in self.items_.columns:
            columns["p_price"] = _price_fit(self.items_["price"].to_numpy(dtype=float), latest, user, item)
        if matched is not None:
            columns["m_match"], columns["m_worth"] = matched.score(user, item), matched.items[item, -1]
        if self.asked is not None and typed is not None:
            columns["q_text"] = _cosine(typed, self.vectors[self.asked.name], user, item)
        own = pd.DataFrame({name: np.asarray(values, dtype=np.float32) for name, values in columns.items()})
        of_item = pd.DataFrame({name: self.item_[name].to_numpy()[item] for name in self.item_.columns})
        of_pair = pair_features(
            latest, pairs, self.items_, vectors=self.vectors, columns=self.compared_,
            order=bool(self.settings.item.order_windows),
        )
        return Candidates(user, item, pd.concat([own, of_item, of_pair], axis=1))


def ranks(scores: Csr) -> Csr:
    """1-based ranks of the stored entries of each row, best first, ties by column: CSR of the same shape."""
    scores = csr(scores).sorted_indices()
    row = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, row))
    rank = np.empty(scores.nnz, dtype=np.float32)
    rank[order] = np.arange(scores.nnz) - scores.indptr[row] + 1
    return csr((rank, scores.indices, scores.indptr), shape=scores.shape)


def at_pairs(
    matrix: Csr, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Entries of `matrix` at (row, column), 0 where nothing is stored: (n,)."""
    return np.asarray(csr(matrix)[row, column], dtype=np.float32).ravel()


def _also(one: Csr | None, other: Csr) -> Csr:
    return other if one is None else csr(one + other)


def _nearest(rows: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], n: int) -> Csr:
    """CSR (B, I): 1 at the `n` of `vectors` (I, w) nearest to each of `rows` (B, w); nothing for rows of NaN."""
    there = np.flatnonzero(np.isfinite(rows).all(axis=1))
    shape = (len(rows), len(vectors))
    if not n or not len(there):
        return csr(shape, dtype=np.float32)
    found, alike = nearest(rows[there], vectors, min(n, len(vectors)))
    near = (found >= 0) & (alike > 0)
    row = np.broadcast_to(there[:, None], found.shape)[near]
    return csr((np.ones(len(row), dtype=np.float32), (row, found[near])), shape=shape)


def _cosine(
    rows: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], row: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    found = np.einsum("nd,nd->n", rows[row], vectors[item])
    return np.where(np.abs(vectors).sum(axis=1)[item] > 0, found, np.float32(np.nan))


def _missing_zeros(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.where(values == 0, np.float32(np.nan), values)


def _user_features(history: History, users: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float32]]:
    n = history.n_users
    day = np.floor(history.day)
    latest = np.full(n, -np.inf)
    np.maximum.at(latest, history.user, history.day)
    starts_day = np.ones(len(day), dtype=bool)
    starts_day[1:] = (history.user[1:] != history.user[:-1]) | (day[1:] != day[:-1])
    on_last = day == np.floor(latest)[history.user]
    return {
        "u_count": np.bincount(history.user, minlength=n)[users].astype(np.float32),
        "u_days": np.bincount(history.user[starts_day], minlength=n)[users].astype(np.float32),
        "u_last": np.bincount(history.user[on_last], minlength=n)[users].astype(np.float32),
        "u_since": np.where(np.isfinite(latest[users]), history.now - latest[users], np.nan).astype(np.float32),
    }


def _price_fit(
    price: npt.NDArray[np.float64], latest: Latest, user: npt.NDArray[np.int64], item: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    log = np.log(np.where(price > 0, price, np.nan))
    size = np.diff(latest.start)
    row = np.repeat(np.arange(len(size)), size)
    known = ~np.isnan(log[latest.item])
    mass = np.bincount(row, weights=latest.weight * known, minlength=len(size))
    total = np.bincount(row, weights=np.where(known, latest.weight * log[latest.item], 0.0), minlength=len(size))
    mean = np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), np.nan)
    return np.asarray(log[item] - mean[user])
