"""Catalogue + history → what is popular now among the values and words of the user's items."""

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.ranking.popularity import recent_share
from ltexpo.ranking.scorer import Scorer
from ltexpo.ranking.tokens import catalogue_tokens
from ltexpo.sparse import Csr, csr, top_product, top_rows


class TasteSettings(Settings):
    """Popularity within the user's own brands, departments, colours, words …"""

    text_weight: float = Field(0.25, ge=0, le=1)
    """Weight of words from title and description; attribute values have the rest."""
    max_share: float = Field(0.2, gt=0, le=1)
    """Words and attribute values on more than this share of items say too little and are left out."""
    half_life: float | None = Field(3.0, gt=0)
    """Days after which an interaction counts half in popularity; null: all count alike."""
    neighbours: int = Field(1000, ge=1)
    """The most popular this many items of each value are kept."""
    profile_half_life: float | None = Field(7.0, gt=0)
    """Days before the user's latest interaction after which one counts half in the profile; null: all count alike."""


class Taste(Scorer):
    """score(u, j) = Σ_v profile(u, v) · P(j | v), v over attribute values and words, profiles weighted by IDF.

    P(j | v) is item j's share of the recent interactions with items that hold v. Fitted: `values_` (I, V),
    `popular_` (V, I), `profiles_` (U, I).
    """

    name: ClassVar[str] = "taste"

    def __init__(self, settings: TasteSettings | None = None) -> None:
        self.settings = settings or TasteSettings()

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        settings = self.settings
        self.values_ = catalogue_tokens(items, text_weight=settings.text_weight, max_share=settings.max_share)
        share = recent_share(history, settings.half_life)
        holds = csr(
            (share[np.repeat(np.arange(len(items)), np.diff(self.values_.indptr))], self.values_.indices,
             self.values_.indptr),
            shape=self.values_.shape,
        )
        mass = np.asarray(holds.sum(axis=0)).ravel()
        by_value = csr(holds.T)
        per_row = np.repeat(np.where(mass > 0, mass, 1.0), np.diff(by_value.indptr))
        by_value.data = by_value.data / per_row
        self.popular_ = top_rows(by_value, settings.neighbours)
        return self.adopt(history)

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        self.profiles_ = history.profiles(self.settings.profile_half_life)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        return top_product(self.profiles_[users] @ self.values_, self.popular_, n, skip=skip)
