import numpy as np
import pytest
from scipy import stats

from ltexpo.monitor.expected import expected_count


def test_by_hand_without_weekdays():
    # five days are too few for weekdays: the plain prediction interval on the square-root scale
    counts = np.array([90.0, 100.0, 110.0, 95.0, 105.0])
    y = 2 * np.sqrt(counts + 3 / 8)
    half = stats.t.ppf(0.995, 4) * max(y.std(ddof=1), 1.0) * np.sqrt(1 + 1 / 5)
    found = expected_count(counts, np.arange(5), 5, chance=0.01)
    assert found.middle == pytest.approx((y.mean() / 2) ** 2 - 3 / 8)
    assert found.low == pytest.approx(((y.mean() - half) / 2) ** 2 - 3 / 8)
    assert found.high == pytest.approx(((y.mean() + half) / 2) ** 2 - 3 / 8)


def test_weekends_are_compared_with_weekends():
    weekdays = np.arange(28) % 7
    counts = np.where(weekdays >= 5, 2_000.0, 1_000.0)
    saturday = expected_count(counts, weekdays, 5, chance=0.001)
    monday = expected_count(counts, weekdays, 0, chance=0.001)
    assert saturday.middle == pytest.approx(2_000) and monday.middle == pytest.approx(1_000)
    assert monday.high < 2_000 and saturday.low > 1_000


def test_small_counts_are_at_least_as_noisy_as_poisson():
    found = expected_count(np.full(28, 4.0), np.arange(28) % 7, 0, chance=0.001)
    assert found.low == 0 and found.high > 12


def test_covers_as_stated():
    rng = np.random.default_rng(0)
    weekdays = np.arange(28) % 7
    level = np.where(weekdays >= 5, 900.0, 600.0)
    outside = 0
    for _ in range(1_500):
        rate = np.append(level, 600.0) * rng.lognormal(0, 0.05, 29)
        counts = rng.poisson(rate)
        found = expected_count(counts[:28], weekdays, 0, chance=0.05)
        outside += not found.low <= counts[28] <= found.high
    assert 0.035 < outside / 1_500 < 0.068
