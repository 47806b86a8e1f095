"""Two arms of a metric with a long tail → the effect, its p-value exact for arms that are alike."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import ConfigError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats.effect import Effect, Spread, compare, relative_interval

Array = npt.NDArray[np.float64]


def compare_studentised(
    metric: str,
    treatment: Ratio,
    control: Ratio,
    *,
    runs: int = 999,
    level: float = 0.95,
    rng: int | np.random.Generator = 0,
) -> Effect:
    """`compare` for spend and the like, where a few users hold much of the sum and Student's quantile is too large.

    The users are re-assigned to the arms `runs` times, and difference / error of the real arms is judged by those of
    the re-assigned ones: exact for arms that are alike, whatever the tail, and right in large samples for others (Chung
    & Romano 2013). The interval takes the same quantile in place of Student's.
    """
    if runs < 99:
        raise ConfigError(f"runs must be at least 99 for a 95% quantile to be known; found {runs}.")
    plain = compare(metric, treatment, control, level=level)
    if not np.isfinite(plain.error) or plain.error == 0:
        return plain
    arms = [_by_user(arm) for arm in (treatment, control)]
    drawn = _reassigned(np.concatenate(arms), len(arms[0]), runs, np.random.default_rng(rng))
    found = abs(plain.difference) / plain.error
    p_value = float((drawn >= found * (1 - 1e-9)).sum() + 1) / (runs + 1)
    quantile = float(np.sort(drawn)[min(int(np.ceil(level * (runs + 1))), runs) - 1])
    spread = Spread(plain.treatment_error**2, plain.control_error**2, 0.0, np.inf)
    _, low, high = relative_interval(plain.treatment, plain.control, spread, quantile)
    half = quantile * plain.error
    return replace(
        plain, low=plain.difference - half, high=plain.difference + half, relative_low=low, relative_high=high,
        p_value=p_value, method=f"delta method, {runs} permutations of users",
    )


def _by_user(ratio: Ratio) -> Array:
    """(users, 2) numerator and denominator of each user."""
    codes, users = pd.factorize(ratio.clusters)
    columns = [np.bincount(codes, weights=part, minlength=len(users)) for part in (ratio.numerator, ratio.denominator)]
    return np.stack(columns, axis=1)


def _reassigned(users: Array, treated: int, runs: int, rng: np.random.Generator) -> Array:
    """|difference| / error (runs,) when `treated` of the users (U, 2) are drawn for the treatment."""
    numerator, denominator = users.T
    sums = np.stack([numerator, denominator, numerator**2, numerator * denominator, denominator**2], axis=1)
    total, n = sums.sum(axis=0), len(users)
    # Worlds at a time: some 32 MB.
    batch = max(1, 4_000_000 // n)
    drawn = []
    for start in range(0, runs, batch):
        worlds = min(batch, runs - start)
        # The users with the least of random keys: a permutation each world, at a fourth of its time.
        keys = rng.random((worlds, n))
        one = (keys < np.partition(keys, treated, axis=1)[:, treated, None]).astype(np.float64) @ sums
        in_treatment = _ratio_and_variance(one, treated)
        in_control = _ratio_and_variance(total - one, n - treated)
        # Arms that the draw leaves without any variation tell of no difference.
        error = np.sqrt(in_treatment[1] + in_control[1])
        difference = np.abs(in_treatment[0] - in_control[0])
        drawn.append(np.divide(difference, error, out=np.zeros(worlds), where=error > 0))
    return np.concatenate(drawn)


def _ratio_and_variance(sums: Array, n: int) -> tuple[Array, Array]:
    numerator, denominator, squares, products, squares_below = sums.T
    ratio = np.divide(numerator, denominator, out=np.zeros(len(sums)), where=denominator != 0)
    residuals = np.maximum(squares - 2 * ratio * products + ratio**2 * squares_below, 0.0)
    variance = np.divide(
        n / max(n - 1, 1) * residuals, denominator**2, out=np.zeros(len(sums)), where=denominator != 0
    )
    return ratio, variance
