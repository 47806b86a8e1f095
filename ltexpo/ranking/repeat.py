"""History → each user's own items again, the recent and the often taken first."""

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
from ltexpo.sparse import Csr, top_product


class RepeatSettings(Settings):
    """Repeat purchases: customers come back for the same article, in another size or for another room."""

    half_life: float | None = Field(30.0, gt=0)
    """Days after which an interaction counts half; null: all count alike."""
    popularity: float = Field(0.1, ge=0, le=2)
    """Exponent of the item's recent popularity, which orders items taken at the same time; 0: popularity is ignored."""
    popularity_half_life: float | None = Field(3.0, gt=0)
    """Days after which an interaction counts half for that popularity."""


class Repeat(Scorer):
    """score(u, i) = Σ decayed interactions of u with i × popularity_i ** exponent.

    Fitted: `scores_` (U, I), `lift_` (I,).
    """

    name: ClassVar[str] = "repeat"

    def __init__(self, settings: RepeatSettings | None = None) -> None:
        self.settings = settings or RepeatSettings()

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        settings = self.settings
        self.lift_ = popularity_lift(history, settings.popularity_half_life, settings.popularity)
        return self.adopt(history)

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        # Decay reaches below float32 for interactions of years ago: a floor keeps their scores positive.
        decay = np.maximum(history.decay(self.settings.half_life), 1e-12)
        self.scores_ = history.matrix(history.weight * decay * self.lift_[history.item])
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        identity = sparse.identity(len(users), dtype=np.float32, format="csr")
        return top_product(identity, self.scores_[users], n, skip=skip)
