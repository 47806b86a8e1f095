"""History → items that the same users took near the items of this user's history."""

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.data.history import History
from ltexpo.graph.pairs import PairSettings, count_pairs, interaction_weights
from ltexpo.ranking.scorer import Scorer
from ltexpo.sparse import Csr, csr, top_product, top_rows


class CooccurrenceSettings(PairSettings):
    """Windowed item–item co-occurrence."""

    discount: float = Field(0.0, ge=0, le=1)
    """c_ij / (n_i ** (1 - discount) · n_j ** discount): 0 is P(j | i), 0.5 is cosine."""
    shrinkage: float = Field(10.0, ge=0)
    """This many times the mean n is added to n_i and n_j, so that a single pair of rare items proves little."""
    neighbours: int = Field(300, ge=1)
    """The strongest this many neighbours of each item are kept."""
    profile_half_life: float | None = Field(7.0, gt=0)
    """Days before the user's latest interaction after which one counts half in the profile; null: all count alike."""


class Cooccurrence(Scorer):
    """score(u, j) = Σ_i profile(u, i) · sim(i, j); fitted: `neighbours_` (I, I), `profiles_` (U, I).

    Item-based neighbours after Deshpande & Karypis (2004), with pairs taken from a window and decayed by their gap
    and their age.
    """

    name: ClassVar[str] = "cooccurrence"

    def __init__(self, settings: CooccurrenceSettings | None = None) -> None:
        self.settings = settings or CooccurrenceSettings()

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        settings = self.settings
        pairs = count_pairs(
            history.user, history.item, history.day, settings, n_items=history.n_items, now=history.now
        )
        weight = interaction_weights(history.user, history.day, settings, now=history.now)
        mass = np.bincount(history.item, weights=weight, minlength=history.n_items)
        mass += settings.shrinkage * mass[mass > 0].mean()
        row = np.repeat(np.arange(history.n_items), np.diff(pairs.indptr))
        similarity = pairs.data / (
            mass[row] ** (1 - settings.discount) * mass[pairs.indices] ** settings.discount
        )
        self.neighbours_ = top_rows(
            csr((similarity, pairs.indices, pairs.indptr), shape=pairs.shape), settings.neighbours
        )
        return self.adopt(history)

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        self.profiles_ = history.profiles(self.settings.profile_half_life)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        return top_product(self.profiles_[users], self.neighbours_, n, skip=skip)
