"""A simulated arm's log → the lists of its next days: candidates learnt anew from it, re-ranked or not."""

import logging
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.dataset import Dataset
from ltexpo.data.split import as_utc
from ltexpo.jobs.makers import Maker
from ltexpo.rerank import ExposureReranker, RerankSettings

log = logging.getLogger("ltexpo")


@dataclass(frozen=True)
class RetrainedArm:
    """The first lists as given; later ones learnt from the dataset's events and from what was simulated."""

    first: pd.DataFrame
    """Rankings."""
    dataset: Dataset
    until: str
    """Events of the dataset before this moment are known; the simulation begins then."""
    maker: Maker
    """Makes the candidates."""
    rerank: RerankSettings | None
    """Without it, the plain first `k`."""
    k: int
    users: "pd.Index[str]"
    seed: int
    told: list[dict[str, Any]] = field(default_factory=list)
    """Every goal at every retraining: day, group, value, target, achieved, met."""

    def __call__(self, day: int, shown: pd.DataFrame | None) -> pd.DataFrame:
        """Rankings of every user from `day` on."""
        if shown is None:
            return self.first
        start = as_utc(self.until)
        events = self.dataset.require_events("a retrained arm")
        known = pd.concat([events[events[Columns.Timestamp] < start], _events(shown, start)], ignore_index=True)
        now = (start + pd.Timedelta(days=day)).isoformat()
        dataset = Dataset.of(self.dataset.items, known, self.dataset.users)
        candidates = self.maker(dataset, now, self.users)
        if self.rerank is None:
            return candidates[candidates[Columns.Rank] <= self.k]
        tiers = self.rerank.tail.assign(dataset.items, dataset.require_events("tiers"))
        items = dataset.items.assign(tier=tiers[Columns.Tier].to_numpy())
        found = ExposureReranker(self.rerank).fit(candidates, items=items, rng=self.seed).fitted_
        goals = found.certificate.to_dict()["goals"]
        self.told.extend(
            {"day": day, **{name: goal[name] for name in ("group", "value", "target", "achieved", "met")}}
            for goal in goals
        )
        missed = [goal for goal in goals if not goal["met"]]
        if missed:
            log.warning(
                "day %d: the retrained lists miss %d of %d goals: %s reaches %.3g of %.3g.", day, len(missed),
                len(goals), missed[0]["group"], missed[0]["achieved"], missed[0]["target"],
            )
        return found.rankings


def _events(shown: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Impressions, clicks and purchases of `shown` (see `Log`), at the end of the period in which they fell.

    A slot that was shown n times is in the first n of the user's requests of that period, its clicks in the first of
    these: which visit it was is not kept.
    """
    parts = []
    kinds = {"shown": EventKind.Impression, "clicked": EventKind.Click, "bought": EventKind.Purchase}
    for column, kind in kinds.items():
        rows = shown.loc[shown.index.repeat(shown[column])]
        visit = rows.groupby(level=0).cumcount().astype(str)
        parts.append(pd.DataFrame({
            Columns.Request: "simulated-" + rows["day"].astype(str) + "-" + rows[Columns.User] + "-" + visit,
            Columns.User: rows[Columns.User], Columns.Item: rows[Columns.Item], Columns.Event: kind,
            Columns.Rank: rows["rank"],
            Columns.Timestamp: start + pd.to_timedelta(rows["day"] * 86_400 + 86_399, unit="s"),
        }))
    return pd.concat(parts, ignore_index=True)
