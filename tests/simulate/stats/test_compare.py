"""Effects by hand, against scipy and tea-tasting, and the answers where nothing can be told."""

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ltexpo.errors import ColumnError, TableError
from ltexpo.metrics.intervals import Ratio, difference
from ltexpo.simulate.stats import compare, compare_segments, compare_totals

METRICS = {"ctr": ("clicks", "views"), "clicks per user": ("clicks", "users")}


def totals(users: int, seed: int, lift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    views = rng.poisson(rng.gamma(2, 10, users)) + 1
    clicks = rng.binomial(views, rng.beta(4, 36, users) * (1 + lift))
    return pd.DataFrame({
        "user_id": [f"u{seed}-{n}" for n in range(users)], "clicks": clicks.astype(float),
        "views": views.astype(float), "users": 1.0, "tier": np.where(views > 20, "active", "rare"),
    })


def mean(values: list[float], names: str) -> Ratio:
    return Ratio.mean(values, np.array([f"{names}{n}" for n in range(len(values))]))


def test_an_effect_worked_by_hand():
    # Control: Σ clicks / Σ views = 3 / 10; residuals 1 − 1.2, 0 − 0.6, 2 − 1.2 → Σ r² = 1.04.
    # Treatment: 6 / 10 with residuals 0.6, 0.8, −1.4 → Σ r² = 2.96. Each arm's small-sample factor is 3 / 2.
    users = np.arange(6)
    control = Ratio.of([1, 0, 2], [4, 2, 4], users[:3])
    treatment = Ratio.of([3, 2, 1], [4, 2, 4], users[3:])
    effect = compare("ctr", treatment, control)
    variances = 1.5 * 2.96 / 100, 1.5 * 1.04 / 100
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 2)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances))
    assert (effect.control, effect.treatment, effect.relative) == pytest.approx((0.3, 0.6, 1.0))
    assert (effect.low, effect.high) == pytest.approx((0.3 - half, 0.3 + half))
    assert effect.p_value == pytest.approx(2 * stats.t.sf(0.3 / np.sqrt(sum(variances)), freedom))
    assert (effect.n_control, effect.n_treatment) == (3, 3)


def test_means_are_welchs_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(2, 3, 30), rng.normal(1, 1, 12)
    effect = compare("m", mean(list(a), "a"), mean(list(b), "b"), level=0.9)
    welch = stats.ttest_ind(a, b, equal_var=False)
    bounds = welch.confidence_interval(0.9)
    assert effect.p_value == pytest.approx(welch.pvalue)
    assert (effect.low, effect.high) == pytest.approx((bounds.low, bounds.high))


def test_the_delta_method_is_tea_tastings():
    control, treatment = totals(500, 1), totals(700, 2, 0.1)
    both = pd.concat([control.assign(variant=0), treatment.assign(variant=1)])
    theirs = tt.Experiment(ctr=tt.RatioOfMeans("clicks", "views"), mean=tt.Mean("clicks")).analyze(both)
    ours = compare_totals(treatment, control, METRICS)
    for metric, name in (("ctr", "ctr"), ("clicks per user", "mean")):
        # They divide by n − 1 in variances and covariances of the parts, we in the linearised ratio: the same.
        assert ours[metric].difference == pytest.approx(theirs[name].effect_size)
        assert ours[metric].low == pytest.approx(theirs[name].effect_size_ci_lower, rel=1e-6)
        assert ours[metric].high == pytest.approx(theirs[name].effect_size_ci_upper, rel=1e-6)
        assert ours[metric].p_value == pytest.approx(theirs[name].pvalue, rel=1e-6)
        # They take logs, we invert the test: alike in large samples only.
        assert ours[metric].relative == pytest.approx(theirs[name].rel_effect_size)
        assert ours[metric].relative_low == pytest.approx(theirs[name].rel_effect_size_ci_lower, abs=2e-3)


def test_rows_of_one_user_count_once():
    users = totals(50, 3)
    arms = [Ratio.of(users["clicks"], users["views"], users["user_id"].to_numpy()), mean([0.1, 0.2, 0.1], "c")]
    halves = pd.concat([users, users]).sample(frac=1, random_state=0)
    split = Ratio.of(halves["clicks"] / 2, halves["views"] / 2, halves["user_id"].to_numpy())
    once, twice = compare("ctr", arms[0], arms[1]), compare("ctr", split, arms[1])
    assert (twice.low, twice.high, twice.n_treatment) == pytest.approx((once.low, once.high, once.n_treatment))


def test_twins_are_paired_as_in_metrics():
    users = totals(80, 4)
    ids = users["user_id"].to_numpy()
    control = Ratio.of(users["clicks"], users["views"], ids)
    treatment = Ratio.of(users["clicks"] + 1, users["views"], ids)
    ours, theirs = compare("ctr", treatment, control, paired=True), difference(treatment, control)
    assert (ours.difference, ours.error, ours.low, ours.high) == pytest.approx(
        (theirs.value, theirs.error, theirs.low, theirs.high)
    )
    assert ours.covariance > 0
    apart = compare("ctr", Ratio.of(users["clicks"] + 1, users["views"], np.char.add("x", ids.astype(str))), control)
    assert ours.error < apart.error


