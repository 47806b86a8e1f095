"""A fitted match model + catalogue → each user's best products of every tier, and log P(product | user)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.data.history import History
from ltexpo.data.ids import IdMap
from ltexpo.encoders.item_vectors import Content
from ltexpo.sparse import Csr, csr

if TYPE_CHECKING:  # brings torch
    from ltexpo.fusion.match import MatchModel
    from ltexpo.fusion.profile import Profiles

Floats = npt.NDArray[np.float32]

_USERS_AT_ONCE = 128


@dataclass(frozen=True)
class Matched:
    """B users against I products."""

    users: Floats
    """(B, width + 1)"""
    items: Floats
    """(I, width + 1)"""
    total: Floats
    """(B,) log of the sum over all products of exp(users · items)."""
    best: Csr
    """(B, I): 1 at the best so many products of each tier."""

    def score(self, user: npt.NDArray[np.int64], item: npt.NDArray[np.int64]) -> Floats:
        """log P(product | user) of pairs of rows (n,)."""
        return np.asarray(np.einsum("nd,nd->n", self.users[user], self.items[item]) - self.total[user])


@dataclass(frozen=True)
class Matcher:
    """What the match model says of one catalogue; users' vectors are read from the history that is asked about."""

    model: "MatchModel"
    items: Floats
    """(I, width + 1) in code order; the last number is what a product is worth by itself."""
    catalogue: pd.DataFrame
    content: Content
    """In the row order of `catalogue`."""
    profiles: "Profiles | None" = None
    """Of users, as the model reads them."""

    @classmethod
    def of(
        cls, model: "MatchModel", items: pd.DataFrame, content: Content, users: pd.DataFrame | None = None, *,
        as_new: npt.NDArray[np.object_] | None = None,
    ) -> "Matcher":
        """`content` in the row order of `items`; the behaviour of the products `as_new` (item_ids) is not looked at."""
        vectors = model.item_vectors(items, content)
        if as_new is not None:
            from ltexpo.fusion.towers import BEHAVIOUR

            rows = IdMap.of(items[Columns.Item]).codes(as_new)
            vectors[rows] = model.encode_rows(model.inputs(items, content), rows, (BEHAVIOUR,))
        return cls(model, vectors, items, content, None if users is None else model.profile_.read(users))

    def match(
        self, history: History, users: npt.NDArray[np.int64], tier: npt.NDArray[np.object_], n: int, *,
        queries: Floats | None = None,
    ) -> Matched:
        """`users` (B,) codes of `history` against everything, with the best `n` products of each `tier` (I,).

        `queries` (B, d): what each of them has typed, NaN where nothing.
        """
        vectors = self._user_vectors(history, users, queries)
        groups = [group for group in (np.flatnonzero(tier == name) for name in Tier.All) if len(group) and n]
        total = np.empty(len(users), dtype=np.float32)
        rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for start in range(0, len(users), _USERS_AT_ONCE):
            block = np.arange(start, min(start + _USERS_AT_ONCE, len(users)))
            score = vectors[block] @ self.items.T
            top = score.max(axis=1)
            total[block] = top + np.log(np.exp(score - top[:, None]).sum(axis=1))
            for group in groups:
                best = np.argpartition(-score[:, group], min(n, len(group)) - 1, axis=1)[:, :n]
                rows.append(np.repeat(block, best.shape[1]))
                columns.append(group[best].ravel())
        row, column = np.concatenate(rows), np.concatenate(columns)
        pairs = csr((np.ones(len(row), dtype=np.float32), (row, column)), shape=(len(users), len(self.items)))
        return Matched(vectors, self.items, total, pairs)

    def told(self, history: History, users: npt.NDArray[np.int64]) -> Csr:
        """(B, V): what the model knows of `users` (B,) codes of `history` beside what they did."""
        none = csr((len(users), 1), dtype=np.float32)
        return none if self.profiles is None else self.profiles.of(history.user_ids.ids[users])

    def tokens(
        self, history: History, users: npt.NDArray[np.int64], user: npt.NDArray[np.int64],
        item: npt.NDArray[np.int64], *, queries: Floats | None = None,
    ) -> pd.DataFrame:
        """How much of the match of each pair (rows of `users`, item codes; (n,)) each token of the item brings, and
        'base': see `token_contributions`."""
        from ltexpo.fusion.attribution import token_contributions

        return token_contributions(
            self.model, self.catalogue, self.content, item, self._user_vectors(history, users, queries)[user]
        )

    def _user_vectors(
        self, history: History, users: npt.NDArray[np.int64], queries: Floats | None = None
    ) -> Floats:
        return self.model.user_vectors(history, users, self.items, profiles=self.profiles, queries=queries)
