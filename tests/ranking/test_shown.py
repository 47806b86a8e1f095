"""Impressions become rows with the chance that they were looked at; what cannot be placed is left out."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns
from ltexpo.data.history import History
from ltexpo.ranking.shown import Shown

ITEMS = pd.DataFrame({Columns.Item: ["a", "b", "c"]})
ROWS = [
    # user, item, event, request, rank, propensity
    ("ann", "a", "impression", "r1", 1, 0.5),
    ("ann", "b", "impression", "r1", 2, 0.2),
    ("ann", "b", "click", "r1", np.nan, np.nan),
    ("ann", "b", "impression", "r2", 1, 0.4),  # shown again, not clicked there
    ("bob", "b", "impression", "r3", 3, 0.1),
    ("bob", "b", "impression", "r3", 3, 0.1),  # logged twice
    ("bob", "a", "click", "r3", np.nan, np.nan),  # never shown to him
    ("bob", "c", "impression", "r4", np.nan, 0.1),  # nobody knows where
    ("bob", "c", "impression", None, 2, 0.1),  # nobody knows in which list
    ("bob", "c", "click", None, np.nan, np.nan),
    ("eve", "c", "impression", "r5", 1, 0.3),  # not of this history
]


def _events() -> pd.DataFrame:
    names = [Columns.User, Columns.Item, Columns.Event, Columns.Request, Columns.Rank, Columns.Propensity]
    events = pd.DataFrame(ROWS, columns=names)
    return events.assign(**{Columns.Timestamp: pd.Timestamp("2026-01-01", tz="UTC")})


@pytest.fixture
def history() -> History:
    past = pd.DataFrame({
        Columns.User: ["ann", "bob"], Columns.Item: ["a", "b"], Columns.Event: "purchase",
        Columns.Timestamp: pd.to_datetime(["2025-12-01", "2025-12-02"], utc=True),
    })
    return History.of(ITEMS, past)


def test_by_hand(history: History):
    shown = Shown.of(_events(), history, (0.9, 0.6, 0.3))
    assert shown is not None
    assert shown.user.tolist() == [0, 0, 0, 1]
    assert shown.item.tolist() == [0, 1, 1, 1]
    assert shown.clicked.tolist() == [False, True, False, False]
    assert shown.examined.tolist() == [0.9, 0.6, 0.9, 0.3]
    assert shown.propensity is not None and shown.propensity.tolist() == [0.5, 0.2, 0.4, 0.1]
    some = shown.of_users(np.array([1]))
    assert some.item.tolist() == [1] and some.propensity is not None and some.propensity.tolist() == [0.1]


def test_propensities_that_are_partly_missing_are_not_used(history: History):
    events = _events()
    events.loc[0, Columns.Propensity] = np.nan
    shown = Shown.of(events, history, "log2")
    assert shown is not None and shown.propensity is None


def test_without_placed_impressions_there_are_none(history: History):
    events = _events()
    assert Shown.of(events.drop(columns=Columns.Rank), history, "log2") is None
    assert Shown.of(events.drop(columns=Columns.Request), history, "log2") is None
    assert Shown.of(events[events[Columns.Event] == "click"], history, "log2") is None
    assert Shown.of(events[events[Columns.User] == "eve"], history, "log2") is None
