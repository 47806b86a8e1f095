"""The experiment folder of a run → its tables, of which a section takes the rows of one arm and reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ltexpo.simulate.result import EFFECT, TEST

CONTROL = "control"
LEAD = "treatment"
"""The arm that the summary speaks of, where there are several and one is called so; else the first."""
CLICKS = "clicks per visit"
"""The metric that every summary speaks of."""

Row = Mapping[Any, Any]
"""One row of `Simulated.effects`."""


@dataclass(frozen=True)
class Simulated:
    """A simulated A/B test as `ltexpo simulate` wrote it."""

    effects: pd.DataFrame
    """arm, reading, by, segment, the fields of `stats.Effect`, p_holm, p_bh."""
    looks: pd.DataFrame
    """arm, metric, day, difference, low, high (always valid), fixed_low, fixed_high, p_value."""
    days: pd.DataFrame
    """arm, day, users, active, stay, visits, clicks, tail_share."""
    items: pd.DataFrame
    """arm, item_id, tier, impressions, exposure, clicks, purchases."""
    validity: pd.DataFrame | None
    """arm, check, metric, asked, got, low, high, runs, passed: how the statistics did when they were tried."""
    fidelity: pd.DataFrame | None
    """what, by, group, impressions, predicted, actual, difference, low, high: a fitted environment on a later log."""
    designs: pd.DataFrame | None
    """design, outcome, estimate, low, high, total, factor, covers: item-side designs."""
    facts: Mapping[str, Any]
    """What experiment.json holds."""

    @property
    def arms(self) -> list[str]:
        """The treatments, in their order."""
        return [str(arm) for arm in self.effects["arm"].drop_duplicates()]

    @property
    def lead(self) -> str:
        """The arm that the summary speaks of."""
        return LEAD if LEAD in self.arms else self.arms[0]

    @property
    def best(self) -> str:
        """The reading that says most surely what the lists do: the effect, or the test where there is only that."""
        return EFFECT if (self.effects["reading"] == EFFECT).any() else TEST

    @property
    def level(self) -> float:
        """Confidence level of the intervals."""
        return float(self.facts.get("level", 0.95))

    def rows(self, arm: str, reading: str, by: str = "all") -> pd.DataFrame:
        """The effects of one arm, reading and kind of segment."""
        table = self.effects
        return table[(table["arm"] == arm) & (table["reading"] == reading) & (table["by"] == by)]

    def row(self, arm: str, reading: str, metric: str) -> Row | None:
        """The effect on one metric over everybody; None where it was not read."""
        rows = self.rows(arm, reading)
        found = rows[rows["metric"] == metric].to_dict("records")
        return found[0] if found else None

    def verdict(self, arm: str) -> Mapping[str, Any]:
        """decision, reason, more_users, more_days, primary, guardrails of an arm."""
        held: Mapping[str, Any] = (self.facts.get("verdicts") or {}).get(arm) or {}
        return held

    def watched(self, arm: str) -> list[str]:
        """The primary metric, the guardrails' metrics, and clicks per visit: each once."""
        told = self.verdict(arm)
        rails = [rail["metric"] for rail in told.get("guardrails") or []]
        known = set(self.effects["metric"])
        return [metric for metric in dict.fromkeys([told.get("primary"), *rails, CLICKS]) if metric in known]
