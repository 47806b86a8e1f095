"""What a simulated experiment found: tables, verdicts, and how it prints."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ltexpo.simulate.stats import Effect, Effects

EFFECT, TEST = "effect", "test"
"""Everybody in every arm with the same chance; each user in one arm, as a test would have it."""


@dataclass(frozen=True)
class ExperimentResult:
    """What the arms do, and what a test of this size would say of it. Prints as one table per treatment."""

    effects: pd.DataFrame
    """One row per arm, reading ('effect', 'test'), segment and metric: arm, reading, by, segment, the fields of
    `stats.Effect`, and p_holm, p_bh adjusted within arm, reading and `by`. control and treatment are as they were
    seen; the difference of a test is less what the days before foretell, wherever 50 users an arm allow it."""
    looks: pd.DataFrame
    """The test after each day: arm, metric, day, control and treatment (as they were seen), control_adjusted and
    treatment_adjusted (less what the days before foretell: CUPED), difference of these two with its always-valid
    bounds low and high, fixed_low and fixed_high (valid at one look only), relative bounds, p_value."""
    days: pd.DataFrame
    """arm, day, users (arrived so far), active, stay (have not left for good), visits, clicks, tail_share: of
    everybody who lives in the arm."""
    items: pd.DataFrame
    """arm, item_id, tier, impressions, exposure, clicks, purchases."""
    verdicts: dict[str, dict[str, Any]]
    """Arm → decision, reason, more_users, more_days, guardrails."""
    facts: dict[str, Any]
    validity: pd.DataFrame | None = None
    """Where it was asked for, by arm: see `certify`."""
    notes: list[str] = field(default_factory=list)
    """What else was measured, for printing."""

    def to_pandas(self) -> pd.DataFrame:
        """The effects."""
        return self.effects

    def __str__(self) -> str:
        readings = [EFFECT, TEST] if (self.effects["reading"] == EFFECT).any() else [TEST]
        parts = []
        for arm, told in self.verdicts.items():
            for reading_ in readings:
                rows = self.effects[
                    (self.effects["arm"] == arm) & (self.effects["reading"] == reading_) & (self.effects["by"] == "all")
                ]
                title = "what the lists do" if reading_ == EFFECT else f"what a test of {self.facts['days']} days says"
                users = f"{int(rows['n_control'].iloc[0]):,} users"
                if reading_ == TEST:
                    users = f"{int(rows['n_treatment'].iloc[0]):,} against {users}"
                parts.append(f"{arm}: {title} ({users})\n{_effects(rows)}")
            parts.append(f"{arm}: {told['decision']}: {told['reason']}.")
        if self.validity is not None:
            parts += [
                f"{arm}: these tests, tried on these users\n{_validity_text(rows)}"
                for arm, rows in self.validity.groupby("arm", sort=False)
            ]
        return "\n\n".join([*parts, *self.notes])


def _validity_text(table: pd.DataFrame) -> str:
    wide = max(map(len, table["check"]))
    return "\n".join(
        f"{row.check:<{wide}}  {row.metric:<24}asked {row.asked:>6.1%}  got {row.got:>6.1%} "
        f"({row.low:.1%} to {row.high:.1%})  {row.says}"
        for row in table.itertuples()
    )


def _effects(rows: pd.DataFrame) -> Effects:
    """The effects that `_table` made rows of."""
    fields = list(Effect.__dataclass_fields__)
    return Effects(tuple(Effect(*row) for row in rows[fields].itertuples(index=False, name=None)))
