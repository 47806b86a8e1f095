"""A rate on each day → whether, and since when, it is proven to have changed, looked at every day."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, stdtrit

from ltexpo.simulate.stats.sequence import sequence_multiples

Array = npt.NDArray[np.float64]

_PLANNED = 7
"""The sequences are narrowest after so many days."""


@dataclass(frozen=True)
class Watched:
    """The strongest of the sequences that run today; all of ± infinity where none can be judged yet."""

    change: float
    """Relative change of the days since `since` against the days before; 0 where nothing is known."""
    low: float
    high: float
    since: int | None
    """Place of the first day of the sequence."""
    reference: int
    """Days it is compared with."""


def watch(
    values: npt.ArrayLike,
    errors: npt.ArrayLike,
    *,
    usable: npt.NDArray[np.bool_],
    chance: float,
    window: int,
    reference: int,
    least: int,
    first: int = 0,
    falls: bool = True,
    rises: bool = False,
) -> Watched:
    """Rates (n,) of successive days, the last is today, with their standard errors within a day (n,).

    On each of the last `window` days a confidence sequence of the mean change since that day was begun, on the log
    scale, against the up to `reference` usable days before it (at least `least`); not before the day `first`. A change
    is proven when any of them leaves 0 (or a margin): with a new sequence of error `chance` a day this happens by
    mistake at most once in 1 / `chance` days (Shekhar & Ramdas 2024, "Reducing sequential change detection to
    sequential estimation", arXiv 2309.09111). The sequences are those of `ltexpo.simulate.stats.sequence`, whose clock
    is the information; their noise is the variance between the reference days, for which the multiple of the standard
    error is that of Student's t with the same tail, and what a day of less traffic adds within itself.

    Returned is the one with the strongest proof: of a fall, of a rise, or of either.
    """
    y, within = _logs(values), np.asarray(errors, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.where(np.isfinite(within), within / np.asarray(values, dtype=np.float64), 0.0)
    within = np.where(np.isfinite(within), within, 0.0)
    known = np.isfinite(y)
    today = len(y) - 1
    found = Watched(0.0, -np.inf, np.inf, None, 0)
    if today < 0 or not known[today]:
        return found
    strongest = -np.inf
    for start in range(max(first, today - window + 1), today + 1):
        before = np.flatnonzero(usable[:start] & known[:start])[-reference:]
        days = start + np.flatnonzero(known[start:])
        if len(before) < least or not len(days):
            continue
        spread = float(np.var(y[before], ddof=1))
        extra = np.maximum(np.square(within[days]) - float(np.square(within[before]).mean()), 0.0)
        n = np.arange(1, len(days) + 1)
        change = y[days].cumsum() / n - float(y[before].mean())
        error = np.sqrt(spread / n + extra.cumsum() / n**2 + spread / len(before))
        if not error[-1] > 0:
            continue
        planned = np.sqrt(spread / _PLANNED + spread / len(before))
        multiple = float(sequence_multiples(error, planned_error=max(float(planned), 1e-12), level=1 - chance)[-1])
        half = _student(multiple, len(before) - 1) * float(error[-1])
        low, high = float(change[-1]) - half, float(change[-1]) + half
        proof = max([-high] * falls + [low] * rises)
        if proof > strongest:
            strongest = proof
            with np.errstate(over="ignore"):
                told = np.expm1([change[-1], low, high])
            found = Watched(float(told[0]), float(told[1]), float(told[2]), start, len(before))
    return found


def _logs(values: npt.ArrayLike) -> Array:
    """Logarithms; nothing at all counts as a hundredth of the least there was, so that it is a fall and no gap."""
    rates = np.asarray(values, dtype=np.float64)
    above = rates[rates > 0]
    floor = above.min() / 100 if len(above) else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Array = np.log(np.where(rates == 0, floor, rates))
    return logs


def _student(multiple: float, free: int) -> float:
    """The quantile of Student's t whose tail is that of the normal beyond `multiple`."""
    tail = float(np.exp(log_ndtr(-multiple)))
    return float(-stdtrit(free, max(tail, 1e-300)))
