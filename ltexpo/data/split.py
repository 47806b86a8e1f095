"""Events → training events and later test events that never leak into them."""

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.errors import SplitError


@dataclass(frozen=True)
class Split:
    """Training and test events; for a time split the latest training event is before the first test event."""

    train: pd.DataFrame
    test: pd.DataFrame


def as_utc(moment: str | dt.date | pd.Timestamp) -> pd.Timestamp:
    """`moment` as a UTC timestamp; a date means its midnight."""
    try:
        stamp = pd.Timestamp(moment)
    except ValueError as error:
        raise SplitError(f"'{moment}' is not a date or time. Write it like 2024-05-31.") from error
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def time_split(events: pd.DataFrame, since: str | dt.date, until: str | dt.date | None = None) -> Split:
    """Training = before `since`; test = from `since` up to, not including, `until` (none: the end)."""
    first = as_utc(since)
    times = events[Columns.Timestamp]
    in_test = times >= first
    if until is not None:
        last = as_utc(until)
        if last <= first:
            raise SplitError(f"the test period ends ({last:%Y-%m-%d %H:%M}) before it begins ({first:%Y-%m-%d %H:%M}).")
        in_test &= times < last
    split = Split(events[times < first], events[in_test])
    span = f"events run from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"
    if split.train.empty:
        raise SplitError(f"no event before {first:%Y-%m-%d %H:%M} to train on; {span}. Choose a later date.")
    if split.test.empty:
        raise SplitError(f"no event from {first:%Y-%m-%d %H:%M} on to test with; {span}. Choose an earlier date.")
    refuse_leak(split.train, split.test)
    return split


def leave_last_out(events: pd.DataFrame) -> Split:
    """Test = each user's last interaction; users with a single one stay in training whole.

    This is the common protocol for sequential recommendation. It leaks across users by construction (one user's
    training events can be later than another's test event), which `time_split` avoids.
    """
    acted = events[events[Columns.Event].isin(EventKind.Interactions)]
    ordered = acted.sort_values([Columns.User, Columns.Timestamp], kind="stable")
    is_last = ~ordered.duplicated(Columns.User, keep="last")
    has_more = ordered.duplicated(Columns.User, keep=False)
    test = ordered[is_last & has_more]
    if test.empty:
        raise SplitError("no user has two interactions, so none can be left out. Use a time split.")
    train = events.drop(index=test.index)
    # Per user, nothing after the held-out event may remain, impressions included.
    cut = train[Columns.User].map(test.set_index(Columns.User)[Columns.Timestamp])
    return Split(train[cut.isna() | (train[Columns.Timestamp] <= cut)], test)


def refuse_leak(train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Raise `SplitError` unless the latest training event is before the first test event."""
    latest, first = train[Columns.Timestamp].max(), test[Columns.Timestamp].min()
    if latest >= first:
        raise SplitError(
            f"the future leaks into training: its latest event ({latest}) is not before the first test event ({first})."
        )
