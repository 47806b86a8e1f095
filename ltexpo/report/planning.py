"""The test's errors and what the lists do → the chance that a test finds it, and the users that it needs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.report.simulated import Row, Simulated
from ltexpo.simulate.result import TEST
from ltexpo.simulate.stats.power import Baseline, detectable, power, users_needed

CHANCE = 0.8
"""What one plans for by custom."""

@dataclass(frozen=True)
class Planned:
    """A question that a test may answer: is there a change, or does the guardrail hold?"""

    metric: str
    effect: float
    """What would be found, as a difference of the metric; for a guardrail, how far from its margin."""
    baseline: Baseline
    users: int
    """Of this test, in both arms."""
    treated: float
    level: float

    @property
    def chance(self) -> float:
        """With the users of this test."""
        return float(self.at(np.array([float(self.users)]))[0])

    def at(self, users: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The chance to find it with so many users."""
        return power(self.baseline, users, difference=self.effect, treated=self.treated, level=self.level)

    @property
    def needed(self) -> float:
        """Users that find it with a chance of `CHANCE`; infinite where there is nothing to find."""
        if self.effect == 0:
            return float("inf")
        return users_needed(
            self.baseline, difference=self.effect, chance=CHANCE, treated=self.treated, level=self.level
        )

    @property
    def least(self) -> float:
        """The least difference that this test finds with a chance of `CHANCE`."""
        return detectable(self.baseline, self.users, chance=CHANCE, treated=self.treated, level=self.level)[0]


def to_see(metric: str, best: Row, test: Row, level: float) -> Planned | None:
    """Whether the metric changes at all; None where the test's error is not known."""
    return _planned(metric, best["difference"], test["error"], test, level)


def to_settle(metric: str, margin: float, best: Row, test: Row, level: float) -> Planned | None:
    """Whether the metric loses more or less than its margin: treatment − (1 − margin) · control against 0."""
    kept = 1 - margin
    covariance = (test["control_error"] ** 2 + test["treatment_error"] ** 2 - test["error"] ** 2) / 2
    variance = test["treatment_error"] ** 2 + (kept * test["control_error"]) ** 2 - 2 * kept * covariance
    error = float(np.sqrt(max(variance, 0.0)))
    return _planned(metric, best["treatment"] - kept * best["control"], error, test, level)


def to_decide(tested: Simulated, arm: str) -> float:
    """Users in all that find the primary metric's change, and settle every guardrail, each with a chance of `CHANCE`.

    Counts only what the test left open; infinite where no number of users would do.
    """
    told = tested.verdict(arm)
    margins = {str(rail["metric"]): float(rail["margin"]) for rail in told["guardrails"] if rail["state"] == "open"}
    asked = []
    for metric in dict.fromkeys([str(told["primary"]), *margins]):
        best, test = tested.row(arm, tested.best, metric), tested.row(arm, TEST, metric)
        if best is None or test is None:
            return float("inf")
        if metric in margins:
            asked.append(to_settle(metric, margins[metric], best, test, tested.level))
        if metric == told["primary"] and not (test["low"] > 0 or test["high"] < 0):
            asked.append(to_see(metric, best, test, tested.level))
    return max((float("inf") if plan is None else plan.needed for plan in asked), default=0.0)


def _planned(metric: str, effect: float, error: float, test: Row, level: float) -> Planned | None:
    treated, control = int(test["n_treatment"]), int(test["n_control"])
    users = treated + control
    if not (error > 0 and np.isfinite([error, effect]).all() and users >= 4):
        return None
    # The deviation of one user that gives the error read: so whatever lowered that error counts here too.
    deviation = error / float(np.sqrt(1 / treated + 1 / control))
    return Planned(metric, float(effect), Baseline(float(test["control"]), deviation), users, treated / users, level)
