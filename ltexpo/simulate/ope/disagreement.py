"""A simulator's answer and the log's own → a warning where the two do not fit together."""

import numpy as np

from ltexpo.metrics.intervals import Estimate
from ltexpo.simulate.ope.result import OpeResult


def disagreement(simulated: Estimate, ope: OpeResult, *, change: bool = False) -> str | None:
    """A sentence when the simulated value differs from off-policy evaluation by more than both intervals allow.

    `simulated` is the policy's value per request in the units of `ope`, or with `change` what it adds to the log's own.
    Both intervals must be of one level. Two independent answers fit when their difference is within √(h₁² + h₂²), h
    being half an interval. Estimators that cannot say are not asked; None when none of the others differs.
    """
    half = (simulated.high - simulated.low) / 2
    apart, asked = [], 0
    for row in ope.rows:
        found = row.change if change else row.value
        if not row.ok:
            continue
        asked += 1
        if abs(found.value - simulated.value) > np.hypot(half, (found.high - found.low) / 2):
            apart.append(f"{row.estimator} {found.value:.4g} ({found.low:.4g} to {found.high:.4g})")
    if not apart:
        return None
    what = f"change of {ope.reward}" if change else ope.reward
    return (
        f"the simulator and the log disagree on {what} per {'slot' if ope.single else 'list'}: simulated "
        f"{simulated.value:.4g} ({simulated.low:.4g} to {simulated.high:.4g}), off-policy {', '.join(apart)}; "
        f"{len(apart)} of {asked} estimators that can say. Trust neither before you know why."
    )
