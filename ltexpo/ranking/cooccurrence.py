"""History → items that the same users took near the items of this user's history."""

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.ranking.history import History
from ltexpo.ranking.scorer import Scorer
from ltexpo.ranking.sparse import Csr, csr, top_product, top_rows


class CooccurrenceSettings(Settings):
    """Windowed item–item co-occurrence."""

    window_positions: int = Field(100, ge=1)
    """Two interactions of a user form a pair when they are at most this many apart in the user's history."""
    window_days: float | None = Field(30.0, gt=0)
    """… and at most this many days apart; null: any."""
    gap_half_life: float | None = Field(7.0, gt=0)
    """Days between the two after which a pair counts half; null: all count alike."""
    half_life: float | None = Field(60.0, gt=0)
    """Days before the end of training after which a pair counts half; null: all count alike."""
    user_damping: float = Field(0.75, ge=0, le=1)
    """A user with n interactions contributes each pair divided by n to this power."""
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
        pairs = count_pairs(history, settings)
        size = np.bincount(history.user, minlength=history.n_users)
        weight = history.decay(settings.half_life) / np.maximum(size, 1)[history.user] ** settings.user_damping
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


def count_pairs(history: History, settings: CooccurrenceSettings) -> Csr:
    """Decayed pairs of different items in the window, both directions: CSR (I, I)."""
    size = np.bincount(history.user, minlength=history.n_users)
    weight = history.decay(settings.half_life) / np.maximum(size, 1)[history.user] ** settings.user_damping
    shape = (history.n_items, history.n_items)
    pairs = csr(shape)
    for apart in range(1, settings.window_positions + 1):
        first = np.flatnonzero(history.user[:-apart] == history.user[apart:])
        if not len(first):
            break
        second = first + apart
        gap = history.day[second] - history.day[first]
        near = history.item[first] != history.item[second]
        if settings.window_days is not None:
            near &= gap <= settings.window_days
        first, second, gap = first[near], second[near], gap[near]
        # A pair is as old as its later half.
        value = weight[second]
        if settings.gap_half_life is not None:
            value = value * 0.5 ** (gap / settings.gap_half_life)
        pairs = pairs + csr((value, (history.item[first], history.item[second])), shape=shape)
    return csr(pairs + pairs.T)
