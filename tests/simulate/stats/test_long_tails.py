"""Metrics of which a few users hold much: studentised permutations, and caps fixed before."""

import numpy as np
import pytest

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import Cap, compare, compare_studentised


def ratio(values: np.ndarray, first: int) -> Ratio:
    return Ratio.mean(values, np.arange(first, first + len(values)))


def spend(rng: np.random.Generator, n: int) -> np.ndarray:
    return (rng.random(n) < 0.1) * rng.pareto(1.5, n) * 20


def test_all_assignments_of_few_users_by_hand():
    # 0, 1, 2 against 6, 7, 8: of the 20 ways to draw three of six only the real one and its mirror are as far apart.
    found = compare_studentised("y", ratio(np.array([6.0, 7, 8]), 0), ratio(np.array([0.0, 1, 2]), 3), runs=9_999)
    assert found.p_value == pytest.approx(0.1, abs=0.012)
    # Nothing drawn lies further out than the real arms, so that the bound falls on 0.
    assert found.low == pytest.approx(0, abs=1e-6)
    assert found.high == pytest.approx(12, abs=1e-6)


def test_the_rate_is_kept_where_students_falls_short():
    rng, exact, plain = np.random.default_rng(0), [], []
    for n in range(1_500):
        t, c = ratio(spend(rng, 60), 0), ratio(spend(rng, 60), 60)
        exact.append(compare_studentised("spend", t, c, runs=99, rng=n).p_value <= 0.05)
        plain.append(compare("spend", t, c).p_value <= 0.05)
    # The standard error of a 5% rate is 0.56 points.
    assert 0.035 < np.mean(exact) < 0.067
    assert np.mean(plain) < 0.03


def test_without_a_tail_it_is_the_delta_method():
    rng = np.random.default_rng(1)
    views = rng.poisson(10, 600) + 1.0
    clicks = rng.poisson(0.2 * views).astype(float)
    t, c = Ratio.of(clicks[:200], views[:200], np.arange(200)), Ratio.of(clicks[200:], views[200:], np.arange(200, 600))
    found, plain = compare_studentised("ctr", t, c, runs=4_999, rng=2), compare("ctr", t, c)
    assert found.p_value == pytest.approx(plain.p_value, abs=0.03)
    assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.05)
    assert found.relative_high - found.relative_low == pytest.approx(plain.relative_high - plain.relative_low, rel=0.05)
    assert found == compare_studentised("ctr", t, c, runs=4_999, rng=2)


def test_rows_of_a_user_stay_together():
    rng = np.random.default_rng(3)
    values = rng.gamma(1, 1, 40)
    t, c = ratio(values[:20], 0), ratio(values[20:], 20)
    split = Ratio.of(np.repeat(values[:20] / 2, 2), np.full(40, 0.5), np.repeat(np.arange(20), 2))
    whole, halves = (compare_studentised("y", arm, c, runs=499, rng=4) for arm in (t, split))
    assert halves.p_value == whole.p_value
    assert halves.high == pytest.approx(whole.high)


def test_a_constant_metric_needs_no_permutation():
    found = compare_studentised("k", ratio(np.ones(3), 0), ratio(np.ones(3), 3))
    assert (found.p_value, found.method) == (1, "delta method")
    with pytest.raises(ConfigError, match="runs"):
        compare_studentised("k", ratio(np.ones(3), 0), ratio(np.ones(3), 3), runs=10)


def test_a_cap_from_before_says_what_it_takes():
    cap = Cap.of(np.arange(1001.0), quantile=0.99)
    assert cap.limit == 990
    assert cap.apply([1, 2000]).tolist() == [1, 990]
    assert cap.says([1, 2000, 999]) == "capped at 990: 2 of 3 users, 34.0% of the sum"
    with pytest.raises(ConfigError, match="quantile"):
        Cap.of([1.0], quantile=99)
    with pytest.raises(TableError, match="finite values"):
        Cap.of([])
