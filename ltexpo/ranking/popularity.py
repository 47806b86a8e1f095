"""History → how often each item was lately taken, the same for every user."""

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.ranking.scorer import Scorer
from ltexpo.sparse import Csr, csr, top_product


class PopularitySettings(Settings):
    """Recent popularity."""

    half_life: float | None = Field(3.0, gt=0)
    """Days after which an interaction counts half; null: all count alike."""


class Popularity(Scorer):
    """Time-decayed share of all interactions; fitted: `share_` (I,), summing to 1."""

    name: ClassVar[str] = "popularity"

    def __init__(self, settings: PopularitySettings | None = None) -> None:
        self.settings = settings or PopularitySettings()

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        self.share_ = recent_share(history, self.settings.half_life)
        return self

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`: it is the same for every user."""
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        # Enough for the user with the most skipped items to keep n of the list.
        depth = n + (0 if skip is None else int(np.diff(skip.indptr).max(initial=0)))
        best = np.argsort(-self.share_, kind="stable")[:depth]
        best = np.sort(best[self.share_[best] > 0])
        row = csr(
            (self.share_[best], best, [0, len(best)]), shape=(1, len(self.share_)), dtype=np.float32
        )
        ones = csr(np.ones((len(users), 1), dtype=np.float32))
        return top_product(ones, row, n, skip=skip)


def recent_share(history: History, half_life: float | None) -> npt.NDArray[np.float64]:
    """Each item's share (I,) of the decayed interactions."""
    values = history.weight * history.decay(half_life)
    share = np.bincount(history.item, weights=values, minlength=history.n_items)
    return np.asarray(share / share.sum())


def popularity_lift(history: History, half_life: float | None, exponent: float) -> npt.NDArray[np.float64]:
    """(share / largest share) ** exponent of each item (I,), above 0.

    Each item has half an average interaction on top, so that one without any, or with old ones only, is not shut out.
    """
    values = history.weight * history.decay(half_life)
    mass = np.bincount(history.item, weights=values, minlength=history.n_items) + 0.5 * values.mean()
    return np.asarray((mass / mass.max()) ** exponent)