@given(st.integers(0, 10_000), st.floats(-0.5, 0.5), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_relative_interval_excludes_0_exactly_when_the_test_rejects(seed: int, lift: float, level: float):
    effect = compare_totals(totals(25, seed + 1, lift), totals(20, 20_000 + seed), METRICS, level=level)["ctr"]
    rejected = effect.p_value < 1 - level
    assert (effect.low > 0 or effect.high < 0) == rejected
    assert (effect.relative_low > 0 or effect.relative_high < 0) == rejected


def test_fieller_bounds_are_where_the_test_of_that_lift_just_fails():
    effect = compare_totals(totals(200, 5, 0.2), totals(300, 6), METRICS)["ctr"]
    quantile = (effect.high - effect.difference) / effect.error
    for bound in (effect.relative_low, effect.relative_high):
        left = effect.treatment - (1 + bound) * effect.control
        error = np.hypot(effect.treatment_error, (1 + bound) * effect.control_error)
        assert abs(left) / error == pytest.approx(quantile)


def test_a_negative_metric_keeps_the_sign_of_its_change():
    loss, more = mean([-2.0, -1.0, -3.0, -2.0], "a"), mean([-4.0, -3.0, -5.0, -4.0], "b")
    effect = compare("margin", more, loss)
    assert effect.relative == pytest.approx(-1.0)
    assert effect.relative_low < effect.relative < effect.relative_high < 0


def test_a_control_near_0_has_no_relative_bounds():
    effect = compare("clicks", mean([1.0, 2.0, 1.0], "a"), mean([0.0, 0.0, 0.1], "b"))
    assert (effect.relative_low, effect.relative_high) == (float("-inf"), float("inf"))
    assert "cannot be told from 0" in effect.note


def test_a_constant_metric_is_certain():
    same = compare("k", mean([2.0, 2.0], "a"), mean([2.0, 2.0, 2.0], "b"))
    assert (same.difference, same.low, same.high, same.p_value, same.relative) == (0, 0, 0, 1, 0)
    other = compare("k", mean([3.0, 3.0], "a"), mean([2.0, 2.0, 2.0], "b"))
    assert (other.low, other.high, other.p_value, other.relative_low) == (1, 1, 0, 0.5)
    assert "does not vary" in same.note
    assert "does not vary" in other.note


def test_a_constant_ratio_is_certain_in_spite_of_rounding():
    views = np.random.default_rng(0).random(50)
    arms = [Ratio.of(0.1 * views * scale, views * scale, np.arange(50) + start) for scale, start in ((1, 0), (3, 99))]
    assert compare("ctr", *arms).p_value == 1


def test_nothing_to_divide_by_is_said():
    effect = compare("ctr", Ratio.of([0, 0], [0, 0], np.array(["a", "b"])), mean([1.0, 2.0], "c"))
    assert np.isnan(effect.p_value)
    assert str(effect) == "ctr: cannot say, the treatment's denominator is 0: there is nothing to divide by"


def test_one_user_tells_no_variance():
    effect = compare("m", mean([1.0], "a"), mean([1.0, 2.0], "b"))
    assert effect.difference == -0.5
    assert "fewer than two users" in str(effect)


@pytest.mark.parametrize(("treatment", "control", "says"), [
    (mean([], "a"), mean([1.0, 2.0], "b"), "the treatment has no users"),
    (mean([1.0, 2.0], "a"), mean([], "b"), "the control has no users"),
    (mean([1.0, np.nan], "a"), mean([1.0, 2.0], "b"), "1 values of the treatment are not finite"),
    (mean([1.0, 2.0], "a"), mean([1.0, 2.0, 3.0], "a"), "2 users are in both arms"),
    (Ratio.mean([1.0, 2.0], np.array(["a", None])), mean([1.0], "b"), "1 rows have no user"),
    (Ratio(np.ones(2), np.ones(3), np.arange(2)), mean([1.0], "b"), "2 numerators, 3 denominators and 2 users"),
])
def test_bad_arms_are_refused(treatment: Ratio, control: Ratio, says: str):
    with pytest.raises(TableError, match=says):
        compare("m", treatment, control)


def test_segments_are_the_effects_of_their_users_and_empty_ones_say_so():
    control, treatment = totals(200, 7), totals(200, 8)
    treatment.loc[0, "tier"] = "new"
    found = compare_segments(treatment, control, METRICS, "tier")
    table = found.to_pandas().set_index(["segment", "metric"])
    alone = compare_totals(treatment[treatment["tier"] == "rare"], control[control["tier"] == "rare"], METRICS)
    assert table.loc[("rare", "ctr"), "low"] == alone["ctr"].low
    assert table.loc[("new", "ctr"), "note"] == "no users of the control"
    assert "new ctr" in str(found)
    assert "cannot say: no users of the control" in str(found)


def test_a_missing_total_is_named():
    with pytest.raises(ColumnError, match="the control's totals lack views"):
        compare_totals(totals(5, 9), totals(5, 10).drop(columns="views"), METRICS)


def test_aa_runs_reject_at_5_percent_and_intervals_hold_the_true_lift():
    rng = np.random.default_rng(0)
    p, held, held_relative = [], [], []
    for _ in range(2_000):
        views = rng.poisson(rng.gamma(2, 10, 400)) + 1.0
        taste = rng.beta(4, 36, 400)
        users, first = np.arange(400), np.arange(400) < 200
        plain = rng.binomial(views.astype(int), taste).astype(float)
        more = rng.binomial(views.astype(int), np.where(first, 1.3, 1.0) * taste).astype(float)
        control = Ratio.of(plain[~first], views[~first], users[~first])
        p.append(compare("ctr", Ratio.of(plain[first], views[first], users[first]), control).p_value)
        lifted = compare(
            "ctr", Ratio.of(more[first], views[first], users[first]),
            Ratio.of(more[~first], views[~first], users[~first]),
        )
        held.append(lifted.low <= 0.03 <= lifted.high)
        held_relative.append(lifted.relative_low <= 0.3 <= lifted.relative_high)
    # 2,000 runs: the standard error of a 5% rate is 0.49 points.
    assert 0.035 < np.mean(np.array(p) < 0.05) < 0.065
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert 0.935 < np.mean(held) < 0.965
    assert 0.935 < np.mean(held_relative) < 0.965
