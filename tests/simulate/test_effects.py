"""Effects worked by hand, and whether intervals and p-values keep their promises."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ltexpo.simulate.effects import ratio_effects

CTR = {"ctr": ("clicks", "views")}


def test_an_effect_worked_by_hand():
    # Control: Σ clicks / Σ views = 3 / 10; residuals 1 − 1.2, 0 − 0.6, 2 − 1.2 → Σ r² = 1.04.
    # Treatment: 6 / 10 with residuals 0.6, 0.8, −1.4 → Σ r² = 2.96.
    # Together six users share one linearised sum, so the small-sample factor is 6/5.
    users = pd.DataFrame({"clicks": [1.0, 0, 2, 3, 2, 1], "views": [4.0, 2, 4, 4, 2, 4]})
    effect = ratio_effects(users, CTR, np.array([False] * 3 + [True] * 3)).iloc[0]
    assert (effect["control"], effect["treatment"]) == (pytest.approx(0.3), pytest.approx(0.6))
    half = np.sqrt(6 / 5 * (1.04 + 2.96)) / 10 * stats.t.ppf(0.975, 5)
    assert effect["low"] == pytest.approx(0.3 - half)
    assert effect["high"] == pytest.approx(0.3 + half)
    assert effect["relative"] == pytest.approx(1.0)


def test_a_relative_effect_on_nothing_is_not_a_number():
    users = pd.DataFrame({"clicks": [0.0, 0, 1, 1], "views": [2.0] * 4})
    effect = ratio_effects(users, CTR, np.array([False, False, True, True])).iloc[0]
    assert np.isnan(effect["relative"])
    assert effect["difference"] == 0.5


def test_equal_arms_without_variation_have_p_value_1():
    users = pd.DataFrame({"clicks": [1.0] * 4, "views": [2.0] * 4})
    effect = ratio_effects(users, CTR, np.array([True, True, False, False])).iloc[0]
    assert (effect["difference"], effect["p_value"], effect["relative"]) == (0, 1, 0)


def draw(rng: np.random.Generator, lift: float) -> tuple[pd.DataFrame, np.ndarray]:
    """400 users of differing activity and taste; the treated click more by the factor 1 + `lift`."""
    treated = rng.random(400) < 0.5
    views = rng.poisson(rng.gamma(2, 10, 400)) + 1
    taste = rng.beta(4, 36, 400) * np.where(treated, 1 + lift, 1)
    return pd.DataFrame({"clicks": rng.binomial(views, taste).astype(float), "views": views.astype(float)}), treated


def test_aa_runs_reject_at_the_stated_rate_and_p_values_are_uniform():
    rng = np.random.default_rng(7)
    p = np.array([ratio_effects(*_arguments(rng, 0.0)).iloc[0]["p_value"] for _ in range(2_000)])
    # 2,000 runs: the standard error of a 5% rate is 0.49 points.
    assert 0.035 < (p < 0.05).mean() < 0.065
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_intervals_cover_the_true_lift():
    rng = np.random.default_rng(8)
    effects = pd.concat([ratio_effects(*_arguments(rng, 0.3)) for _ in range(1_500)])
    covered = ((effects["relative_low"] <= 0.3) & (effects["relative_high"] >= 0.3)).mean()
    absolute = ((effects["low"] <= 0.03) & (effects["high"] >= 0.03)).mean()
    assert 0.93 < covered < 0.97
    assert 0.93 < absolute < 0.97


def _arguments(rng: np.random.Generator, lift: float) -> tuple[pd.DataFrame, dict[str, tuple[str, str]], np.ndarray]:
    users, treated = draw(rng, lift)
    return users, CTR, treated
