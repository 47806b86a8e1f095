"""Item features of past days + what was taken on each → expected interactions of every item on the next day.

Most of a catalogue has never been taken; what will be is told by its place in the catalogue, its relatives' heat and
its vectors. Items are many and their labels come from all users, so this is learnt apart from who wants them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.ranking.gbm import Gbm, GbmSettings


class DemandTrees(GbmSettings):
    """The trees that count."""

    objective: Literal["poisson"] = "poisson"
    """Counts."""
    bags: int = Field(3, ge=2)
    """Boosters; each leaves out one of so many folds of families, and stops when it gets no better on it."""
    max_rounds: int = Field(150, ge=1)
    """Trees of one booster at most."""
    patience: int = Field(20, ge=1)
    """Stop after so many trees without a gain on the fold left out."""
    learning_rate: float = Field(0.1, gt=0, le=1)
    """Weight of each tree."""
    leaves: int = Field(31, ge=2)
    """Leaves of a tree."""
    min_rows: int = Field(100, ge=1)
    """Rows in a leaf at least."""
    l2: float = Field(5.0, ge=0)
    """Ridge on leaf values."""
    feature_share: float = Field(0.6, gt=0, le=1)
    """Share of features each tree may use."""


class DemandSettings(Settings):
    """Expected demand of an item."""

    trees: DemandTrees = DemandTrees()
    """The boosted trees."""
    idle_share: float = Field(0.2, gt=0, le=1)
    """Of items without interactions before or on the day, this share is drawn, and counts for the rest."""


@dataclass(frozen=True)
class DemandDay:
    """One past day: (I, ·) item features from before it, and how often each item was taken on it (I,)."""

    features: pd.DataFrame
    taken: npt.NDArray[np.floating]


def fit_demand(
    days: Sequence[DemandDay], family: npt.NDArray[np.int64], settings: DemandSettings,
    rng: int | np.random.Generator = 0,
) -> Gbm:
    """Poisson trees on `days`; `family` (I,) holds what must not be split between folds, such as colours of a product.

    `score` of new features is the expected count; for the features of `days` take `score_unseen` with the family, so
    that no item is told its own future.
    """
    rng = np.random.default_rng(rng)
    tables, counts, groups, weights = [], [], [], []
    for day in days:
        busy = (day.taken > 0) | (day.features["i_count"].to_numpy() > 0)
        kept = np.flatnonzero(busy | (rng.random(len(busy)) < settings.idle_share))
        tables.append(day.features.iloc[kept])
        counts.append(day.taken[kept])
        groups.append(family[kept])
        weights.append(np.where(busy[kept], 1.0, 1.0 / settings.idle_share))
    return Gbm(settings.trees).fit(
        pd.concat(tables, ignore_index=True), np.concatenate(counts), np.concatenate(groups),
        weight=np.concatenate(weights), rng=rng,
    )
