import numpy as np
import pytest

from ltexpo.monitor.watch import watch

REFERENCE = 20


def look(values: np.ndarray, **given: object):
    usable = np.ones(len(values), bool)
    usable[-1] = False
    settings = {"usable": usable, "chance": 0.001, "window": 14, "reference": 28, "least": 14}
    return watch(values, np.full(len(values), 1e-6), **{**settings, **given})


def steady(n: int, seed: int = 0, noise: float = 0.02) -> np.ndarray:
    return 0.5 * np.exp(noise * np.random.default_rng(seed).standard_normal(n))


def test_a_fall_is_found_with_its_size_and_day():
    values = steady(30)
    values[26:] *= 0.8
    found = look(values)
    assert found.high < -0.05
    assert found.low < -0.2 < found.high
    assert found.since is not None and 25 <= found.since <= 27


def test_a_rise_is_found_only_when_asked_for():
    values = steady(30)
    values[26:] *= 1.3
    assert look(values).high > 0
    assert look(values, rises=True).low > 0.1


def test_too_few_days_say_nothing():
    found = look(steady(14))
    assert found.since is None and found.low == -np.inf and found.high == np.inf


def test_alarm_days_are_no_reference():
    values = steady(30)
    values[8:12] *= 0.3
    usable = np.ones(30, bool)
    usable[[8, 9, 10, 11, 29]] = False
    assert abs(look(values, usable=usable).change) < 0.06
    assert look(values).change > 0.08


def test_a_day_without_any_click_is_a_fall_and_an_unknown_day_is_none():
    values = steady(30)
    values[-1] = 0.0
    assert look(values).high < -0.5
    values[-1] = np.nan
    assert look(values).since is None


def test_a_day_of_little_traffic_widens_its_interval():
    values = steady(30)
    wide = watch(
        values, np.append(np.full(29, 1e-6), 0.2), usable=np.append(np.ones(29, bool), False), chance=0.001, window=1,
        reference=28, least=14,
    )
    narrow = look(values, window=1)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize("seed", range(3))
def test_quiet_days_rarely_prove_a_change(seed: int):
    """Of 300 days with a new sequence of error 5% on each, at most about 5% may begin a false alarm."""
    values = steady(330, seed=seed)
    alarms = sum(look(values[:n + 1], chance=0.05, rises=True).high < 0 for n in range(30, 330))
    assert alarms <= 0.05 * 300
