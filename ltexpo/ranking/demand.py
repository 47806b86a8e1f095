"""Item features of past days + what was taken on each → expected interactions of every item on the next day.

Most of a catalogue has never been taken; what will be is told by its place in the catalogue, its relatives' heat and
its vectors. Items are many and their labels come from all users, so this is learnt apart from who wants them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.ranking.gbm import Gbm, GbmSettings


class DemandSettings(Settings):
    """Expected demand of an item."""

    trees: GbmSettings = GbmSettings(
        objective="poisson", bags=3, max_rounds=150, patience=20, learning_rate=0.1, leaves=31, min_rows=100, l2=5.0,
        feature_share=0.6,
    )
    """The boosted trees; their objective is poisson."""
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
