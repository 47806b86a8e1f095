"""Two arms' ratios → the effect between them: absolute and relative with intervals and a p-value."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtr, stdtrit

from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats.words import change, changes_to, p_told, plus, plus_to

Array = npt.NDArray[np.float64]
UNKNOWN = float("nan")
GREATEST_RELATIVE = 10.0
"""Above a tenfold gain a percentage says that there was next to nothing before, and no more."""


@dataclass(frozen=True)
class Effect:
    """Treatment minus control of one metric. Where `note` says why, numbers that nothing can tell are NaN."""

    metric: str
    control: float
    treatment: float
    control_error: float
    """Standard error of `control`."""
    treatment_error: float
    """Standard error of `treatment`."""
    difference: float
    """treatment − control, in the metric's unit."""
    error: float
    """Standard error of `difference`."""
    low: float
    high: float
    relative: float
    """difference / |control|: 0.05 is five percent more."""
    relative_low: float
    relative_high: float
    """±∞ when the control cannot be told from 0."""
    p_value: float
    """Two-sided, of no difference."""
    n_control: int
    """Users behind the control."""
    n_treatment: int
    level: float
    method: str
    note: str = field(default="")
    """Why a number is missing or certain; empty when all is well."""

    def __str__(self) -> str:
        if not np.isfinite(self.difference):
            return f"{self.metric}: cannot say, {self.note}"
        line = f"{self.metric}: {self.control:.4g} → {self.treatment:.4g}, {plus(self.difference)}"
        if np.isnan(self.error):
            return f"{line}; {self.note}"
        line += f" ({plus_to(self.low, self.high)})"
        if self.tells_relative:
            line += f", {change(self.relative)} ({changes_to(self.relative_low, self.relative_high)})"
        p_value = p_told(self.p_value)
        line += f", p {p_value}" if p_value.startswith("<") else f", p = {p_value}"
        return line + (f"; {self.note}" if self.note else "")

    @property
    def tells_relative(self) -> bool:
        """Whether the change is best told relative to the control, see `tells_relative`."""
        return tells_relative(self.relative, self.relative_low, self.relative_high)

    @property
    def covariance(self) -> float:
        """Of the two arms' values: 0 for different users, positive for twins."""
        return (self.control_error**2 + self.treatment_error**2 - self.error**2) / 2


@dataclass(frozen=True)
class Spread:
    """The sampling (co)variances of the two arms' values, and the degrees of freedom that estimate them."""

    treatment: float
    control: float
    covariance: float
    freedom: float


def tells_relative(relative: float, low: float, high: float) -> bool:
    """Whether a relative change with its bounds says more than the difference: the control is not next to 0."""
    return bool(np.isfinite([relative, low, high]).all()) and abs(relative) <= GREATEST_RELATIVE


def compare(
    metric: str, treatment: Ratio, control: Ratio, *, paired: bool = False, level: float = 0.95
) -> Effect:
    """The effect on a mean or ratio, by the delta method over users (Deng, Knoblich & Lu, KDD 2018).

    The clusters of the ratios are the users that were randomised. `paired`: the arms hold the same users (twins of a
    simulation), and what the arms share cancels; otherwise the arms are independent, and the interval is Welch's.

    The relative interval is Fieller's (1954): the lifts r for which treatment − (1 + r) · control is not told from
    0. It excludes 0 exactly when the p-value is below 1 − level, and needs no arm to be positive.

    A metric without variation and an arm whose denominators are all 0 get an answer with a `note`. Raises `TableError`
    for an arm without rows, for numbers that are not finite, and for users in both arms that are not `paired`.
    """
    for arm, name in ((treatment, "treatment"), (control, "control")):
        _check(metric, name, arm)
    codes, users = pd.factorize(np.concatenate([control.clusters, treatment.clusters]))
    n, rows = len(users), len(control.numerator)
    if codes.min() < 0:
        raise TableError(f"metric '{metric}': {int((codes < 0).sum())} rows have no user. Every row needs its user.")
    own, other = codes[:rows], codes[rows:]
    n_control = int(own.max()) + 1
    if paired:
        n_treatment = len(np.unique(other))
    else:
        n_treatment = n - n_control
        shared = other[other < n_control]
        if len(shared):
            raise TableError(
                f"metric '{metric}': {len(np.unique(shared)):,} users are in both arms. "
                "Give every user one arm and the ratios their users as clusters, or say paired=True for twins."
            )
    counts = (n_treatment, n_control)
    method = "delta method, paired users" if paired else "delta method"
    for arm, name in ((treatment, "treatment"), (control, "control")):
        if arm.denominator.sum() == 0:
            note = f"the {name}'s denominator is 0: there is nothing to divide by"
            return cannot_say(metric, note, counts=counts, level=level, method=method)
    from_treatment = np.bincount(other, weights=treatment.influence(), minlength=n).astype(np.float64, copy=False)
    from_control = np.bincount(own, weights=control.influence(), minlength=n).astype(np.float64, copy=False)
    if paired:
        spread = _paired_spread(from_treatment, from_control)
    else:
        spread = independent_spread(from_treatment[n_control:], from_control[:n_control])
    return effect(metric, treatment.value, control.value, spread, counts=counts, level=level, method=method)


