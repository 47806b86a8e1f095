"""The bootstrap over users and two-way clusters, against formulas, loops and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import compare, compare_bootstrap, compare_two_way
from ltexpo.simulate.stats.bootstrap import weighted_ratio


def weighted_median(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(totals[:, 0])
    share = weights[:, order].cumsum(axis=1)
    return totals[order, 0][(share < share[:, -1:] / 2).sum(axis=1)]


def test_the_bootstrap_of_a_ratio_is_the_delta_method():
    rng = np.random.default_rng(0)
    views = rng.poisson(10, 800) + 1.0
    totals = np.stack([rng.poisson(0.2 * views).astype(float), views], axis=1)
    found = compare_bootstrap("ctr", weighted_ratio, totals[:400], totals[400:], runs=4_000, rng=1)
    exact = compare(
        "ctr", Ratio.of(*totals[:400].T, np.arange(400)), Ratio.of(*totals[400:].T, np.arange(400, 800))
    )
    assert found.difference == pytest.approx(exact.difference)
    assert found.error == pytest.approx(exact.error, rel=0.05)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.1 * exact.error)
    assert found.p_value == pytest.approx(exact.p_value, abs=0.03)
    assert (found.relative_low, found.relative_high) == pytest.approx(
        (exact.relative_low, exact.relative_high), abs=0.1 * (exact.relative_high - exact.relative_low)
    )
    assert found == compare_bootstrap("ctr", weighted_ratio, totals[:400], totals[400:], runs=4_000, rng=1)


def test_the_bootstrap_of_a_median_holds_its_level():
    rng, held = np.random.default_rng(2), []
    for n in range(400):
        a, b = rng.gamma(2, 1, 150) + 1.0, rng.gamma(2, 1, 150)
        found = compare_bootstrap("median", weighted_median, a, b, runs=300, rng=n)
        held.append(found.low <= 1.0 <= found.high)
    # The standard error of 95% is 1.1 points; percentiles of a median are a little wide.
    assert 0.92 < np.mean(held) <= 0.99


def test_worlds_without_a_value_are_counted():
    totals = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 2.0]])
    with np.errstate(invalid="ignore"):
        found = compare_bootstrap("ctr", weighted_ratio, totals, np.ones((50, 2)), runs=500)
    assert "worlds the statistic is not defined" in found.note
    assert np.isfinite(found.low)


def test_bad_bootstraps_are_refused():
    with np.errstate(invalid="ignore"), pytest.raises(TableError, match="the control has no users"):
        compare_bootstrap("ctr", weighted_ratio, np.ones((5, 2)), np.empty((0, 2)))
    with pytest.raises(ConfigError, match="at least 100"):
        compare_bootstrap("ctr", weighted_ratio, np.ones((5, 2)), np.ones((5, 2)), runs=10)


def rows(rng: np.random.Generator, n: int = 3_000, item_spread: float = 0.5):
    user, item = rng.integers(0, 200, n), rng.integers(0, 60, n)
    treated = user < 100
    value = rng.normal(0, 0.5, 200)[user] + rng.normal(0, item_spread, 60)[item] * treated + rng.normal(0, 1, n)
    return user, item, treated, value


def test_two_ways_are_the_sum_worked_by_loops():
    user, item, treated, value = rows(np.random.default_rng(0), 400)
    t, c = Ratio.mean(value[treated], user[treated]), Ratio.mean(value[~treated], user[~treated])
    found = compare_two_way("y", t, c, item[treated], item[~treated])
    influence = np.zeros(400)
    influence[treated], influence[~treated] = t.influence(), -c.influence()

    def variance(labels: list) -> float:
        groups = {label: sum(influence[n] for n in range(400) if labels[n] == label) for label in set(labels)}
        return len(groups) / (len(groups) - 1) * sum(total**2 for total in groups.values())

    pairs = list(zip(user, item, strict=True))
    assert found.error**2 == pytest.approx(variance(list(user)) + variance(list(item)) - variance(pairs))


def test_two_ways_are_statsmodels():
    user, item, treated, value = rows(np.random.default_rng(1))
    fitted = sm.OLS(value, sm.add_constant(treated.astype(float))).fit()
    theirs = sm.stats.sandwich_covariance.cov_cluster_2groups(fitted, user, item, use_correction=False)[0]
    t, c = Ratio.mean(value[treated], user[treated]), Ratio.mean(value[~treated], user[~treated])
    ours = compare_two_way("y", t, c, item[treated], item[~treated])
    # They leave the small-sample factors out, of which 60 items have the largest, 1.017.
    assert ours.error == pytest.approx(np.sqrt(theirs[1, 1]), rel=0.01)
    assert ours.difference == pytest.approx(fitted.params[1])


def test_two_ways_hold_for_other_items_where_users_alone_do_not():
    rng, both, alone = np.random.default_rng(2), [], []
    for _ in range(400):
        user, item, treated, value = rows(rng, item_spread=1.0)
        t, c = Ratio.mean(value[treated], user[treated]), Ratio.mean(value[~treated], user[~treated])
        both.append(compare_two_way("y", t, c, item[treated], item[~treated]).p_value < 0.05)
        alone.append(compare("y", t, c).p_value < 0.05)
    assert np.mean(both) < 0.09
    assert np.mean(alone) > 0.15


def test_items_that_add_nothing_leave_the_users():
    user, _, treated, value = rows(np.random.default_rng(3), 500)
    t, c = Ratio.mean(value[treated], user[treated]), Ratio.mean(value[~treated], user[~treated])
    every_row_its_own = np.arange(500)
    found = compare_two_way("y", t, c, every_row_its_own[treated], every_row_its_own[~treated])
    assert found.method.startswith("user clusters")
    # `compare` scales each arm by its own users, this one by both arms'.
    assert found.error == pytest.approx(compare("y", t, c).error, rel=0.01)


def test_every_row_needs_its_item():
    t = Ratio.mean([1.0, 2.0], np.array([0, 1]))
    with pytest.raises(TableError, match="the control has 2 rows and 1 items"):
        compare_two_way("y", t, Ratio.mean([1.0, 2.0], np.array([2, 3])), np.array([0, 1]), np.array([0]))
