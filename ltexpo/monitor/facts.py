"""One day's events → what they say by themselves: volume, faults, demand, clicks per request."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.schema import EVENTS
from ltexpo.metrics.intervals import ratio_estimate
from ltexpo.metrics.small_groups import OTHERS, merge_small
from ltexpo.monitor.catalogue import Catalogue
from ltexpo.monitor.rows import ALL, Row
from ltexpo.monitor.shown import Shown, shown_lists

VOLUME, REQUESTS, USERS, DEMAND = "events", "requests", "users", "demand"
DUPLICATES, UNKNOWN, GAPS = "duplicate events", "events of unknown items", "events without a value"
EARLY, FUTURE, NOT_PUBLISHED = "clicks before their impression", "events from the future", "slots not as published"
RATES = {
    "clicks per request": EventKind.Click, "carts per request": EventKind.Cart,
    "purchases per request": EventKind.Purchase,
}
CLICK_RATE = "clicks per impression"


@dataclass(frozen=True)
class Facts:
    """A day by itself."""

    rows: list[Row]
    shown: Shown | None
    """The lists shown, where the log tells."""
    demand: dict[str, float]
    """Interactions by cell of the catalogue, of however few users: to compare with, never to write."""


def day_facts(
    day: str, events: pd.DataFrame, catalogue: Catalogue, *, level: float, least_users: int
) -> "Facts":
    """What the day's `events` (unknown items included) say.

    Rates of fewer than `least_users` users are left out, and so is demand; groups of fewer are merged.
    """
    n = len(events)
    rows = [
        Row(day, VOLUME, str(kind), float(count))
        for kind, count in events[Columns.Event].value_counts().sort_index().items()
    ]
    users = int(events[Columns.User].nunique())
    rows.append(Row(day, USERS, value=float(users)))
    if not n:
        return Facts(rows, None, {})
    codes = catalogue.codes(events[Columns.Item])
    rows.append(Row(day, UNKNOWN, value=float((codes < 0).mean()), n=n))
    rows.append(Row(day, DUPLICATES, value=_repeats(events) / n, n=n))
    rows += _gaps(day, events)
    known = events[codes >= 0]
    shown = shown_lists(known)
    demand: dict[str, float] = {}
    if users >= least_users:
        found, demand = _demand(day, known, codes[codes >= 0], catalogue, least_users)
        rows += found
    if shown is not None:
        rows.append(Row(day, REQUESTS, value=float(shown.n_requests)))
        rows += _early(day, known)
        if shown.n_users >= least_users:
            rows += _rates(day, shown, level)
    return Facts(rows, shown, demand)


def _repeats(events: pd.DataFrame) -> int:
    """Rows that equal an earlier one in every column."""
    alike = events[events.duplicated([Columns.Timestamp, Columns.User, Columns.Item, Columns.Event], keep=False)]
    try:
        return int(alike.duplicated().sum())
    except TypeError:  # a column of lists
        return int(alike.astype(str).duplicated().sum())


def _gaps(day: str, events: pd.DataFrame) -> list[Row]:
    """Share of each kind of event that lacks a value, by column: "impression.rank"."""
    rows = []
    optional = [column for column in events.columns if column not in EVENTS.required]
    for kind, part in events.groupby(Columns.Event, sort=True):
        for column in optional:
            rows.append(Row(day, GAPS, f"{kind}.{column}", float(part[column].isna().mean()), n=len(part)))
    return rows


def _demand(
    day: str, events: pd.DataFrame, codes: npt.NDArray[np.int64], catalogue: Catalogue, least_users: int
) -> tuple[list[Row], dict[str, float]]:
    """Shares of interactions by cell of the catalogue, small cells merged; and the plain counts of all cells."""
    wanted = events[Columns.Event].isin(EventKind.Interactions).to_numpy(bool)
    rows: list[Row] = []
    plain: dict[str, float] = {}
    users: pd.Series[Any] = events.loc[wanted, Columns.User].reset_index(drop=True)
    for column, cells in catalogue.cells.items():
        own: pd.Series[Any] = pd.Series(cells.to_numpy(object)[codes[wanted]])
        if own.empty:
            continue
        named, _ = merge_small(own, users=users, least=least_users, name=OTHERS)
        plain |= {f"{column}={cell}": float(count) for cell, count in own.value_counts().items()}
        rows += [
            Row(day, DEMAND, f"{column}={cell}", float(share), n=len(own))
            for cell, share in named.value_counts(normalize=True).sort_index().items()
        ]
    return rows, plain


def _early(day: str, events: pd.DataFrame) -> list[Row]:
    """Clicks that stand before the impression they belong to: two clocks that differ."""
    key, columns = [Columns.Request, Columns.Item], [Columns.Request, Columns.Item, Columns.Timestamp]
    seen = events.loc[events[Columns.Event] == EventKind.Impression, columns].dropna()
    clicks = events.loc[events[Columns.Event] == EventKind.Click, columns].dropna()
    if clicks.empty or seen.empty:
        return []
    both = clicks.merge(seen.drop_duplicates(key), on=key, suffixes=("", "_seen"))
    if both.empty:
        return []
    early = both[Columns.Timestamp] < both[f"{Columns.Timestamp}_seen"]
    return [Row(day, EARLY, value=float(early.mean()), n=len(both))]


def _rates(day: str, shown: Shown, level: float) -> list[Row]:
    """Clicks (carts, purchases) per request and clicks per impression, with intervals over users."""
    owner = np.zeros(shown.n_requests, np.int64)
    owner[shown.request] = shown.user
    requests = np.bincount(owner, minlength=shown.n_users)
    rows = []
    for rate, kind in RATES.items():
        done = shown.actions[kind]
        if kind != EventKind.Click and not done.any():
            continue
        made = np.bincount(shown.user, weights=done, minlength=shown.n_users)
        rows.append(_rate(day, rate, made, requests, level, shown.n_requests))
    clicks = np.bincount(shown.user, weights=shown.clicked, minlength=shown.n_users)
    slots = np.bincount(shown.user, minlength=shown.n_users)
    return [*rows, _rate(day, CLICK_RATE, clicks, slots, level, len(shown))]


def _rate(
    day: str, name: str, made: npt.NDArray[Any], of: npt.NDArray[Any], level: float, n: int
) -> Row:
    there = of > 0
    found = ratio_estimate(made[there], of[there], level=level)
    return Row(day, name, ALL, found.value, found.low, found.high, error=found.error, n=n)
