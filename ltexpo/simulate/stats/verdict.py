"""The primary metric's effect + guardrails + the split → SHIP, HOLD or STOP, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from scipy.special import ndtri

from ltexpo.simulate.stats.effect import Effect
from ltexpo.simulate.stats.guardrail import Guardrail
from ltexpo.simulate.stats.srm import SampleRatio
from ltexpo.simulate.stats.words import change, changes_to, plus, plus_to

Decision = Literal["SHIP", "HOLD", "STOP"]


@dataclass(frozen=True)
class Verdict:
    """What to do, in one sentence."""

    decision: Decision
    reason: str
    more_users: int | None = None
    """For HOLD: users in both arms together, beyond those seen, that would probably decide; None if no number would."""
    more_days: int | None = None
    """The same in days, when the days so far are known and users keep coming as they did."""

    def __str__(self) -> str:
        return f"{self.decision}: {self.reason}."


def verdict(
    primary: Effect,
    guardrails: Sequence[Guardrail] = (),
    split: SampleRatio | None = None,
    *,
    higher_is_better: bool = True,
    worth: float | None = None,
    days: int | None = None,
    power: float = 0.8,
    plan: bool = True,
) -> Verdict:
    """SHIP: the primary metric is proven better and every guardrail proven to hold. STOP: the split is broken, a
    guardrail is proven worse than its margin, or the primary metric is proven worse. HOLD: everything else.

    HOLD says how many more users would decide with chance `power`, if the primary metric's true relative effect is
    `worth` (the smallest effect one would ship for; the effect seen if not given) and guardrails lose nothing. `days`:
    length of the test so far. Without `plan` the reason leaves the number out, for those who know the true effects
    and can tell it better.
    """
    if split is not None and not split.ok:
        return Verdict("STOP", f"the split is broken, so that no effect can be believed ({split})")
    broken = [rail for rail in guardrails if rail.state == "broken"]
    if broken:
        return Verdict("STOP", "; ".join(rail.reason for rail in broken))
    sign = 1 if higher_is_better else -1
    side = _proven(primary, sign)
    if side < 0:
        return Verdict("STOP", f"{_summary(primary)} is proven worse")
    unsettled = [rail for rail in guardrails if rail.state == "open"]
    if side > 0 and not unsettled:
        held = ", every guardrail holds" if guardrails else ", with no guardrail asked for"
        return Verdict("SHIP", f"{_summary(primary)} is proven better{held}")
    times = [rail.more(power) for rail in unsettled]
    reasons = [rail.reason for rail in unsettled]
    if side == 0:
        times.append(_more(primary, sign, worth, power))
        reasons.insert(0, f"{_summary(primary)} is not proven better")
    return _hold("; ".join(reasons), max(times), primary.n_control + primary.n_treatment, days, plan=plan)


def _proven(primary: Effect, sign: int) -> int:
    if not np.isfinite(primary.difference) or not (primary.low > 0 or primary.high < 0):
        return 0
    return sign if primary.low > 0 else -sign


def _summary(effect: Effect) -> str:
    if not np.isfinite(effect.difference):
        return f"{effect.metric} ({effect.note})"
    if effect.tells_relative:
        return f"{effect.metric} ({change(effect.relative)}, {changes_to(effect.relative_low, effect.relative_high)})"
    return f"{effect.metric} ({plus(effect.difference)}, {plus_to(effect.low, effect.high)})"


def _more(primary: Effect, sign: int, worth: float | None, power: float) -> float:
    """Users needed over users seen: the interval's own half-width and the power's quantile against the effect."""
    expected = sign * primary.difference if worth is None else abs(worth * primary.control)
    half = (primary.high - primary.low) / 2
    if not (expected > 0 and np.isfinite(half)):
        return float("inf")
    return max(((half + float(ndtri(power)) * primary.error) / expected) ** 2, 1.0)


def _hold(reason: str, times: float, users: int, days: int | None, *, plan: bool) -> Verdict:
    # Beyond a thousandfold the number says only that this test will not decide.
    if not times < 1000:
        more = "; no affordable number of users would decide at the effect seen" if plan else ""
        return Verdict("HOLD", f"{reason}{more}")
    more_users = max(ceil((times - 1) * users), 1)
    more_days = None if days is None else max(ceil((times - 1) * days), 1)
    also = "" if more_days is None else f" ({more_days:,} days)"
    more = f"; about {more_users:,} more users{also} would decide" if plan else ""
    return Verdict("HOLD", f"{reason}{more}", more_users, more_days)
