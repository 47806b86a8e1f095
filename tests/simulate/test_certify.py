"""The experiment's own tests, tried on populations whose answer is known."""

import numpy as np
import pytest

from ltexpo.simulate.certify import AA, COVERAGE, PEEKING, POWER, SEQUENCE, Population, certify


def population(rng: np.random.Generator, lift: float, n: int = 1_000, days: int = 15) -> Population:
    visits = rng.poisson(3.0, (days, n)).astype(float)
    liking = rng.beta(2, 8, n)
    clicks = rng.binomial(visits.astype(int), liking).astype(float)
    more = clicks + rng.binomial(visits.astype(int), lift, visits.shape)
    before = rng.poisson(3.0, n).astype(float)
    clicks_before = rng.binomial(before.astype(int), liking)
    return Population(
        (clicks.sum(0), visits.sum(0)), (more.sum(0), visits.sum(0)), (clicks_before, before),
        (clicks.cumsum(0), visits.cumsum(0)),
    )


def test_sound_tests_pass_and_looking_every_day_fails():
    table = certify({"clicks": population(np.random.default_rng(0), 0.02)}, share=0.5, level=0.95, runs=400, rng=1)
    rows = table.set_index("check")
    assert rows["passed"].all(), table
    assert rows.loc[PEEKING, "got"] > 0.1 > rows.loc[SEQUENCE, "got"]
    assert rows.loc[AA, "got"] == pytest.approx(0.05, abs=0.04)
    assert rows.loc[COVERAGE, "got"] == pytest.approx(0.95, abs=0.04)
    assert 0.3 < rows.loc[POWER, "asked"] < 0.95


def test_a_test_that_does_not_hold_is_called_out():
    # One user in a thousand spends everything: a normal interval cannot hold that, and says so.
    rng = np.random.default_rng(0)
    n = 400
    spent = np.where(np.arange(n) == 7, 5_000.0, rng.random(n) < 0.02)
    ones = np.ones(n)
    who = Population((spent, ones), (spent * 1.5, ones), (np.zeros(n), ones), (spent[None] * 1.0, ones[None]))
    rows = certify({"value": who}, share=0.5, level=0.95, runs=300, rng=1).set_index("check")
    assert not rows.loc[COVERAGE, "passed"]
    assert rows.loc[COVERAGE, "says"] == "NOT AS IT MUST BE"
