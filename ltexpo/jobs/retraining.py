"""A simulated arm's log → the lists of its next days: the blend fitted anew on it, re-ranked or not."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.dataset import Dataset
from ltexpo.data.split import as_utc
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender
from ltexpo.rerank import ExposureReranker, RerankSettings


@dataclass(frozen=True)
class RetrainedArm:
    """The first lists as given; later ones by the blend, fitted on the dataset's events and on what was simulated."""

    first: pd.DataFrame
    """Rankings."""
    dataset: Dataset
    until: str
    """Events of the dataset before this moment are known; the simulation begins then."""
    recommend: RecommendSettings
    rerank: RerankSettings | None
    """Without it, the plain first `k`."""
    k: int
    users: "pd.Index[str]"
    seed: int

    def __call__(self, day: int, log: pd.DataFrame | None) -> pd.DataFrame:
        """Rankings of every user from `day` on."""
        if log is None:
            return self.first
        start = as_utc(self.until)
        events = self.dataset.require_events("a retrained arm")
        known = pd.concat([events[events[Columns.Timestamp] < start], _events(log, start)], ignore_index=True)
        now = (start + pd.Timedelta(days=day)).isoformat()
        dataset = Dataset.of(self.dataset.items, known, self.dataset.users)
        settings = self.recommend.model_copy(update={"until": now})
        fitted = fit_recommender(dataset, settings, np.random.default_rng(self.seed))
        candidates = fitted.recommend(self.users).candidates
        if self.rerank is None:
            return candidates[candidates[Columns.Rank] <= self.k]
        tiers = self.rerank.tail.assign(dataset.items, dataset.require_events("tiers"))
        items = dataset.items.assign(tier=tiers[Columns.Tier].to_numpy())
        return ExposureReranker(self.rerank).fit(candidates, items=items, rng=self.seed).fitted_.rankings


def _events(log: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Clicks and purchases of `log`, one event each, at the end of the period in which they fell."""
    parts = []
    for column, kind in (("clicked", EventKind.Click), ("bought", EventKind.Purchase)):
        rows = log.loc[log.index.repeat(log[column])]
        moments = start + pd.to_timedelta(rows["day"] * 86_400 + 86_399, unit="s")
        parts.append(pd.DataFrame({
            Columns.User: rows[Columns.User], Columns.Item: rows[Columns.Item], Columns.Event: kind,
            Columns.Timestamp: moments,
        }))
    return pd.concat(parts, ignore_index=True)
