"""A metric's spread among users → power, the least effect that would be found, and the users that it needs."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit
from scipy.stats import nct

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Ratio

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """A mean or ratio as it is today: its value, and the deviation of one user."""

    value: float
    deviation: float
    """Standard deviation of the linearised metric among users: the error of n users' value is deviation / √n."""

    @classmethod
    def of(cls, ratio: Ratio) -> "Baseline":
        """From today's users; rows of one user are added up. Raises `TableError` when fewer than two users tell."""
        codes, users = pd.factorize(ratio.clusters)
        if len(users) < 2 or ratio.denominator.sum() == 0:
            raise TableError(f"a baseline needs two users and a denominator; found {len(users)} users.")
        influence = np.bincount(codes, weights=ratio.influence(), minlength=len(users)) * len(users)
        return cls(ratio.value, float(influence.std(ddof=1)))

    @classmethod
    def share(cls, value: float) -> "Baseline":
        """Of a yes or no per user (a click, a return) that a share `value` of the users has."""
        if not 0 < value < 1:
            raise ConfigError(f"a share lies between 0 and 1; found {value:g}.")
        return cls(value, float(np.sqrt(value * (1 - value))))

    def times(self, factor: float) -> "Baseline":
        """With the deviation multiplied: √(1 − ρ²) is what CUPED leaves."""
        return Baseline(self.value, self.deviation * factor)


def power(
    baseline: Baseline,
    users: npt.ArrayLike,
    *,
    relative: npt.ArrayLike | None = None,
    difference: npt.ArrayLike | None = None,
    treated: float = 0.5,
    treatment_deviation: float | None = None,
    level: float = 0.95,
) -> Array:
    """The chance that the two-sided test at `level` finds an effect, with `users` in both arms together.

    The effect is a `difference` in the metric's unit or `relative` to its value; which of them is tested makes no
    difference, since Fieller's relative interval excludes 0 exactly when the absolute one does. `treated` is the share
    of users in the treatment, `treatment_deviation` its users' deviation if the effect changes it. Arrays broadcast.
    Noncentral t (Cohen 1988).
    """
    effect = np.asarray(_effect(baseline, relative, difference), dtype=np.float64)
    n = np.asarray(users, dtype=np.float64)
    _check(level=level, treated=treated)
    treatment, control = n * treated, n * (1 - treated)
    other = baseline.deviation if treatment_deviation is None else treatment_deviation
    error = np.sqrt(other**2 / treatment + baseline.deviation**2 / control)
    freedom = np.maximum(n - 2, 1)
    quantile = stdtrit(freedom, 0.5 + level / 2)
    shift = np.abs(effect) / error
    # Far out the noncentral t underflows to NaN, where the power is 1 and the wrong side's chance 0 to all digits.
    right = nct.sf(quantile, freedom, np.minimum(shift, quantile + 7))
    wrong = nct.cdf(-quantile, freedom, np.minimum(shift, 5.0))
    found: Array = np.where(shift > quantile + 7, 1.0, right) + np.where(shift > 5, 0.0, wrong)
    return found


def detectable(
    baseline: Baseline,
    users: float,
    *,
    chance: float = 0.8,
    treated: float = 0.5,
    level: float = 0.95,
) -> tuple[float, float]:
    """The least effect that `users` in both arms find with the given chance: (difference, relative)."""
    _check(level=level, treated=treated, chance=chance)
    error = baseline.deviation * np.sqrt(1 / (users * treated) + 1 / (users * (1 - treated)))
    if users < 4:
        raise ConfigError(f"power needs at least 4 users; found {users:g}.")
    if error == 0:
        return 0.0, 0.0
    near = (stdtrit(users - 2, 0.5 + level / 2) + stdtrit(users - 2, chance)) * error
    difference = float(brentq(
        lambda d: float(power(baseline, users, difference=d, treated=treated, level=level)) - chance,
        near * 1e-6, near * 4,
    ))
    return difference, difference / abs(baseline.value) if baseline.value else float("inf")


def users_needed(
    baseline: Baseline,
    *,
    relative: float | None = None,
    difference: float | None = None,
    chance: float = 0.8,
    treated: float = 0.5,
    treatment_deviation: float | None = None,
    level: float = 0.95,
) -> int:
    """Users in both arms together that find the effect with the given chance."""
    _check(level=level, treated=treated, chance=chance)
    effect = abs(float(np.asarray(_effect(baseline, relative, difference))))
    if effect == 0:
        raise ConfigError("an effect of 0 is never found: ask for a relative effect or a difference above 0.")
    other = baseline.deviation if treatment_deviation is None else treatment_deviation
    variance = other**2 / treated + baseline.deviation**2 / (1 - treated)
    normal = (ndtri(0.5 + level / 2) + ndtri(chance)) ** 2 * variance / effect**2
    n = max(4, ceil(normal))

    def short(users: int) -> bool:
        found = power(
            baseline, users, difference=effect, treated=treated, treatment_deviation=treatment_deviation, level=level
        )
        return float(found) < chance

    # Student's t asks for a few users more than the normal formula.
    while short(n):
        n += 1
    return n


def resampled_power(
    ratio: Ratio,
    *,
    relative: float,
    users: int,
    treated: float = 0.5,
    runs: int = 1000,
    level: float = 0.95,
    rng: int | np.random.Generator = 0,
) -> tuple[float, float]:
    """The power as today's users have it: (share of runs that find the effect, its standard error).

    Every run draws both arms from the rows of `ratio` (one a user) with replacement, multiplies the treated numerators
    by 1 + `relative`, and tests by the delta method. Says whether the formula may be believed for a metric with a tail.
    """
    _check(level=level, treated=treated)
    generator = np.random.default_rng(rng)
    sizes = (round(users * treated), users - round(users * treated))
    if min(sizes) < 2:
        raise ConfigError(f"{users} users at {treated:.0%} treated leave an arm with fewer than two.")
    found = 0
    for _ in range(runs):
        values, variances = [], []
        for size, factor in zip(sizes, (1 + relative, 1.0), strict=True):
            drawn = generator.integers(0, len(ratio.numerator), size)
            numerator, denominator = factor * ratio.numerator[drawn], ratio.denominator[drawn]
            total = denominator.sum()
            values.append(numerator.sum() / total if total else np.nan)
            variances.append(size / (size - 1) * float(np.square((numerator - values[-1] * denominator) / total).sum()))
        freedom = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
        found += bool(abs(values[0] - values[1]) > stdtrit(freedom, 0.5 + level / 2) * np.sqrt(sum(variances)))
    share = found / runs
    return share, float(np.sqrt(share * (1 - share) / runs))


def _effect(
    baseline: Baseline, relative: npt.ArrayLike | None, difference: npt.ArrayLike | None
) -> npt.ArrayLike:
    if (relative is None) == (difference is None):
        raise ConfigError("say the effect either as relative or as difference.")
    return np.asarray(relative, dtype=np.float64) * abs(baseline.value) if difference is None else difference


def _check(*, level: float, treated: float, chance: float = 0.8) -> None:
    for name, value in (("level", level), ("treated", treated), ("chance", chance)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} must lie between 0 and 1; found {value:g}.")
