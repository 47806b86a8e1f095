"""Effects at each look of a running test → intervals and p-values that stay valid however often one looks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import lambertw

from ltexpo.errors import ConfigError, TableError
from ltexpo.simulate.stats.effect import Effect, Spread, relative_interval

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConfidenceSequence:
    """One metric over the looks; at every look at once the intervals hold the truth with the stated chance."""

    effects: tuple[Effect, ...]
    """At each look, the effect with the always-valid interval and p-value in place of the fixed-sample ones."""

    @property
    def last(self) -> Effect:
        """The effect at the last look: what a verdict may be drawn from."""
        return self.effects[-1]

    @property
    def decided(self) -> int | None:
        """The first look (0-based) at which a difference is proven; None when there is none yet."""
        return next((n for n, look in enumerate(self.effects) if look.p_value <= 1 - look.level), None)

    def to_pandas(self) -> pd.DataFrame:
        """One row per look: look (1-based), control, treatment, difference and relative with bounds, p_value."""
        columns = (
            "metric", "control", "treatment", "difference", "low", "high",
            "relative", "relative_low", "relative_high", "p_value",
        )
        table = pd.DataFrame([{name: getattr(look, name) for name in columns} for look in self.effects])
        table.insert(0, "look", range(1, len(table) + 1))
        return table

    def __str__(self) -> str:
        when = "no difference proven yet" if self.decided is None else f"difference proven at look {self.decided + 1}"
        return f"{self.last} (always valid, {len(self.effects)} looks: {when})"


def confidence_sequence(
    looks: Sequence[Effect], *, planned_error: float | None = None, level: float = 0.95
) -> ConfidenceSequence:
    """Effects of one metric on all data up to each look → its confidence sequence.

    See `always_valid` for the bounds and for `planned_error`. The relative bounds are Fieller's with the sequence's
    multiple of the standard error. p-values never rise from look to look. A look at which nothing can be told yet
    leaves the p-value where it was.
    """
    if not looks:
        raise TableError("a confidence sequence needs at least one look; found none.")
    differences, errors = (np.array([getattr(look, name) for look in looks]) for name in ("difference", "error"))
    # Nothing varies: the effects are certain at every look, and their own bounds already always valid.
    if not (errors > 0).any():
        return ConfidenceSequence(tuple(looks))
    multiples = sequence_multiples(errors, planned_error=planned_error, level=level)
    p_values = always_valid(differences, errors, planned_error=planned_error, level=level)[2]
    effects = []
    for look, multiple, p_value in zip(looks, multiples, p_values, strict=True):
        if not np.isfinite(multiple):
            effects.append(replace(
                look, low=-np.inf, high=np.inf, relative_low=-np.inf, relative_high=np.inf,
                p_value=float(p_value), level=level, method=f"{look.method}, confidence sequence",
            ))
            continue
        spread = Spread(look.treatment_error**2, look.control_error**2, look.covariance, np.inf)
        _, low, high = relative_interval(look.treatment, look.control, spread, float(multiple))
        half = float(multiple) * look.error
        effects.append(replace(
            look, low=look.difference - half, high=look.difference + half, relative_low=low, relative_high=high,
            p_value=float(p_value), level=level, method=f"{look.method}, confidence sequence",
        ))
    return ConfidenceSequence(tuple(effects))


def always_valid(
    differences: npt.ArrayLike, errors: npt.ArrayLike, *, planned_error: float | None = None, level: float = 0.95
) -> tuple[Array, Array, Array]:
    """Estimates and standard errors at each look, (..., looks) → low, high, p-value (..., looks), always valid.

    The asymptotic confidence sequence of Waudby-Smith et al. (2021, arXiv 2103.06476), Robbins' normal mixture: with
    x = ρ² / error² the half-width is error · √((1 + 1/x) (log(1 + x) − 2 log α)), and the p-value the smallest so far
    of √(1 + x) · exp(−z² x / (2 (1 + x))). The clock is the information 1 / error², so that users may come once or
    come back every day. ρ makes the interval narrowest where the error is `planned_error`: the error expected at the
    look one plans to decide at. Without it that is the last look, which is for a test that has ended; a running test
    must fix it before it starts, or the bounds of earlier days move.

    Where the error is not known yet (NaN or 0) the bounds are infinite. The normal limit needs some hundred users.
    """
    d, e = np.asarray(differences, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    x = _information(e, planned_error, level)
    half = e * _multiple(x, level)
    known = np.isfinite(half)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        p = np.sqrt(1 + x) * np.exp(-np.square(d / e) * x / (2 * (1 + x)))
    p = np.minimum.accumulate(np.where(known, np.minimum(p, 1.0), 1.0), axis=-1)
    half = np.where(known, half, np.inf)
    middle = np.where(known, d, 0.0)
    return middle - half, middle + half, p


def sequence_multiples(errors: npt.ArrayLike, *, planned_error: float | None = None, level: float = 0.95) -> Array:
    """How many standard errors the sequence is wide to either side at each look, (..., looks); NaN where unknown."""
    return _multiple(_information(np.asarray(errors, dtype=np.float64), planned_error, level), level)


def _information(errors: Array, planned_error: float | None, level: float) -> Array:
    """x = ρ² / error²; the width at x is least, for given error, where x + 1 = −W₋₁(−α² / e)."""
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1; found {level:g}.")
    if planned_error is not None and not planned_error > 0:
        raise ConfigError(f"planned_error must be above 0; found {planned_error:g}. Give the error then expected.")
    best = -float(lambertw(-((1 - level) ** 2) / np.e, k=-1).real) - 1
    known = np.where(errors > 0, errors, np.nan)
    if planned_error is None:
        last = known[..., -1:]
        # The last look may be the one that tells nothing; then the narrowest known one is planned for.
        fallback = np.nanmin(np.where(np.isnan(known), np.inf, known), axis=-1, keepdims=True)
        planned = np.where(np.isnan(last), fallback, last)
    else:
        planned = np.full((1,), planned_error)
    x: Array = best * np.square(planned / known)
    return x


def _multiple(x: Array, level: float) -> Array:
    multiple: Array = np.sqrt((1 + 1 / x) * (np.log1p(x) - 2 * np.log(1 - level)))
    return multiple
