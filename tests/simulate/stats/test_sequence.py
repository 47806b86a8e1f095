"""Looking every day: what the sequence promises, and what the plain test breaks."""

import numpy as np
import pytest

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import always_valid, compare, confidence_sequence
from ltexpo.simulate.stats.effect import Effect
from ltexpo.simulate.stats.sequence import sequence_multiples

LOOKS = 30


def brownian(runs: int, drift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Means of the first 1, 2, … unit normals (runs, LOOKS) and their errors."""
    rng = np.random.default_rng(seed)
    n = np.arange(1, LOOKS + 1)
    return (rng.standard_normal((runs, LOOKS)) + drift).cumsum(axis=1) / n, np.tile(1 / np.sqrt(n), (runs, 1))


def looks(lift: float, days: int = 10) -> list[Effect]:
    rng = np.random.default_rng(3)
    users = np.arange(400)
    clicks = rng.poisson(3 * (1 + lift * (users < 200))[:, None], (400, days)).cumsum(axis=1)
    return [
        compare("clicks", Ratio.mean(day[:200], users[:200]), Ratio.mean(day[200:], users[200:])) for day in clicks.T
    ]


def test_daily_looks_keep_their_promise_where_the_plain_test_breaks_it():
    differences, errors = brownian(10_000, 0.0)
    low, high, p = always_valid(differences, errors)
    assert ((low > 0) | (high < 0)).any(axis=1).mean() <= 0.05
    assert (p[:, -1] <= 0.05).mean() <= 0.05
    # Armitage, McPherson & Rowe (1969): 30 looks at 5% each reject 29% in all, in the limit of many observations.
    assert 0.25 < (np.abs(differences / errors) > 1.96).any(axis=1).mean() < 0.31


def test_the_truth_is_inside_at_every_look_at_once():
    differences, errors = brownian(10_000, 0.4, 1)
    low, high, p = always_valid(differences, errors, planned_error=0.3)
    assert ((low <= 0.4) & (high >= 0.4)).all(axis=1).mean() >= 0.95
    assert (p[:, -1] <= 0.05).mean() > 0.2


def test_a_p_value_crosses_where_the_interval_leaves_0():
    differences, errors = brownian(500, 0.3, 2)
    low, high, p = always_valid(differences, errors, level=0.9)
    ever = np.logical_or.accumulate((low > 0) | (high < 0), axis=1)
    assert np.array_equal(ever, p <= 0.1)
    assert (np.diff(p, axis=1) <= 0).all()


def test_the_interval_is_robbins_mixture_solved_by_hand():
    # Error 0.5 and ρ² / error² = x: half-width 0.5 · √((1 + 1/x) (log(1 + x) + 2 log 20)), x least at planned errors.
    x = np.linspace(1, 40, 400_000)
    width = np.sqrt((1 + 1 / x) * (np.log1p(x) - 2 * np.log(0.05)))
    low, high, _ = always_valid([0.0], [0.5], planned_error=0.5)
    assert high[0] == pytest.approx(0.5 * width.min(), rel=1e-9)
    assert low[0] == -high[0]
    best = x[width.argmin()]
    later = np.sqrt((1 + 1 / (4 * best)) * (np.log1p(4 * best) - 2 * np.log(0.05)))
    assert sequence_multiples([0.25], planned_error=0.5)[0] == pytest.approx(later, rel=1e-4)


def test_days_without_an_error_are_open_and_leave_the_p_value():
    low, high, p = always_valid([0.0, 5.0, 0.0], [np.nan, 1.0, 0.0], planned_error=1.0)
    assert (low[0], high[0], p[0]) == (-np.inf, np.inf, 1.0)
    assert (low[2], high[2]) == (-np.inf, np.inf)
    assert p[2] == p[1] < 0.01


def test_effects_by_look_become_a_sequence():
    found = confidence_sequence(looks(0.1))
    plain = looks(0.1)
    table = found.to_pandas()
    assert list(table["look"]) == list(range(1, 11))
    for wide, narrow in zip(found.effects, plain, strict=True):
        assert wide.low < narrow.low < narrow.high < wide.high
        assert wide.relative_low < narrow.relative_low < narrow.relative_high < wide.relative_high
        assert (wide.low > 0) == (wide.relative_low > 0)
    assert found.decided is not None
    assert found.effects[found.decided].p_value <= 0.05
    assert found.decided == 0 or found.effects[found.decided - 1].p_value > 0.05
    assert "difference proven at look" in str(found)
    assert "no difference proven yet" in str(confidence_sequence(looks(0.0)))


def test_a_metric_that_never_varies_stays_certain():
    same = compare("k", Ratio.mean([1.0, 1.0], np.array([0, 1])), Ratio.mean([1.0, 1.0], np.array([2, 3])))
    assert confidence_sequence([same, same]).last == same


def test_bad_sequences_are_refused():
    with pytest.raises(TableError, match="at least one look"):
        confidence_sequence([])
    with pytest.raises(ConfigError, match="planned_error must be above 0; found 0"):
        always_valid([1.0], [1.0], planned_error=0.0)
    with pytest.raises(ConfigError, match="level"):
        always_valid([1.0], [1.0], level=95)
