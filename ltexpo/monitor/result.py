"""What a day was found to be → the tables, monitor.json, metrics.prom and the lines that a person reads."""

from collections.abc import Hashable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.monitor.alarms import Alarm
from ltexpo.monitor.controller import HOLD, KEEP, ROLLBACK, STEP
from ltexpo.monitor.prometheus import Sample, exposition, metric_name
from ltexpo.monitor.published import goal_words
from ltexpo.monitor.rows import ALL

SCORES = "scores"

HELP = {
    "events": "Events of the judged day; low and high is where this weekday's lie.",
    "requests": "Lists shown.",
    "users": "Users with an event.",
    "exposure": "Share of all exposure that a goal's products got; target is what was asked.",
    "exposure deviation": "Root mean square of the goals' relative deviations from their targets.",
    "clicks per request": "Clicks per list shown.",
    "carts per request": "Carts per list shown.",
    "purchases per request": "Purchases per list shown.",
    "clicks per impression": "Clicks per slot shown.",
    "calibration": "Clicks per click that the scores expected under attention.",
    "calibration error": "Expected calibration error of the scores shown.",
    "demand": "Share of interactions by category, price or tier of the product.",
    "demand drift": "Population stability index of the interactions against the reference days.",
    "catalogue": "Share of the catalogue by category, price or tier.",
    "catalogue drift": "Population stability index of the catalogue against the reference days.",
    "scores drift": "Population stability index of the published scores against the reference days.",
    "days to first exposure": "Median days from a new product's arrival to its first impression (Kaplan-Meier); absent "
                              "while too few were shown.",
    "duplicate events": "Share of the day's events that equal an earlier one in every column.",
    "events of unknown items": "Share of the day's events whose item is not in the catalogue.",
    "events without a value": "Share of the day's events of a kind that lack a value, by kind and column.",
    "clicks before their impression": "Share of the day's clicks that stand before the impression they belong to.",
    "events from the future": "Share of the events read for the day that are dated ahead of the clock.",
    "slots not as published": "Share of the slots shown whose item is not in the published list.",
    "items without a value": "Share of the catalogue that lacks a value, by column.",
    "missing pictures": "Share of the catalogue whose picture cannot be found.",
    "unreadable log": "1 where the log cannot be read.",
    "wrong prices": "Goals whose prices went back because the price file was wrong.",
    **{f"change of {rate}": f"Relative change of {rate} where its proof is strongest; target is what is borne."
       for rate in ("clicks per request", "carts per request", "purchases per request", "calibration")},
}


@dataclass(frozen=True)
class Monitored:
    """A judged day; prints as a small table."""

    day: str
    metrics: pd.DataFrame
    """All days known: day, metric, group, value, low, high, target, alarm, error, n."""
    alarms: list[Alarm]
    decisions: pd.DataFrame
    """All days known, one row a goal and day: see `controller.DECISION_COLUMNS`."""
    prices: pd.DataFrame
    """group, value, kind, price: tomorrow's."""
    breached: bool
    notes: list[str] = field(default_factory=list)
    """What could not be judged, and why."""

    @property
    def today(self) -> pd.DataFrame:
        """The rows of the judged day."""
        rows: pd.DataFrame = self.metrics[self.metrics["day"] == self.day]
        return rows

    @property
    def decided(self) -> pd.DataFrame:
        """The decisions of the judged day."""
        rows: pd.DataFrame = self.decisions[self.decisions["day"] == self.day]
        return rows

    @property
    def action(self) -> str:
        """rollback, step, keep or hold: the strongest that was decided; none without goals."""
        actions = set(self.decided["action"])
        return next((name for name in _ACTIONS if name in actions), "none")

    def to_pandas(self) -> pd.DataFrame:
        """The rows of the judged day."""
        return self.today

    def to_dict(self) -> dict[str, Any]:
        """What monitor.json holds."""
        decided = self.decided
        reasons = decided["reason"].value_counts().to_dict() if self.action not in (STEP, KEEP) else {}
        return {
            "day": self.day,
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "breached": self.breached,
            "decision": {
                "action": self.action,
                "goals": {str(name): int(n) for name, n in decided["action"].value_counts().items()},
                "reasons": {str(name): int(n) for name, n in reasons.items()},
            },
            "notes": self.notes,
        }

    def to_prometheus(self) -> str:
        """What metrics.prom holds: the judged day as gauges."""
        samples = []
        rows: list[dict[Hashable, Any]] = self.today[self.today["metric"] != SCORES].to_dict("records")
        for row in rows:
            labels = {} if row["group"] == ALL else {"group": str(row["group"])}
            name = metric_name(row["metric"])
            told = HELP.get(row["metric"], f"{row['metric']} of the judged day.")
            for part, help_ in (("value", told), *((part, f"{told} ({part})") for part in ("low", "high", "target"))):
                if np.isfinite(row[part]):
                    samples.append(Sample(name if part == "value" else f"{name}_{part}", help_, labels, row[part]))
        for alarm in self.alarms:
            labels = {"kind": alarm.kind, "metric": alarm.metric, "group": alarm.group}
            samples.append(Sample("ltexpo_alarm", "Alarms of the judged day.", labels, 1.0))
        goals: list[dict[Hashable, Any]] = self.prices.to_dict("records")
        for goal in goals:
            labels = {"goal": goal_words(goal["group"], goal["value"], goal["kind"])}
            samples.append(Sample("ltexpo_price", "Tomorrow's price of a goal in clicks.", labels, goal["price"]))
        for action in _ACTIONS:
            n = float((self.decided["action"] == action).sum())
            samples.append(Sample("ltexpo_decisions", "Goals by what was decided.", {"action": action}, n))
        moment = pd.Timestamp(self.day, tz="UTC").timestamp()
        return exposition([
            *samples,
            Sample("ltexpo_alarms", "Number of alarms of the judged day.", {}, float(len(self.alarms))),
            Sample("ltexpo_guardrail_breached", "1 where a guardrail is broken.", {}, float(self.breached)),
            Sample("ltexpo_judged_day_seconds", "Begin of the judged day in seconds since 1970.", {}, moment),
        ])

    def __str__(self) -> str:
        lines = [f"{self.day}: {_count(len(self.alarms), 'alarm')}" + (", a guardrail is broken" * self.breached)]
        shown = self.today[~self.today["metric"].isin(_HIDDEN) & ~self.today["metric"].str.contains("without a value")]
        goals = shown[shown["metric"] == "exposure"]
        near = (goals["value"] / goals["target"] - 1).abs().fillna(np.inf).sort_values(ascending=False, kind="stable")
        shown = shown.drop(index=near.index[10:])
        table = shown[["metric", "group", "value", "low", "high", "target"]].assign(
            alarm=np.where(shown["alarm"], "ALARM", "")
        )
        lines.append(table.to_string(index=False, na_rep="", float_format=lambda number: f"{number:.4g}"))
        if len(near) > 10:
            lines.append(f"… and {len(near) - 10:,} goals nearer to their targets")
        lines += [f"ALARM {alarm.words}" for alarm in self.alarms]
        if len(self.decided):
            counts = self.decided["action"].value_counts()
            lines.append("prices: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))
            reasons = self.decided["reason"].value_counts()
            lines += [f"  {n:,} × {reason}" for reason, n in reasons.head(5).items()]
        return "\n".join([*lines, *self.notes])


_ACTIONS = (ROLLBACK, STEP, KEEP, HOLD)
"""What may be decided of a goal, the strongest first."""
_HIDDEN = (SCORES, "demand", "catalogue")
"""Many rows that only the next days need."""


def _count(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"
