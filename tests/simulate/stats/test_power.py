"""Power against statsmodels and simulation, and what a tail item needs."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestIndPower

from ltexpo.errors import ColumnError, ConfigError, TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import Baseline, compare, detectable, power, resampled_power, tail_power, users_needed
from ltexpo.simulate.stats.tail_power import shrunken_rates

BASE = Baseline(2.0, 4.0)


@pytest.mark.parametrize("treated", [0.5, 0.1, 0.8])
@pytest.mark.parametrize("difference", [0.0, 0.1, 0.5, 1.0])
def test_power_is_statsmodels(treated: float, difference: float):
    users = 1000
    theirs = TTestIndPower().power(
        difference / 4, users * treated, 0.05, ratio=(1 - treated) / treated, alternative="two-sided"
    )
    assert power(BASE, users, difference=difference, treated=treated) == pytest.approx(theirs, abs=1e-9)
    assert power(BASE, users, relative=difference / 2, treated=treated) == pytest.approx(theirs, abs=1e-9)


def test_needed_users_and_the_detectable_effect_undo_each_other():
    theirs = TTestIndPower().solve_power(0.2 / 4, None, 0.05, 0.8, alternative="two-sided")
    needed = users_needed(BASE, relative=0.1)
    assert needed == pytest.approx(2 * theirs, abs=2)
    assert float(power(BASE, needed, relative=0.1)) >= 0.8 > float(power(BASE, needed - 4, relative=0.1))
    difference, relative = detectable(BASE, needed)
    assert relative == pytest.approx(0.1, rel=1e-3)
    assert difference == pytest.approx(0.2, rel=1e-3)


def test_power_takes_arrays_and_grows():
    found = power(BASE, np.array([[100], [10_000]]), relative=np.array([0.01, 0.1, 5.0]))
    assert found.shape == (2, 3)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[1, 2] == 1


def test_cuped_saves_its_share_of_the_users():
    rho = 0.7
    less, full = users_needed(BASE.times(np.sqrt(1 - rho**2)), relative=0.05), users_needed(BASE, relative=0.05)
    assert less / full == pytest.approx(1 - rho**2, rel=1e-3)


def test_a_baseline_is_the_deviation_of_one_user():
    values = np.random.default_rng(0).gamma(2, 3, 500)
    found = Baseline.of(Ratio.mean(values))
    assert (found.value, found.deviation) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert Baseline.share(0.2).deviation == pytest.approx(0.4)
    # Two rows of a user are one user.
    split = Baseline.of(Ratio.of(np.repeat(values / 2, 2), np.full(1000, 0.5), np.repeat(np.arange(500), 2)))
    assert split.deviation == pytest.approx(found.deviation)


def test_the_formula_is_what_simulated_tests_find():
    rng = np.random.default_rng(0)
    views = rng.poisson(rng.gamma(2, 5, 20_000)) + 1.0
    everyone = Ratio.of(rng.binomial(views.astype(int), rng.beta(4, 36, 20_000)).astype(float), views)
    baseline, users, lift = Baseline.of(everyone), 800, 0.12
    formula = float(power(baseline, users, relative=lift, treatment_deviation=baseline.deviation * (1 + lift)))
    share, error = resampled_power(everyone, relative=lift, users=users, runs=2_000, rng=1)
    assert error == pytest.approx(0.0112, abs=0.001)
    assert share == pytest.approx(formula, abs=3.5 * error)
    # The test inside is `compare`.
    found = []
    for _ in range(1_000):
        drawn = rng.integers(0, 20_000, users)
        numerator = everyone.numerator[drawn] * np.where(np.arange(users) < 400, 1 + lift, 1)
        arms = [Ratio.of(numerator[some], views[drawn[some]], np.arange(users)[some]) for some in (
            slice(0, 400), slice(400, None))]
        found.append(compare("ctr", *arms).p_value < 0.05)
    assert np.mean(found) == pytest.approx(formula, abs=0.05)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: power(BASE, 100), "either as relative or as difference"),
    (lambda: power(BASE, 100, relative=0.1, difference=0.1), "either as relative or as difference"),
    (lambda: power(BASE, 100, relative=0.1, level=95), "level must lie between 0 and 1; found 95"),
    (lambda: users_needed(BASE, relative=0.0), "an effect of 0 is never found"),
    (lambda: detectable(BASE, 2), "at least 4 users"),
    (lambda: Baseline.share(1.0), "a share lies between 0 and 1"),
    (lambda: resampled_power(Ratio.mean([1.0, 2.0]), relative=0.1, users=2), "fewer than two"),
])
def test_bad_questions_are_refused(call, says: str):
    with pytest.raises(ConfigError, match=says):
        call()


def test_one_user_is_no_baseline():
    with pytest.raises(TableError, match="two users"):
        Baseline.of(Ratio.mean([1.0]))


def test_an_items_impressions_by_hand():
    # One rate of 2%: (1.96 + 0.8416)² · (0.02 · 0.98 + 0.022 · 0.978) / 0.002² in each arm.
    items = pd.DataFrame({"item_id": ["a", "b"], "impressions": [1_000_000, 10_000], "clicks": [20_000, 200]})
    found = tail_power(items)
    per_arm = (1.959964 + 0.841621) ** 2 * (0.02 * 0.98 + 0.022 * 0.978) / 0.002**2
    assert found.table["needed"].tolist() == [pytest.approx(2 * per_arm, rel=1e-5)] * 2
    # The mean item has 505,000: the small one and one other have enough.
    assert found.table["pool"].tolist() == [1, 2]
    assert found.says("b") == (
        f"item b needs {found.table['needed'][1]:,} impressions and has 10,000: pool it with 1 others"
    )
    assert "test it alone" in found.says("a")
    assert str(found).startswith("1 of 2 items can be tested alone for +10% clicks per impression with a chance of 80%")
    assert tail_power(items, design_effect=2.0).table["needed"][0] == pytest.approx(2 * 2 * per_arm, rel=1e-5)


def test_an_item_with_the_impressions_it_needs_is_tested_with_the_power_said():
    items = pd.DataFrame({"item_id": ["a", "b"], "impressions": [50_000, 70_000], "clicks": [2_500, 3_500]})
    n = int(tail_power(items, relative=0.2).table["needed"][0]) // 2
    rng = np.random.default_rng(0)
    a, b = rng.binomial(n, 0.06, 4_000) / n, rng.binomial(n, 0.05, 4_000) / n
    z = (a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    # The standard error of 80% is 0.63 points.
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.02)


def test_rare_items_rates_are_drawn_to_the_rate_of_all():
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 3_000, 2_000).astype(float)
    true = rng.beta(8, 192, 2_000)
    clicks = rng.binomial(shown.astype(int), true).astype(float)
    rates = shrunken_rates(clicks, shown)
    own = np.divide(clicks, shown, out=np.zeros(2_000), where=shown > 0)
    assert np.square(rates - true).mean() < 0.6 * np.square(own - true).mean()
    assert (rates > 0).all()
    # The strength is that of the items' true likeness: 8 + 192 impressions.
    some = (shown > 500) & (np.abs(own - clicks.sum() / shown.sum()) > 0.02)
    overall = clicks.sum() / shown.sum()
    kept = ((rates - overall) / (own - overall))[some]
    assert shown[some] / kept - shown[some] == pytest.approx(200, rel=0.2)
    assert shrunken_rates(np.array([0.0, 0.0, 5.0]), np.array([0.0, 50.0, 50.0]))[0] > 0


def test_bad_items_are_refused():
    items = pd.DataFrame({"item_id": ["a"], "impressions": [10], "clicks": [1]})
    with pytest.raises(ColumnError, match="items lack clicks"):
        tail_power(items[["item_id", "impressions"]])
    with pytest.raises(TableError, match="one click in all"):
        tail_power(items.assign(clicks=0))
    with pytest.raises(TableError, match="clicks of 0 to their impressions"):
        tail_power(items.assign(clicks=11))
    with pytest.raises(ConfigError, match="relative must lie"):
        tail_power(items, relative=0.0)
    with pytest.raises(TableError, match="item 'z' is not among the 1 items"):
        tail_power(items).says("z")
