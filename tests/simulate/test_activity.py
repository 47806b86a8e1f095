"""Visit rates from a log: by hand, and against rates that made it."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.errors import TableError
from ltexpo.simulate.activity import visit_rates
from ltexpo.simulate.segments import user_segments


def log(days_of: dict[str, list[int]]) -> pd.DataFrame:
    return pd.DataFrame([
        {"user_id": user, "item_id": "a", "event": "purchase", "price": 2.0,
         "timestamp": pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=day)}
        for user, days in days_of.items() for day in days
    ])


def test_rates_are_recovered_and_steadied():
    rng = np.random.default_rng(0)
    true = rng.gamma(2.0, 0.1, 2_000)
    days = {f"u{n:04d}": [0, *np.flatnonzero(rng.random(60) < 1 - np.exp(-rate)) + 1] for n, rate in enumerate(true)}
    users = pd.Index(sorted(days))
    found = visit_rates(users, log(days), until=None)
    came = 1 - np.exp(-true)
    assert found.mean() == pytest.approx(came.mean(), rel=0.03)
    raw = np.array([len(days[user]) - 1 for user in users]) / 60
    assert np.mean((found - came) ** 2) < np.mean((raw - came) ** 2)


def test_strangers_come_as_the_mean_does_and_a_single_event_tells_nothing_of_how_often():
    events = log({"a": [0, 5, 10], "b": [10], "c": [0, 2]})
    rates = visit_rates(pd.Index(["a", "b", "stranger"]), events, until=None)
    # Watched: a for 10 days with 2 returns; b from the last day on, which is no time at all.
    assert rates[1] == rates[2] == pytest.approx(2 / 10)
    with pytest.raises(TableError, match=r"behaviour\.visits_per_day"):
        visit_rates(pd.Index(["b"]), events, until=None)


def test_segments_are_fixed_before_the_test():
    events = log({"old": [0, 1, 2, 3], "late": [9], "after": [20]})
    items = pd.DataFrame({"item_id": ["a"], "title": ["A"]})
    users = pd.Index(["after", "late", "nobody", "old"])
    table = user_segments(users, events, items, until="2026-01-12")
    assert table.loc["after"].tolist() == table.loc["nobody"].tolist() == ["new", "none", "none"]
    assert table.loc["late", "tenure"] == "first week" and table.loc["old", "tenure"] == "earlier"
    assert table.loc["late", "activity"] == "low" and table.loc["old", "activity"] == "high"
    assert set(user_segments(users, None, items, until=None)["tenure"]) == {"new"}
