"""Counts in cells today and on reference days → the population stability index, and whether it is more than noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtri, fdtri

Array = npt.NDArray[np.float64]

_LEAST = 5.0
"""Cells in which fewer are expected are put together, as for every χ²."""
_SHARE = 0.05
"""Neighbouring cells of scores are put together up to this share of the reference."""


@dataclass(frozen=True)
class Drift:
    """A population stability index and what it stays under when nothing changed."""

    index: float
    noise: float
    """Exceeded by mistake with the stated chance only."""
    cells: int


def stability_index(today: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """PSI = Σ_b (p_b − q_b) ln(p_b / q_b) of the shares p today and q before, from counts (B,).

    The symmetrised Kullback–Leibler divergence (Jeffreys 1946) as credit scoring uses it (Siddiqi 2006, "Credit Risk
    Scorecards"). Half a count is added to every cell, so that an empty one is no infinity.
    """
    p, q = (_shares(counts) for counts in (today, reference))
    return float(((p - q) * np.log(p / q)).sum())


def drift(today: npt.ArrayLike, reference: npt.ArrayLike, *, chance: float, census: bool = False) -> Drift:
    """Counts today (B,) against those of reference days (D, B).

    Of multinomial samples of N and M, PSI · N M / (N + M) is χ² with B − 1 degrees of freedom when nothing changed
    (Yurdakul & Naranjo 2020, "Statistical properties of the population stability index"). People and days make counts
    vary more: by the dispersion φ, Pearson's χ² of the reference days among themselves over its degrees of freedom, at
    least 1, so that the limit is φ (1/N + 1/M) (B − 1) times the quantile of F with B − 1 and (D − 1)(B − 1). A
    `census`, such as a whole catalogue, is no sample: for it φ is 1, and of the χ² only the size of the cells is asked.
    """
    counts, days = np.asarray(today, dtype=np.float64), np.atleast_2d(np.asarray(reference, dtype=np.float64))
    pooled = days.sum(axis=0)
    n, m = counts.sum(), pooled.sum()
    small = (pooled / max(m, 1.0)) * n < _LEAST
    if small.any():
        counts, days = _merged(counts[None], small)[0], _merged(days, small)
        pooled = days.sum(axis=0)
    cells = len(counts)
    if cells < 2 or n <= 0 or m <= 0:
        return Drift(0.0, np.inf, cells)
    expected = np.outer(days.sum(axis=1), pooled / m)
    free = (len(days) - 1) * (cells - 1)
    filled = expected > 0
    pearson = float((np.square(days - expected)[filled] / expected[filled]).sum())
    if census:
        dispersion, quantile = 1.0, float(chdtri(cells - 1, chance)) / (cells - 1)
    else:
        dispersion, quantile = max(1.0, pearson / max(free, 1)), float(fdtri(cells - 1, max(free, 1), 1 - chance))
    noise = dispersion * (1 / n + 1 / m) * (cells - 1) * quantile
    return Drift(stability_index(counts, pooled), float(noise), cells)


def price_cells(prices: "pd.Series[Any]") -> "pd.Series[Any]":
    """Each price's cell: from one power of 2 to the next; a gap stays a gap."""
    numbers = pd.to_numeric(prices, errors="coerce").to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.floor(np.log2(numbers))
    power = np.where(np.isfinite(power), power, -99)
    codes, levels = pd.factorize(power)
    names = [f"{2.0 ** level:g} to {2.0 ** (level + 1):g}" if level > -99 else "0" for level in levels]
    cells = pd.Series(np.asarray(names, dtype=object)[codes], index=prices.index)
    return cells.where(np.isfinite(numbers), None)


def score_cells(scores: Array) -> npt.NDArray[np.int64]:
    """Each score's cell: quarter powers of 2 of its size, with its sign; always the same, so that days compare."""
    size = np.abs(scores)
    with np.errstate(divide="ignore"):
        power = np.clip(np.floor(4 * np.log2(size)), -199, 199) + 200
    cells: npt.NDArray[np.int64] = np.where(size > 0, np.sign(scores) * power, 0).astype(np.int64)
    return cells


def merge_neighbours(reference: Array, *tables: Array) -> tuple[Array, ...]:
    """Columns of ordered cells (…, B) put together until each holds `_SHARE` of `reference` (B,)."""
    share = reference / max(float(reference.sum()), 1.0)
    starts, held = [0], 0.0
    for place, part in enumerate(share):
        if held >= _SHARE:
            starts.append(place)
            held = 0.0
        held += part
    if held < _SHARE and len(starts) > 1:
        starts.pop()
    return tuple(np.add.reduceat(table, starts, axis=-1) for table in tables)


def _shares(counts: npt.ArrayLike) -> Array:
    filled = np.asarray(counts, dtype=np.float64) + 0.5
    shares: Array = filled / filled.sum()
    return shares


def _merged(tables: Array, small: npt.NDArray[np.bool_]) -> Array:
    merged: Array = np.column_stack([tables[:, ~small], tables[:, small].sum(axis=1)])
    return merged
