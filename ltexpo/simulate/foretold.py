"""A metric's ratio in two arms + what the same users did before the test → the test's effect with a smaller error."""

from dataclasses import replace

from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import Effect, compare, cuped, linearised

LEAST_USERS = 50
"""An arm with fewer is not adjusted: how the days before foretell must be learnt from it, and at 20 users the intervals
were measured to hold the truth in 92.8% of tests instead of 93.4%, at 50 in 93.9% instead of 94.6%."""


def less_foretold(
    metric: str, treatment: Ratio, control: Ratio, before: tuple[Ratio, Ratio], *, level: float
) -> Effect:
    """Treatment − control less what the days before foretell (`cuped`); plain where they tell nothing.

    `before`: the same ratio of the same users, in the same order, before anything was shown. The arms' values are
    adjusted, too; see `as_seen`.
    """
    n = min(len(treatment.numerator), len(control.numerator))
    if n < LEAST_USERS or not sum(float(ratio.denominator.sum()) for ratio in before):
        return compare(metric, treatment, control, level=level)
    covariates = linearised(before[0], before[1])
    return cuped(metric, treatment, control, covariates[0], covariates[1], level=level)


def as_seen(adjusted: Effect, treatment: Ratio, control: Ratio) -> Effect:
    """The change as it is adjusted, beside the arms' values as they were seen."""
    if adjusted.control != adjusted.control:  # nothing is known
        return adjusted
    return replace(adjusted, treatment=treatment.value, control=control.value)
