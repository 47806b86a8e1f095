"""Predicted probabilities + outcomes → how far the two agree, overall and by popularity."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, ndtri

from ltexpo.errors import InputError
from ltexpo.metrics.intervals import Estimate, mean_estimate, ratio_estimate
from ltexpo.metrics.logit_normal import location, tau_of

Array = npt.NDArray[np.float64]


def reliability_table(
    predicted: npt.ArrayLike,
    outcome: npt.ArrayLike,
    *,
    bins: int = 10,
    attention: npt.ArrayLike | None = None,
    clusters: npt.NDArray[Any] | None = None,
) -> pd.DataFrame:
    """Bins of equal mass over `predicted` (n,) against `outcome` (n,) of 0 and 1.

    Columns bin (from 1), n, weight (share of attention), predicted, observed, low, high (95% interval of observed over
    `clusters`). Rows with the same prediction share a bin, so ties leave fewer bins than asked for.

    Clicks from a log are position-biased. With `attention` (n,), the probability that each row was examined,
    `predicted` is P(click | examined) and under the position-based model E[click] = attention · P (Richardson et al.,
    WWW 2007). A bin then observes Σ click / Σ attention and predicts Σ attention · predicted / Σ attention, two
    estimates of the same number, so small attention does not blow up the variance as the mean of click / attention
    would.
    """
    p, y, a = _checked(predicted, outcome, attention)
    return _compare(p, y, a, _equal_mass(p, bins), clusters).rename(columns={"group": "bin"})


def expected_calibration_error(
    predicted: npt.ArrayLike, outcome: npt.ArrayLike, *, bins: int = 10, attention: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
) -> float:
    """Σ_b weight_b · |observed_b − predicted_b| over the bins of `reliability_table`.

    The expected calibration error (Naeini et al., AAAI 2015) with bins of equal mass (Nguyen & O'Connor, EMNLP 2015).
    With `weight` (n,) a row counts as so many, as one of a log does by its inverse propensity.
    """
    p, y, a = _weighted(*_checked(predicted, outcome, attention), weight)
    return _error(p, y, a, _equal_mass(p, bins))


def calibration_by_popularity(
    predicted: npt.ArrayLike,
    outcome: npt.ArrayLike,
    interactions: npt.ArrayLike,
    *,
    deciles: int = 10,
    bins: int = 10,
    attention: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
    clusters: npt.NDArray[Any] | None = None,
) -> pd.DataFrame:
    """As `reliability_table`, but over deciles of the rows by their item's `interactions` (n,), least popular first.

    Columns decile (from 1), interactions_low, interactions_high, n, weight, predicted, observed, low, high, and
    error: the expected calibration error within the decile, over `bins`. Rows of equal popularity share a decile, so
    new products (0 interactions) stay together. With `weight` (n,) a row counts as so many, as one of a log does by its
    inverse propensity.
    """
    p, y, a = _weighted(*_checked(predicted, outcome, attention), weight)
    popularity = np.asarray(interactions, dtype=np.float64)
    if popularity.shape != p.shape:
        raise InputError(f"interactions has shape {popularity.shape}, predicted {p.shape}. Give one per row.")
    group = _equal_mass(popularity, deciles)
    table = _compare(p, y, a, group, clusters).rename(columns={"group": "decile"})
    members = [np.flatnonzero(group == code) for code in range(len(table))]
    table.insert(1, "interactions_low", [popularity[rows].min() for rows in members])
    table.insert(2, "interactions_high", [popularity[rows].max() for rows in members])
    table["error"] = [_error(p[rows], y[rows], a[rows], _equal_mass(p[rows], bins)) for rows in members]
    return table


def log_loss(
    predicted: npt.ArrayLike,
    outcome: npt.ArrayLike,
    *,
    attention: npt.ArrayLike | None = None,
    clusters: npt.NDArray[Any] | None = None,
) -> Estimate:
    """Mean of −ln P(outcome) in nats, with its 95% interval over `clusters`; P(click) is attention · predicted.

    Probabilities are kept 1e-15 away from 0 and 1, so that one sure but wrong prediction costs 34.5 and not infinity.
    """
    p, y, a = _checked(predicted, outcome, attention)
    click = np.clip(a * p, 1e-15, 1 - 1e-15)
    return mean_estimate(-(y * np.log(click) + (1 - y) * np.log1p(-click)), clusters)


def score_interval(
    score: npt.ArrayLike, spread: npt.ArrayLike, *, level: float = 0.9
) -> tuple[Array, Array]:
    """Where the true chances of candidates with these scores lie: (low (n,), high (n,)), `level` of them inside.

    `score` (n,) is the mean of the true chance and `spread` (n,) its standard deviation, columns score and score_spread
    of candidates; the chance is logit-normal with these moments, and both tails are as heavy. Raises `InputError`.
    """
    p, spread = np.asarray(score, dtype=np.float64), np.asarray(spread, dtype=np.float64)
    if p.ndim != 1 or p.shape != spread.shape:
        raise InputError(f"score has shape {p.shape}, spread {spread.shape}. Give one of each per candidate.")
    if not ((p > 0) & (p < 1)).all():
        raise InputError("score holds values outside 0 to 1. Calibrate the scores first.")
    if not (spread >= 0).all():
        raise InputError("spread holds values below 0 or missing. Give standard deviations.")
    if not 0 < level < 1:
        raise InputError(f"level is {level}, expected a share between 0 and 1.")
    tau = tau_of(p, spread)
    middle, half = location(p, tau), float(ndtri((1 + level) / 2)) * tau
    return np.asarray(expit(middle - half)), np.asarray(expit(middle + half))


def _weighted(p: Array, y: Array, a: Array, weight: npt.ArrayLike | None) -> tuple[Array, Array, Array]:
    """Outcomes and attention of rows that count as `weight` rows each."""
    if weight is None:
        return p, y, a
    counts = np.asarray(weight, dtype=np.float64)
    if counts.shape != p.shape or not ((counts > 0) & np.isfinite(counts)).all():
        raise InputError("weight holds values of 0 or less, or not one for each row. Leave out rows that do not count.")
    return p, counts * y, counts * a


def _compare(
    p: Array, y: Array, a: Array, group: npt.NDArray[np.int64], clusters: npt.NDArray[Any] | None
) -> pd.DataFrame:
    labels = np.arange(len(p)) if clusters is None else np.asarray(clusters)
    rows = []
    for code in range(int(group.max()) + 1):
        members = np.flatnonzero(group == code)
        observed = ratio_estimate(y[members], a[members], labels[members])
        rows.append({
            "group": code + 1,
            "n": len(members),
            "weight": a[members].sum() / a.sum(),
            "predicted": (a[members] * p[members]).sum() / a[members].sum(),
            "observed": observed.value,
            "low": observed.low,
            "high": observed.high,
        })
    return pd.DataFrame(rows)


def _error(p: Array, y: Array, a: Array, group: npt.NDArray[np.int64]) -> float:
    """Σ_b |Σ_{i∈b} (y_i − a_i p_i)| / Σ a: the weights cancel each bin's denominator."""
    return float(np.abs(np.bincount(group, weights=y - a * p)).sum() / a.sum())


def _equal_mass(values: Array, bins: int) -> npt.NDArray[np.int64]:
    """Bin of each row from 0, without empty bins: ⌊bins · mid-rank / n⌋, so equal values share one in any order."""
    if bins < 1:
        raise InputError(f"bins is {bins}, expected at least 1.")
    _, rows, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    group = np.floor(bins * middle / len(values))[rows]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _checked(
    predicted: npt.ArrayLike, outcome: npt.ArrayLike, attention: npt.ArrayLike | None
) -> tuple[Array, Array, Array]:
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    a = np.ones(len(p)) if attention is None else np.asarray(attention, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or p.shape != a.shape or len(p) == 0:
        raise InputError(f"predicted {p.shape}, outcome {y.shape}, attention {a.shape}: give one row per prediction.")
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("predicted holds values outside 0 to 1. Calibrate the scores first.")
    if not np.isin(y, (0, 1)).all():
        raise InputError("outcome holds values other than 0 and 1.")
    if not ((a > 0) & (a <= 1)).all():
        raise InputError("attention holds values outside 0 to 1, or 0. Leave out rows that nobody could see.")
    return p, y, a
