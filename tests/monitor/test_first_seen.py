import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns
from ltexpo.monitor.first_seen import first_shown, median_wait, waiting


def test_by_hand():
    # survival: 4/5 after 1, then (one leaves unseen at 2) 4/5 · 2/3 after 3, · 1/2 after 4
    median, low, high = median_wait([1, 2, 3, 4, 5], np.array([True, False, True, True, False]))
    assert median == 4
    assert low <= median <= high


def test_with_everything_seen_it_is_the_plain_median():
    rng = np.random.default_rng(0)
    days = rng.exponential(3, 1_001)
    median, low, high = median_wait(days, np.ones(1_001, bool))
    assert median == pytest.approx(np.median(days))
    assert low < 3 * np.log(2) < high


def test_with_less_than_half_seen_it_is_not_known():
    median, _, high = median_wait([1, 9, 9, 9], np.array([True, False, False, False]))
    assert median == np.inf and high == np.inf


def test_interval_covers():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        wait, leave = rng.exponential(2, 80), rng.uniform(0, 8, 80)
        _, low, high = median_wait(np.minimum(wait, leave), wait <= leave)
        covered += low <= 2 * np.log(2) <= high
    assert 0.91 < covered / 400 < 0.985


def test_waits_of_a_catalogue():
    end = pd.Timestamp("2026-03-10", tz="UTC")
    items = pd.DataFrame({
        Columns.Item: ["old", "seen", "waits", "late"],
        Columns.CreatedAt: pd.to_datetime(["2026-01-01", "2026-03-07", "2026-03-08", "2026-03-12"], utc=True),
    })
    events = pd.DataFrame({
        Columns.Item: ["seen", "seen", "late"], Columns.Event: ["impression", "impression", "click"],
        Columns.Timestamp: pd.to_datetime(["2026-03-09T00:00", "2026-03-08T12:00", "2026-03-09T00:00"], utc=True),
    })
    found = waiting(items, first_shown(events), end=end, since=pd.Timestamp("2026-02-10", tz="UTC"))
    assert found is not None
    assert (found.items, found.shown, found.median) == (2, 1, 1.5)
    assert waiting(items[[Columns.Item]], first_shown(events), end=end, since=end) is None
