"""One line per estimator → a table that prints itself, and JSON for a file."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ltexpo.metrics.intervals import Estimate
from ltexpo.simulate.ope.diagnostics import CANNOT_SAY, OK, Diagnosis

_ORDER = ("cascade_dr", "dr", "snrips", "sniips", "snips", "dr_shrinkage", "switch_dr", "rips", "iips", "ips")
"""Which row stands for the whole, where it is not refused: fixed beforehand, so that no result chooses it."""
_UNKNOWN = float("nan")


@dataclass(frozen=True)
class Row:
    """What one estimator says."""

    estimator: str
    depends: str
    """What a slot's reward may depend on for this estimator to be right."""
    value: Estimate
    """Per request."""
    change: Estimate
    """The value less the log's own, on the same requests."""
    weights: Diagnosis | None
    """None for the direct method, which weighs nothing."""
    verdict: str
    """"ok", or "cannot say" with the reason."""

    @classmethod
    def refused(cls, estimator: str, depends: str, reason: str) -> "Row":
        """A row without numbers."""
        nothing = Estimate(_UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, 0, 0)
        return cls(estimator, depends, nothing, nothing, None, f"{CANNOT_SAY}: {reason}")

    @property
    def ok(self) -> bool:
        """Whether something can be said."""
        return self.verdict == OK

    def to_dict(self) -> dict[str, Any]:
        """One flat record."""
        weights = self.weights
        return {
            "estimator": self.estimator, "value": self.value.value, "low": self.value.low, "high": self.value.high,
            "error": self.value.error, "change": self.change.value, "change_low": self.change.low,
            "change_high": self.change.high,
            "effective_sample_size": weights.effective if weights else _UNKNOWN,
            "largest_weight": weights.largest if weights else _UNKNOWN,
            "mean_weight": weights.mean_weight.value if weights else _UNKNOWN,
            "pareto_k": weights.pareto_k if weights else _UNKNOWN,
            "effective_rewarded": weights.rewarded if weights else _UNKNOWN,
            "reward_depends_on": self.depends, "verdict": self.verdict,
        }


@dataclass(frozen=True)
class OpeResult:
    """The target policy's value per request, by each estimator, beside the log's own."""

    rows: tuple[Row, ...]
    on_policy: Estimate
    """What the log's own policy earned per request, on the same requests and ranks."""
    missing: float
    """Share of what the policy would show that the log shows at that rank nowhere."""
    requests: int
    slots: int
    single: bool
    """Whether every request is a single slot."""
    level: float
    reward: str
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> Row | None:
        """The row that stands for the whole: the first that says something, in an order fixed beforehand; or None."""
        found = {row.estimator: row for row in self.rows if row.ok}
        return next((found[name] for name in _ORDER if name in found), None)

    def to_pandas(self) -> pd.DataFrame:
        """One row per estimator: value, low, high, error, change against the log, diagnostics, verdict."""
        return pd.DataFrame([row.to_dict() for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """What ope.json holds; `estimators` by name."""
        own, stands = self.on_policy, self.headline
        return {
            "reward": self.reward, "per": "slot" if self.single else "list", "level": self.level,
            "requests": self.requests, "slots": self.slots, "users": own.clusters,
            "on_policy": {"value": own.value, "low": own.low, "high": own.high, "error": own.error},
            "headline": stands.estimator if stands else None,
            "never_shown_share": self.missing,
            "estimators": {
                row.estimator: {name: held for name, held in row.to_dict().items() if name != "estimator"}
                for row in self.rows
            },
            "left_out": self.left_out, "notes": list(self.notes),
        }

    def __str__(self) -> str:
        unit, own, said = "slot" if self.single else "list", self.on_policy, [row for row in self.rows if row.ok]
        rewards = self.reward if self.reward == "revenue" else f"{self.reward}s"
        lines = [
            f"{rewards} per {unit}, {self.requests:,} {unit}s; the log's own: {own.value:.5g} "
            f"({own.low:.5g} to {own.high:.5g})"
        ]
        if said:
            lines.append(
                f"{'estimator':<14}{'value':>10}   {f'{self.level:.0%} interval':<22}{'effective':>10}{'largest w':>11}"
            )
        for row in said:
            weights = row.weights
            effective, largest = (f"{weights.effective:,.0f}", f"{weights.largest:,.4g}") if weights else ("–", "–")
            interval = f"{row.value.low:.5g} to {row.value.high:.5g}"
            mark = "  ← stands for the whole" if row is self.headline else ""
            lines.append(
                f"{row.estimator:<14}{row.value.value:>10.5g}   {interval:<22}{effective:>10}{largest:>11}{mark}"
            )
        # A refused value would be read all the same; the files hold it.
        lines += [f"{', '.join(names)} {CANNOT_SAY}: {reason}" for reason, names in self.refused.items()]
        lines += [f"left out: {reason}: {count:,}" for reason, count in self.left_out.items()]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    @property
    def refused(self) -> dict[str, list[str]]:
        """Why nothing can be said → the estimators of which this is so."""
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            if not row.ok:
                reasons.setdefault(row.verdict.removeprefix(f"{CANNOT_SAY}: "), []).append(row.estimator)
        return reasons
