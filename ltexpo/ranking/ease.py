"""History → the closed-form linear autoencoder, for catalogues small enough to invert an I × I matrix."""

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import linalg, sparse

from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.errors import ConfigError
from ltexpo.ranking.scorer import Scorer
from ltexpo.sparse import Csr, csr, top_product, top_rows


class EaseSettings(Settings):
    """EASE."""

    regularisation: float = Field(200.0, gt=0)
    """λ, added to the diagonal of XᵀX."""
    max_items: int = Field(15_000, ge=1)
    """Refused above this many items that anyone took: memory grows with its square, time with its cube."""
    neighbours: int = Field(300, ge=1)
    """The largest this many weights of each item are kept."""
    profile_half_life: float | None = Field(None, gt=0)
    """Days before the user's latest interaction after which one counts half in the profile; null: all count alike."""


class Ease(Scorer):
    """B = I − P diag(1 / diag P), P = (XᵀX + λI)⁻¹ (Steck 2019); fitted: `neighbours_` (I, I), `profiles_` (U, I).

    Only items with an interaction take part in the inversion. Negative weights are dropped with the small ones.
    Raises `ConfigError` above `max_items`.
    """

    name: ClassVar[str] = "ease"

    def __init__(self, settings: EaseSettings | None = None) -> None:
        self.settings = settings or EaseSettings()

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        settings = self.settings
        taken = np.unique(history.item)
        if len(taken) > settings.max_items:
            raise ConfigError(
                f"ease: {len(taken):,} items have interactions, more than max_items = {settings.max_items:,}. "
                "Leave ease out of 'components' or raise ease.max_items (8 · n² bytes are needed twice)."
            )
        X = history.matrix(np.ones(len(history.item)))[:, taken]
        X.data[:] = 1.0
        G = np.asarray((X.T @ X).todense(), dtype=np.float64)
        G[np.diag_indices_from(G)] += settings.regularisation
        P = linalg.inv(G, overwrite_a=True, check_finite=False)
        B = P
        B /= -np.diag(P)[None, :]
        np.fill_diagonal(B, 0.0)
        self.neighbours_ = _spread(_top_dense(B, settings.neighbours), taken, history.n_items)
        return self.adopt(history)

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        self.profiles_ = history.profiles(self.settings.profile_half_life)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        return top_product(self.profiles_[users], self.neighbours_, n, skip=skip)


def _top_dense(B: npt.NDArray[np.float64], n: int, rows: int = 256) -> Csr:
    """The `n` largest positive entries of each row, block by block."""
    blocks = [
        top_rows(csr(np.maximum(B[start : start + rows], 0.0, dtype=np.float32)), n)
        for start in range(0, len(B), rows)
    ]
    return sparse.vstack(blocks, format="csr")


def _spread(small: Csr, taken: npt.NDArray[np.int64], n_items: int) -> Csr:
    """(T, T) over the taken items → (I, I) over the catalogue."""
    counts = np.zeros(n_items, dtype=np.int64)
    counts[taken] = np.diff(small.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return csr((small.data, taken[small.indices], indptr), shape=(n_items, n_items))
