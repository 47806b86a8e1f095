"""Users' totals in two arms + any statistic of them → the effect, by the Poisson bootstrap over users."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ltexpo.errors import ConfigError, TableError
from ltexpo.simulate.stats.effect import Effect

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array, Array], Array]
"""Users' totals (U, M) and how often each user counts in each world, (B, U) → the statistic in each world (B,)."""


def compare_bootstrap(
    metric: str,
    statistic: Statistic,
    treatment: npt.ArrayLike,
    control: npt.ArrayLike,
    *,
    runs: int = 2000,
    level: float = 0.95,
    rng: int | np.random.Generator = 0,
) -> Effect:
    """The effect on a statistic for which no formula is at hand: a quantile, a share of the best, a trimmed mean.

    Every user counts Poisson(1) times (Hanley & MacGibbon 2006; Chamandy et al. 2012); the intervals are percentiles,
    the p-value twice the share of worlds on the other side of 0. Right for smooth statistics of users. NOT for coverage
    and Gini: resampled users show fewer items than as many new ones would (`compare_coverage`, `compare_gini`).

    `treatment` and `control` hold one row a user, (U, M) or (U,). Raises `TableError` for an arm without users.
    """
    if runs < 100:
        raise ConfigError(f"runs must be at least 100 for percentiles to be known; found {runs}.")
    generator = np.random.default_rng(rng)
    values, worlds = [], []
    for name, totals in (("treatment", treatment), ("control", control)):
        data = np.asarray(totals, dtype=np.float64)
        if not len(data):
            raise TableError(f"metric '{metric}': the {name} has no users. Give it users, or leave the arm out.")
        data = data.reshape(len(data), -1)
        values.append(float(statistic(data, np.ones((1, len(data))))[0]))
        worlds.append(_worlds(statistic, data, runs, generator))
    differences = worlds[0] - worlds[1]
    unknown = int((~np.isfinite(differences)).sum())
    note = f"in {unknown:,} of {runs:,} worlds the statistic is not defined; they are left out" if unknown else ""
    known = np.isfinite(differences)
    if known.sum() < 100:
        raise TableError(f"metric '{metric}': the statistic is not defined in {unknown:,} of {runs:,} worlds.")
    below = float((differences[known] <= 0).sum() + 1) / (int(known.sum()) + 1)
    above = float((differences[known] >= 0).sum() + 1) / (int(known.sum()) + 1)
    sides = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(differences[known], sides)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (worlds[0] - worlds[1]) / np.abs(worlds[1])
    bounds = np.quantile(relative[known], sides) if np.isfinite(relative[known]).all() else (np.nan, np.nan)
    difference = values[0] - values[1]
    return Effect(
        metric, values[1], values[0], float(worlds[1][known].std()), float(worlds[0][known].std()),
        difference, float(differences[known].std()), float(low), float(high),
        difference / abs(values[1]) if values[1] else float("nan"), float(bounds[0]), float(bounds[1]),
        min(2 * min(below, above), 1.0), len(np.asarray(control)), len(np.asarray(treatment)), level,
        f"Poisson bootstrap, {runs} worlds", note,
    )


def _worlds(statistic: Statistic, data: Array, runs: int, rng: np.random.Generator) -> Array:
    # Weights at a time: some 32 MB.
    batch = max(1, 4_000_000 // len(data))
    sizes = [min(batch, runs - start) for start in range(0, runs, batch)]
    return np.concatenate([statistic(data, rng.poisson(1.0, (size, len(data))).astype(np.float64)) for size in sizes])


def weighted_ratio(totals: Array, weights: Array) -> Array:
    """Σ first column / Σ second column: the ratio metric as a `Statistic`."""
    ratio: Array = (weights @ totals[:, 0]) / (weights @ totals[:, 1])
    return ratio
