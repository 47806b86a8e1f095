"""Scored candidates + a boost strength for the tail → final lists and their certificate."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns, Tier
from ltexpo.config import Settings
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.data.tail import TailSpec
from ltexpo.errors import ColumnError, TableError
from ltexpo.rerank.lists import top_lists


class RerankSettings(Settings):
    """How the lists are re-ranked."""

    k: int = Field(20, ge=1)
    """Length of the final lists."""
    attention: str | tuple[float, ...] = "log2"
    """Probability that each slot is examined: log2, uniform, or a list of k probabilities."""
    strength: float = Field(0.02, ge=0)
    """What is added to the score of a tail or new item, in units of the score; 0 leaves the lists as they are."""
    min_score_ratio: float = Field(0.3, ge=0, le=1)
    """Quality floor: an item that scores below this share of its request's best is never boosted."""
    tail: TailSpec = TailSpec()
    """Which items are boosted: those whose tier is not head."""


@dataclass(frozen=True)
class Reranked:
    """Final lists beside the plain top-k of the same candidates, and what the boost achieved and cost."""

    rankings: pd.DataFrame
    control: pd.DataFrame
    certificate: dict[str, Any]

    def to_pandas(self) -> pd.DataFrame:
        """The final lists."""
        return self.rankings

    def __str__(self) -> str:
        facts, goal = self.certificate, self.certificate["goals"][0]
        return (
            f"{facts['requests']:,} lists of {facts['k']}: tail share of exposure "
            f"{goal['before']:.1%} → {goal['achieved']:.1%}, expected clicks {facts['clicks_before']:,.1f} → "
            f"{facts['clicks_after']:,.1f} ({-facts['click_loss']:+.2%}), {facts['boosted']:,} promotions"
        )


def rerank(candidates: pd.DataFrame, tiers: pd.DataFrame, settings: RerankSettings) -> Reranked:
    """Re-rank `candidates` so that items whose tier is tail or new gain exposure.

    `tiers` holds item_id and tier of the full catalogue. Every eligible item's score is raised by the same
    `strength`, which is the dual price of a tail-exposure goal: among all lists that give the eligible tail at least
    the exposure achieved here, these keep the most expected clicks, so the certificate's upper bound is attained.

    Raises `ColumnError` or `TableError` on candidates that break their contract or name unknown items.
    """
    started = time.perf_counter()
    checked = check_table(candidates, CANDIDATES).frame
    scores = checked[Columns.Score].to_numpy(dtype=np.float64)
    if (scores < 0).any():
        row = int(np.flatnonzero(scores < 0)[0])
        raise ColumnError(
            f"candidates: 'score' row {row} is {scores[row]:g}, negative. Give probabilities of a click."
        )
    tier = checked[Columns.Item].map(tiers.set_index(Columns.Item)[Columns.Tier])
    if tier.isna().any():
        row = int(np.flatnonzero(tier.isna())[0])
        raise TableError(
            f"candidates row {row}: item_id '{checked[Columns.Item].iloc[row]}' is not in items "
            f"({int(tier.isna().sum())} such rows). Add it to items or leave those rows out."
        )
    in_tail = (tier != Tier.Head).to_numpy()
    best = checked.groupby(Columns.Request, sort=False)[Columns.Score].transform("max").to_numpy(dtype=np.float64)
    eligible = in_tail & (scores >= settings.min_score_ratio * best)
    control = top_lists(checked, np.zeros(len(checked)), k=settings.k, attention=settings.attention)
    rankings = top_lists(
        checked, np.where(eligible, settings.strength, 0.0), k=settings.k, attention=settings.attention
    )
    return Reranked(rankings, control, _certificate(rankings, control, tiers, settings, time.perf_counter() - started))


def _certificate(
    rankings: pd.DataFrame, control: pd.DataFrame, tiers: pd.DataFrame, settings: RerankSettings, seconds: float
) -> dict[str, Any]:
    before, after = _expected_clicks(control), _expected_clicks(rankings)
    tail_items = tiers.loc[tiers[Columns.Tier] != Tier.Head, Columns.Item]
    achieved = _share(rankings, tail_items)
    return {
        "clicks_before": before,
        "clicks_after": after,
        "click_loss": 1 - after / before if before else 0.0,
        "upper_bound": after,
        "gap": 0.0,
        "feasible": True,
        "goals": [{
            "group": "tail", "value": "tail or new", "kind": "boost", "before": _share(control, tail_items),
            "target": achieved, "achieved": achieved, "price": settings.strength, "met": True,
        }],
        "guardrails": [{"kind": "min_score_ratio", "value": settings.min_score_ratio}],
        "boosted": int(rankings[Columns.Boosted].sum()),
        "requests": int(rankings[Columns.Request].nunique()),
        "k": settings.k,
        "attention": settings.attention,
        "tail": str(settings.tail),
        "passes": 1,
        "seconds": seconds,
    }


def _expected_clicks(lists: pd.DataFrame) -> float:
    return float((lists[Columns.Exposure] * lists[Columns.Score]).sum())


def _share(lists: pd.DataFrame, item_ids: pd.Series) -> float:
    total = float(lists[Columns.Exposure].sum())
    held = float(lists.loc[lists[Columns.Item].isin(item_ids), Columns.Exposure].sum())
    return held / total if total else 0.0