def effect(
    metric: str,
    treatment: float,
    control: float,
    spread: Spread,
    *,
    counts: tuple[int, int],
    level: float,
    method: str,
    note: str = "",
) -> Effect:
    """Two values and their sampling covariance → the effect; `counts` are the users of treatment and control."""
    difference = treatment - control
    error = float(np.sqrt(max(spread.treatment + spread.control - 2 * spread.covariance, 0.0)))
    if not np.isfinite(error):
        note = "an arm has fewer than two users, which tell no variance"
        quantile, p_value = UNKNOWN, UNKNOWN
    elif error <= 1e-13 * max(abs(treatment), abs(control)):
        # Rounding is not variation: equal arms are certain to be equal, constant ones certain to differ.
        error, quantile, p_value = 0.0, 0.0, float(abs(difference) <= 1e-12 * max(abs(treatment), abs(control)))
        note = "the metric does not vary between users: equal arms" if p_value else (
            "the metric does not vary between users of an arm: the difference is no matter of chance"
        )
    else:
        quantile = float(stdtrit(spread.freedom, 0.5 + level / 2))
        p_value = 2 * float(stdtr(spread.freedom, -abs(difference) / error))
    relative, relative_low, relative_high = relative_interval(treatment, control, spread, quantile)
    if not note and not np.isfinite(relative_low):
        note = "the control cannot be told from 0, so that a relative effect has no bounds"
    return Effect(
        metric, control, treatment, float(np.sqrt(spread.control)), float(np.sqrt(spread.treatment)),
        difference, error, difference - quantile * error, difference + quantile * error,
        relative, relative_low, relative_high, p_value, counts[1], counts[0], level, method, note,
    )


def relative_interval(
    treatment: float, control: float, spread: Spread, quantile: float
) -> tuple[float, float, float]:
    """(treatment − control) / |control| and Fieller's bounds; NaN for control 0, ±∞ when it cannot be told from 0.

    The bounds solve (T − ρC)² = q² (v_T − 2ρ v_TC + ρ² v_C) for ρ = 1 + r (Fieller 1954).
    """
    if control == 0 or not np.isfinite(quantile):
        return (UNKNOWN if control == 0 else (treatment - control) / abs(control)), UNKNOWN, UNKNOWN
    relative = (treatment - control) / abs(control)
    q2 = quantile**2
    square = control**2 - q2 * spread.control
    if square <= 0:
        return relative, float("-inf"), float("inf")
    middle = treatment * control - q2 * spread.covariance
    root = float(np.sqrt(max(middle**2 - square * (treatment**2 - q2 * spread.treatment), 0.0)))
    bounds = ((middle - root) / square - 1, (middle + root) / square - 1)
    return (relative, *bounds) if control > 0 else (relative, -bounds[1], -bounds[0])


def cannot_say(metric: str, note: str, *, counts: tuple[int, int], level: float, method: str) -> Effect:
    """The effect of which nothing is known, with the reason; `counts` are the users of treatment and control."""
    return Effect(
        metric, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
        UNKNOWN, counts[1], counts[0], level, method, note,
    )


def independent_spread(from_treatment: Array, from_control: Array) -> Spread:
    """Influences of the users of each arm, (n_treatment,) and (n_control,), → their spread; freedom by Welch."""
    variances: list[float] = []
    terms = 0.0
    for influence in (from_treatment, from_control):
        n = len(influence)
        if n < 2:
            return Spread(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
        variances.append(n / (n - 1) * float(influence @ influence))
        terms += variances[-1] ** 2 / (n - 1)
    freedom = sum(variances) ** 2 / terms if terms > 0 else float(n - 1)
    return Spread(variances[0], variances[1], 0.0, freedom)


def _paired_spread(from_treatment: Array, from_control: Array) -> Spread:
    n = len(from_treatment)
    if n < 2:
        return Spread(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
    small = n / (n - 1)
    return Spread(
        small * float(from_treatment @ from_treatment), small * float(from_control @ from_control),
        small * float(from_treatment @ from_control), n - 1,
    )


def _check(metric: str, name: str, arm: Ratio) -> None:
    sizes: tuple[Any, ...] = (len(arm.numerator), len(arm.denominator), len(arm.clusters))
    if len(set(sizes)) > 1:
        raise TableError(
            f"metric '{metric}': the {name} has {sizes[0]} numerators, {sizes[1]} denominators and {sizes[2]} users. "
            "Give one of each a row."
        )
    if not sizes[0]:
        raise TableError(f"metric '{metric}': the {name} has no users. Give it users, or leave the arm out.")
    # A sum is finite only if its parts are; looking at each of them is for the message.
    if not np.isfinite(arm.numerator.sum() + arm.denominator.sum()):
        wrong = int((~np.isfinite(arm.numerator) | ~np.isfinite(arm.denominator)).sum())
        raise TableError(f"metric '{metric}': {wrong} values of the {name} are not finite. Count what is missing as 0.")
