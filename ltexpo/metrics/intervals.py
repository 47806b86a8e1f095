"""Per-list numbers and the user each list belongs to → a mean or ratio with its 95% interval over users."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and two-sided interval; NaN where fewer than two clusters tell."""

    value: float
    error: float
    low: float
    high: float
    n: int
    """Rows (lists) behind the number."""
    clusters: int
    """Independent clusters (users) behind the number."""


@dataclass(frozen=True)
class Ratio:
    """Σ numerator / Σ denominator over n rows; rows of one cluster may depend on each other, clusters may not.

    A mean is a ratio whose denominator is 1 everywhere.
    """

    numerator: Array
    """(n,)"""
    denominator: Array
    """(n,)"""
    clusters: npt.NDArray[Any]
    """(n,) cluster of each row: any hashable labels."""

    @classmethod
    def mean(cls, values: npt.ArrayLike, clusters: npt.NDArray[Any] | None = None) -> "Ratio":
        """The mean of `values` (n,); without `clusters` every row is its own."""
        return cls.of(values, np.ones(len(np.asarray(values))), clusters)

    @classmethod
    def of(
        cls, numerator: npt.ArrayLike, denominator: npt.ArrayLike, clusters: npt.NDArray[Any] | None = None
    ) -> "Ratio":
        """Arrays of one length (n,); without `clusters` every row is its own."""
        values = np.asarray(numerator, dtype=np.float64)
        labels = np.arange(len(values)) if clusters is None else np.asarray(clusters)
        return cls(values, np.asarray(denominator, dtype=np.float64), labels)

    @property
    def value(self) -> float:
        """The ratio of sums; NaN when the denominators sum to 0."""
        total = float(self.denominator.sum())
        return float(self.numerator.sum()) / total if total != 0 else float("nan")

    def influence(self) -> Array:
        """(n,) what each row moves the ratio by, to first order: (numerator − ratio · denominator) / Σ denominator."""
        total = float(self.denominator.sum())
        if total == 0:
            return np.full(len(self.numerator), np.nan)
        influence: Array = (self.numerator - self.value * self.denominator) / total
        return influence


def estimate(ratio: Ratio, *, level: float = 0.95) -> Estimate:
    """`ratio` with its cluster-robust interval.

    The variance is that of the linearised ratio summed within clusters, C / (C − 1) · Σ_c (Σ_{i∈c} influence_i)²
    (delta method: Deng, Knoblich & Lu, KDD 2018; Liang & Zeger 1986), the quantile Student's t with C − 1 degrees of
    freedom. For a mean over single rows this is the ordinary t interval.
    """
    error, clusters = _error(ratio.influence(), ratio.clusters)
    return _interval(ratio.value, error, len(ratio.numerator), clusters, level)


def mean_estimate(
    values: npt.ArrayLike, clusters: npt.NDArray[Any] | None = None, *, level: float = 0.95
) -> Estimate:
    """The mean of `values` (n,) with its interval over `clusters` (n,): see `estimate`."""
    return estimate(Ratio.mean(values, clusters), level=level)


def ratio_estimate(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    clusters: npt.NDArray[Any] | None = None,
    *,
    level: float = 0.95,
) -> Estimate:
    """Σ `numerator` / Σ `denominator`, both (n,), with its interval over `clusters` (n,): see `estimate`."""
    return estimate(Ratio.of(numerator, denominator, clusters), level=level)


def difference(treatment: Ratio, control: Ratio, *, level: float = 0.95) -> Estimate:
    """treatment − control, paired wherever both hold the same cluster; `n` and `clusters` count both together.

    A cluster's two influences are subtracted before squaring, so what the arms share cancels; clusters that only one
    arm holds add their own variance, and with none in common this is the interval of two independent samples.
    """
    influence = np.concatenate([treatment.influence(), -control.influence()])
    labels = np.concatenate([treatment.clusters, control.clusters])
    error, clusters = _error(influence, labels)
    rows = max(len(treatment.numerator), len(control.numerator))
    return _interval(treatment.value - control.value, error, rows, clusters, level)


def _error(influence: Array, labels: npt.NDArray[Any]) -> tuple[float, int]:
    codes, distinct = pd.factorize(labels)
    count = len(distinct)
    if count < 2:
        return float("nan"), count
    totals = np.bincount(codes, weights=influence, minlength=count)
    return float(np.sqrt(count / (count - 1) * np.square(totals).sum())), count


def _interval(value: float, error: float, n: int, clusters: int, level: float) -> Estimate:
    half = error * float(stdtrit(clusters - 1, 0.5 + level / 2)) if clusters > 1 else float("nan")
    return Estimate(value, error, value - half, value + half, n, clusters)
