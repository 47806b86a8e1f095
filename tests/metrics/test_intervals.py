import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ltexpo.metrics.intervals import Ratio, difference, estimate, mean_estimate, ratio_estimate


def test_mean_of_single_rows_is_the_ordinary_t_interval():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = mean_estimate(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.value == 4.0
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.n, found.clusters) == (4, 4)


def test_clustered_mean_by_hand():
    # Users A (0, 1) and B (1): mean 2/3; residual sums A: 1 − 4/3 = −1/3, B: 1/3; variance 2/1 · 2/9 / 3² = 4/81.
    found = mean_estimate([0.0, 1.0, 1.0], np.array(["A", "A", "B"]))
    assert found.value == pytest.approx(2 / 3)
    assert found.error == pytest.approx(2 / 9)
    assert found.high - found.value == pytest.approx(2 / 9 * stats.t.ppf(0.975, 1))
    assert found.clusters == 2


def test_ratio_by_hand():
    # 3 / 6; residuals 1 − 0.5·4 = −1 and 2 − 0.5·2 = 1; variance 2/1 · 2 / 6² = 1/9.
    found = ratio_estimate([1.0, 2.0], [4.0, 2.0])
    assert (found.value, found.error) == pytest.approx((0.5, 1 / 3))


def test_difference_of_disjoint_clusters_adds_variances():
    treatment = Ratio.mean([1.0, 3.0, 5.0], np.array(["a", "b", "c"]))
    control = Ratio.mean([0.0, 2.0, 7.0], np.array(["d", "e", "f"]))
    found = difference(treatment, control)
    # 6 clusters instead of 3 + 3, so the small-sample factor is 6/5 instead of 3/2.
    apart = np.hypot(estimate(treatment).error, estimate(control).error) * np.sqrt((6 / 5) / (3 / 2))
    assert found.value == 0.0
    assert found.error == pytest.approx(apart)


def test_paired_difference_equals_the_mean_of_differences():
    rng = np.random.default_rng(1)
    before = rng.normal(size=50)
    after = before + 0.1 + 0.05 * rng.normal(size=50)
    users = np.arange(50)
    paired, direct = difference(Ratio.mean(after, users), Ratio.mean(before, users)), mean_estimate(after - before)
    assert (paired.value, paired.error, paired.n) == pytest.approx((direct.value, direct.error, 50))


def test_identical_arms_differ_by_exactly_nothing():
    arm = Ratio.of([1.0, 2.0, 0.0], [3.0, 2.0, 4.0], np.array(["x", "x", "y"]))
    found = difference(arm, arm)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_one_cluster_or_no_denominator_has_no_interval():
    one = mean_estimate([1.0, 0.0], np.array(["A", "A"]))
    assert one.value == 0.5
    assert np.isnan([one.error, one.low, one.high]).all()
    none = ratio_estimate([0.0, 0.0], [0.0, 0.0])
    assert np.isnan(none.value)
    assert np.isnan(mean_estimate([]).value)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(0.1, 5), st.integers(0, 4)), min_size=3, max_size=30
    ),
    st.randoms(use_true_random=False),
)
def test_matches_a_loop_over_clusters_in_any_row_order(rows, random):
    def by_loop(rows):
        total = sum(den for _, den, _ in rows)
        value = sum(num for num, _, _ in rows) / total
        users = {user for _, _, user in rows}
        if len(users) < 2:
            return value, float("nan")
        squares = 0.0
        for user in users:
            squares += (sum(num - value * den for num, den, owner in rows if owner == user) / total) ** 2
        return value, (len(users) / (len(users) - 1) * squares) ** 0.5

    value, error = by_loop(rows)
    random.shuffle(rows)
    found = ratio_estimate([r[0] for r in rows], [r[1] for r in rows], np.array([r[2] for r in rows]))
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.error == pytest.approx(error, abs=1e-9, nan_ok=True)


def _clustered(rng, users=60):
    """Lists per user vary, and a user's lists share a taste: rows within a user are strongly correlated."""
    counts = rng.integers(1, 8, users)
    taste = np.repeat(rng.normal(size=users), counts)
    owner = np.repeat(np.arange(users), counts)
    values = 1.0 + taste + 0.5 * rng.normal(size=len(owner))
    weights = rng.uniform(0.5, 1.5, len(owner))
    return values, weights, owner


def test_interval_over_users_covers_the_truth_at_its_rate():
    rng = np.random.default_rng(20)
    runs, covered, covered_ratio, covered_paired, covered_naive = 2000, 0, 0, 0, 0
    for _ in range(runs):
        values, weights, owner = _clustered(rng)
        mean, naive = mean_estimate(values, owner), mean_estimate(values)
        ratio = ratio_estimate(values * weights, weights, owner)
        shifted = Ratio.mean(values + 0.2 + 0.3 * rng.normal(size=60)[owner], owner)
        paired = difference(shifted, Ratio.mean(values, owner))
        covered += mean.low <= 1.0 <= mean.high
        covered_ratio += ratio.low <= 1.0 <= ratio.high
        covered_paired += paired.low <= 0.2 <= paired.high
        covered_naive += naive.low <= 1.0 <= naive.high
    for count in (covered, covered_ratio, covered_paired):
        assert 0.93 <= count / runs <= 0.97
    # The interval that takes lists as independent must fail here, or the test has no power.
    assert covered_naive / runs < 0.85
