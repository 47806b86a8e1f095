"""The folder that a re-rank wrote → what was asked of the day: goals, prices, lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.metrics.attention import attention_weights
from ltexpo.monitor.rows import Array

GOAL_KEY = ["group", "value", "kind"]


@dataclass(frozen=True)
class Published:
    """What a re-rank made for the day."""

    certificate: Mapping[str, Any]
    prices: pd.DataFrame | None
    """group, value, kind, price; None where the file is missing or cannot be read."""
    rankings: pd.DataFrame | None = None
    """request_id, [user_id], rank, item_id, [score, exposure]: the lists; None where prices were applied elsewhere."""

    @cached_property
    def goals(self) -> pd.DataFrame:
        """One row a goal: group, value, kind, target, [where], in the unit in which it was asked."""
        columns = [*GOAL_KEY, "target"]
        frame = pd.DataFrame(list(self.certificate.get("goals") or []))
        if frame.empty:
            return pd.DataFrame({"group": [], "value": [], "kind": [], "target": []}).astype({"target": float})
        return frame[[*columns, *(["where"] if "where" in frame.columns else [])]]

    @property
    def k(self) -> int:
        """Slots of a list."""
        return int(self.certificate.get("k") or 20)

    @cached_property
    def attention(self) -> Array:
        """(k,) how often each slot is examined."""
        return attention_weights(self.certificate.get("attention") or "log2", self.k)

    @property
    def solved(self) -> bool:
        """The prices come with a proof: they were solved, not applied from a file."""
        return self.certificate.get("upper_bound") is not None

    @cached_property
    def total(self) -> float:
        """Exposure that the lists were planned to give, to which absolute goals refer."""
        if self.rankings is not None:
            if Columns.Exposure in self.rankings.columns:
                return float(self.rankings[Columns.Exposure].sum())
            ranks = self.rankings[Columns.Rank].to_numpy(np.int64)
            return float(self.attention[ranks[ranks <= self.k] - 1].sum())
        return float(self.certificate.get("requests") or 0) * float(self.attention.sum())

    @cached_property
    def spread(self) -> float:
        """Mean distance of a list's best from its middle score: what a boost has to bridge; NaN without scores."""
        if self.rankings is None or Columns.Score not in self.rankings.columns:
            return float("nan")
        scores = self.rankings[[Columns.Request, Columns.Score]].groupby(Columns.Request, sort=False)[Columns.Score]
        return float((scores.max() - scores.median()).mean())

    @property
    def broken_guardrails(self) -> list[str]:
        """Guardrails that the certificate says are not kept."""
        return [str(rail["kind"]) for rail in self.certificate.get("guardrails") or [] if rail.get("kept") is False]


def goal_words(group: Any, value: Any, kind: Any) -> str:
    """A goal in a few words: "tail min_share", "category Shoes max_share"."""
    return " ".join(str(part) for part in (group, value, kind) if part is not None and part == part)
