"""Effects worked by hand, and whether intervals and p-values keep their promises."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ltexpo.simulate.effects import ratio, ratio_effects

CTR = {"ctr": ("clicks", "views")}


def test_ratio_of_a_case_worked_by_hand():
    # Σ clicks / Σ views = 3 / 10; residuals 1 − 1.2, 0 − 0.6, 2 − 1.2 → Σ r² = 1.04; se = √(3/2 · 1.04) / 10.
    value, error = ratio(np.array([1.0, 0.0, 2.0]), np.array([4.0, 2.0, 4.0]))
    assert value == pytest.approx(0.3)
    assert error == pytest.approx(np.sqrt(1.5 * 1.04) / 10)


def test_a_ratio_without_denominator_is_not_a_number():
    assert np.isnan(ratio(np.zeros(3), np.zeros(3))[0])


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
    covered = ((effects["relative_low"] <= 0.3) & (0.3 <= effects["relative_high"])).mean()
    absolute = ((effects["low"] <= 0.03) & (0.03 <= effects["high"])).mean()
    assert 0.93 < covered < 0.97
    assert 0.93 < absolute < 0.97


def _arguments(rng: np.random.Generator, lift: float) -> tuple[pd.DataFrame, dict[str, tuple[str, str]], np.ndarray]:
    users, treated = draw(rng, lift)
    return users, CTR, treated
