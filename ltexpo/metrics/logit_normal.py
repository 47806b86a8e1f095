"""Mean and spread of a probability ↔ the logit-normal that has them: σ(μ + τ Z), Z standard normal.

A probability that is only known to about a factor is neither a normal (which leaves 0 to 1) nor even around its mean;
its log-odds mostly are. The moments have no closed form, so they are tabulated once by Gauss–Hermite quadrature.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

Floats = npt.NDArray[np.float64]

LARGEST_TAU = 5.0
_ENDS, _STEP, _TAU_STEP = 16.0, 0.1, 0.05
_HALVINGS = 45


def quadrature(n: int) -> tuple[Floats, Floats]:
    """`n` nodes and weights of an expectation over Z (Gauss–Hermite)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return np.asarray(nodes), np.asarray(weights / weights.sum())


def location(mean: npt.ArrayLike, tau: npt.ArrayLike) -> Floats:
    """μ (n,) with E σ(μ + τ Z) = `mean` (n,), in (0, 1); `tau` (n,) or one, 0 to 5."""
    where = np.clip(logit(np.asarray(mean, dtype=np.float64)), -_ENDS, _ENDS)
    return np.asarray(where + _at(_tables().shift, where, np.asarray(tau, dtype=np.float64)))


def std(mean: npt.ArrayLike, tau: npt.ArrayLike) -> Floats:
    """Standard deviation (n,) of the logit-normal with this mean and τ."""
    mean, tau = np.asarray(mean, dtype=np.float64), np.asarray(tau, dtype=np.float64)
    where = np.clip(logit(mean), -_ENDS, _ENDS)
    return np.asarray(tau * np.exp(_at(_tables().log_ratio, where, tau)) * mean * (1 - mean))


def tau_of(mean: npt.ArrayLike, spread: npt.ArrayLike) -> Floats:
    """τ (n,) of the logit-normal with this mean and standard deviation `spread`; at most 5."""
    mean, spread = np.broadcast_arrays(np.asarray(mean, dtype=np.float64), np.asarray(spread, dtype=np.float64))
    low, high = np.zeros(mean.shape), np.full(mean.shape, LARGEST_TAU)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        under = std(mean, middle) < spread
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray(np.where(spread > 0, (low + high) / 2, 0.0))


class _Tables(NamedTuple):
    """Over logit(mean) × τ."""

    shift: Floats
    """μ − logit(mean)"""
    log_ratio: Floats
    """log(standard deviation / (τ · mean · (1 − mean))), which is 0 for small τ"""


@cache
def _tables() -> _Tables:
    where = np.arange(-_ENDS, _ENDS + _STEP / 2, _STEP)
    taus = np.arange(0, LARGEST_TAU + _TAU_STEP / 2, _TAU_STEP)
    mus = np.arange(-2 * _ENDS, 2 * _ENDS + 0.02, 0.04)
    shift, log_ratio = np.zeros((len(where), len(taus))), np.zeros((len(where), len(taus)))
    mean, (nodes, weights) = expit(where), quadrature(63)
    for column, tau in enumerate(taus[1:], start=1):
        each = expit(mus[:, None] + tau * nodes)
        mu = np.interp(where, logit(each @ weights), mus)
        shift[:, column] = mu - where
        variance = np.square(expit(mu[:, None] + tau * nodes) - mean[:, None]) @ weights
        log_ratio[:, column] = np.log(np.sqrt(variance) / (tau * mean * (1 - mean)))
    return _Tables(shift, log_ratio)


def _at(table: Floats, where: Floats, tau: Floats) -> Floats:
    """`table` between its grid points, linear in both directions."""
    row = (where + _ENDS) / _STEP
    column = np.clip(tau, 0, LARGEST_TAU) / _TAU_STEP
    up = np.minimum(row.astype(np.int64), table.shape[0] - 2)
    left = np.minimum(column.astype(np.int64), table.shape[1] - 2)
    down, right = row - up, column - left
    above = table[up, left] * (1 - right) + table[up, left + 1] * right
    below = table[up + 1, left] * (1 - right) + table[up + 1, left + 1] * right
    return np.asarray(above * (1 - down) + below * down)
