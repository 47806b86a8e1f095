"""Catalogue + history → items that look, by attributes and words, like those of the user's history."""

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import sparse

from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.ranking.popularity import popularity_lift
from ltexpo.ranking.scorer import Scorer
from ltexpo.ranking.tokens import catalogue_tokens
from ltexpo.sparse import Csr, csr, top_product, unit_rows


class ContentSettings(Settings):
    """Attribute and TF-IDF cosine: the only plain way to an item that nobody has taken yet."""

    text_weight: float = Field(0.6, ge=0, le=1)
    """Weight of words from title and description; attribute values have the rest."""
    max_share: float = Field(0.005, gt=0, le=1)
    """Words and attribute values on more than this share of items are too common to search by and are left out."""
    neighbours: int = Field(100, ge=1)
    """The most alike this many items of each item are kept."""
    popularity: float = Field(0.3, ge=0, le=2)
    """Exponent of the neighbour's recent popularity, which orders items that are equally alike; 0: ignored."""
    popularity_half_life: float | None = Field(3.0, gt=0)
    """Days after which an interaction counts half for that popularity."""
    profile_half_life: float | None = Field(7.0, gt=0)
    """Days before the user's latest interaction after which one counts half in the profile; null: all count alike."""


class Content(Scorer):
    """score(u, j) = Σ_i profile(u, i) · cos(i, j) · lift_j; fitted: `neighbours_` (I, I), `profiles_` (U, I)."""

    name: ClassVar[str] = "content"

    def __init__(self, settings: ContentSettings | None = None) -> None:
        self.settings = settings or ContentSettings()

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        settings = self.settings
        tokens = unit_rows(
            catalogue_tokens(items, text_weight=settings.text_weight, max_share=settings.max_share)
        )
        asked = np.unique(history.item)
        rows = top_product(
            tokens[asked], csr(tokens.T), settings.neighbours,
            skip=sparse.identity(len(items), dtype=np.float32, format="csr")[asked],
        )
        lift = popularity_lift(history, settings.popularity_half_life, settings.popularity)
        rows = csr((rows.data * lift[rows.indices], rows.indices, rows.indptr), shape=rows.shape)
        place = csr(
            (np.ones(len(asked)), (asked, np.arange(len(asked)))), shape=(len(items), len(asked)), dtype=np.float32
        )
        self.neighbours_ = csr(place @ rows, dtype=np.float32).sorted_indices()
        return self.adopt(history)

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        self.profiles_ = history.profiles(self.settings.profile_half_life)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        return top_product(self.profiles_[users], self.neighbours_, n, skip=skip)
