"""When items arrived and were first shown → how long a new item waits, those still waiting included."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ltexpo.columns import Columns, EventKind

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Waiting:
    """Median days from arrival to the first exposure; infinite where fewer than half have been shown in time."""

    median: float
    low: float
    high: float
    items: int
    shown: int


def first_shown(events: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """item_id → the moment of its first impression."""
    seen = events[events[Columns.Event] == EventKind.Impression]
    first: pd.Series[pd.Timestamp] = seen.groupby(Columns.Item)[Columns.Timestamp].min()
    return first


def waiting(
    items: pd.DataFrame, first: "pd.Series[pd.Timestamp]", *, end: pd.Timestamp, since: pd.Timestamp,
    level: float = 0.95,
) -> Waiting | None:
    """Items created from `since` up to `end`, the moment one looks; None where the catalogue does not say when, or
    nothing is new. `first`: item_id → first impression.

    The Kaplan–Meier estimate (1958): an item not shown by `end` has waited at least so long. The interval holds the
    days at which the log(−log) interval of the survival contains one half (Brookmeyer & Crowley 1982).
    """
    if Columns.CreatedAt not in items.columns:
        return None
    created = items[Columns.CreatedAt]
    new = items[(created >= since) & (created < end)]
    if new.empty:
        return None
    seen = pd.to_datetime(new[Columns.Item].map(first), utc=True)
    shown = (seen < end).to_numpy(bool)
    stop = seen.where(seen < end, end)
    days = np.maximum((stop - new[Columns.CreatedAt]).dt.total_seconds().to_numpy(np.float64) / 86_400, 0.0)
    median, low, high = median_wait(days, shown, level=level)
    return Waiting(median, low, high, len(new), int(shown.sum()))


def median_wait(
    days: npt.ArrayLike, shown: npt.NDArray[np.bool_], *, level: float = 0.95
) -> tuple[float, float, float]:
    """Kaplan–Meier median of `days` (n,), which ended in an exposure where `shown` (n,), with its interval."""
    waited = np.asarray(days, dtype=np.float64)
    order = np.argsort(waited, kind="stable")
    at, exits = np.unique(waited[order], return_counts=True)
    events = np.bincount(np.searchsorted(at, waited), weights=shown, minlength=len(at))
    at_risk = len(waited) - np.concatenate([[0], np.cumsum(exits)[:-1]])
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(np.where(at_risk > events, events / (at_risk * (at_risk - events)), np.inf))
        middle = np.log(-np.log(survival))
        half = float(ndtri(0.5 + level / 2)) * np.sqrt(greenwood) / np.abs(np.log(survival))
        lower = np.exp(-np.exp(middle + half))
        upper = np.exp(-np.exp(middle - half))
    # where the curve is still 1 or already 0 it has no error to speak of
    certain = (survival >= 1) | (survival <= 0)
    lower, upper = np.where(certain, survival, lower), np.where(certain, survival, upper)
    return _crossing(at, survival), _crossing(at, lower), _crossing(at, upper)


def _crossing(at: Array, curve: Array) -> float:
    below = np.flatnonzero(curve <= 0.5)
    return float(at[below[0]]) if len(below) else float("inf")
