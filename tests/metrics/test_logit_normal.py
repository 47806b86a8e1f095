"""The logit-normal of a mean and a τ has that mean and the spread that is told, and can be found back from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from ltexpo.errors import InputError
from ltexpo.metrics.calibration import score_interval
from ltexpo.metrics.logit_normal import location, std, tau_of

means = st.floats(1e-4, 1 - 1e-4)
taus = st.floats(0.01, 4.0)


@pytest.mark.parametrize("mean", [1e-3, 0.03, 0.4, 0.9])
@pytest.mark.parametrize("tau", [0.2, 1.13, 2.5])
def test_moments_are_those_of_the_integral(mean: float, tau: float):
    mu = float(location(np.array([mean]), tau)[0])

    def moment(power: int) -> float:
        return quad(lambda z: expit(mu + tau * z) ** power * norm.pdf(z), -9, 9, limit=200)[0]

    assert moment(1) == pytest.approx(mean, rel=2e-3)
    assert std(np.array([mean]), tau)[0] == pytest.approx(np.sqrt(moment(2) - moment(1) ** 2), rel=5e-3)


@given(means, taus)
def test_the_spread_leads_back_to_tau(mean: float, tau: float):
    spread = std(np.array([mean]), tau)
    assert 0 < spread[0] < np.sqrt(mean * (1 - mean))
    assert tau_of(np.array([mean]), spread)[0] == pytest.approx(tau, rel=1e-6)


@given(means, taus)
def test_both_ends_are_alike(mean: float, tau: float):
    low, high = score_interval(np.array([mean, 1 - mean]), std(np.array([mean, 1 - mean]), tau))
    assert low[0] < high[0]
    # 1 − high loses what lies below a double's last digit.
    np.testing.assert_allclose([low[0], high[0]], [1 - high[1], 1 - low[1]], rtol=1e-6, atol=1e-14)


def test_without_spread_the_interval_is_the_score():
    low, high = score_interval([0.2, 0.7], [0.0, 0.0])
    np.testing.assert_allclose([low, high], [[0.2, 0.7]] * 2)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_it_covers_as_often_as_it_says(level: float):
    rng = np.random.default_rng(0)
    score = expit(rng.normal(-2, 1, 40_000))
    truth = expit(location(score, 1.2) + 1.2 * rng.standard_normal(len(score)))
    low, high = score_interval(score, std(score, 1.2), level=level)
    tail = (1 - level) / 2
    assert (truth < low).mean() == pytest.approx(tail, abs=0.01)
    assert (truth > high).mean() == pytest.approx(tail, abs=0.01)


@pytest.mark.parametrize(
    ("score", "spread", "level", "word"),
    [
        ([0.0], [0.1], 0.9, "score holds"), ([0.5], [-0.1], 0.9, "spread holds"),
        ([0.5], [np.nan], 0.9, "spread holds"),
        ([0.5, 0.5], [0.1], 0.9, "shape"), ([0.5], [0.1], 1.0, "level"),
    ],
)
def test_what_is_no_score_is_refused(score: list[float], spread: list[float], level: float, word: str):
    with pytest.raises(InputError, match=word):
        score_interval(score, spread, level=level)
