"""Users without history → popular lists, by segment where users have one."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import sparse

from ltexpo.columns import Columns
from ltexpo.data.history import History
from ltexpo.ranking.blend import scaled_to_best
from ltexpo.ranking.popularity import recent_share
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.sparse import Csr, csr, top_rows


@dataclass(frozen=True)
class ColdStart:
    """Popular lists for users without history, by segment where users have one."""

    segment_of: "pd.Series[Any]"
    """user_id → row of `best`; the last row is everybody."""
    best: Csr
    """(segments + 1, I), the best item of each row scored 1."""

    @classmethod
    def of(cls, history: History, users: pd.DataFrame | None, settings: RecommendSettings) -> Self:
        """Shares of recent interactions, of everybody and of each segment of `users`."""
        everybody = recent_share(history, settings.popularity.half_life)
        shares = []
        segment_of = pd.Series(dtype=np.int64)
        if users is not None and Columns.Segment in users.columns:
            codes, names = pd.factorize(users[Columns.Segment], sort=True)
            segment_of = pd.Series(codes, index=users[Columns.User])
            segment_of[segment_of < 0] = len(names)
            of_user = segment_of.reindex(history.user_ids.ids).fillna(len(names)).to_numpy(dtype=np.int64)
            for segment in range(len(names)):
                of_segment = history.rows(of_user[history.user] == segment)
                size = len(of_segment.item)
                local = recent_share(of_segment, settings.popularity.half_life) if size else everybody
                # A small segment says little: everybody's share counts like 100 interactions of its own.
                shares.append((size * local + 100 * everybody) / (size + 100))
        shares.append(everybody)
        best = [top_rows(csr(share[None, :], dtype=np.float32), settings.k) for share in shares]
        return cls(segment_of, scaled_to_best(sparse.vstack(best, format="csr")))

    def lists(self, user_ids: "pd.Index[Any]", weight: float) -> Csr:
        """CSR (B, I): what the popularity part of the blend alone would give."""
        last = self.best.shape[0] - 1
        rows = self.segment_of.reindex(user_ids).fillna(last).to_numpy(dtype=np.int64)
        return csr(self.best[rows] * np.float32(weight))
