"""How satisfaction brings users back: learnt from logs whose makers are known."""

import numpy as np
import pandas as pd
import pytest
from made_visits import log_of, visits_of

from ltexpo.errors import TableError
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.fitted import fit_return_strength, return_strength_of
from ltexpo.simulate.fitted.satisfaction import follow


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.5])
def test_the_simulators_own_strength_comes_back(strength: float):
    log = log_of(visits_of(strength, n=4_000, days=28, seed=1))
    found = fit_return_strength(log, memory=BehaviourSettings().satisfaction_memory)
    assert abs(found.strength - strength) < 3 * found.error
    assert 0.05 < found.error < 0.3
    assert (found.days, found.visits) == (28, log["request_id"].nunique())


def test_satisfaction_by_hand():
    n, s, z = (np.zeros((1, 3)) for _ in range(3))
    clicked = np.array([True, False, True])
    follow(np.zeros(3, np.int64), np.array([0, 0, 1]), clicked, 0.8, 0.5, 2.0, n, s, z)
    assert n.tolist() == [[2, 1, 0]]
    # Before anything she is the average user; after 1, 0 her share is still (1 + 1) / (2 + 2); after 1, 0, 1 it is 3/5.
    usual = [0.5, 0.5, 0.6]
    recent = [0.0, 0.8 * 0.2, 0.8 * 0.8 * 0.2 + 0.2]
    kept = [1.0, 0.64, 0.512]
    expected = [part + left * own for part, left, own in zip(recent, kept, usual, strict=True)]
    assert s[0] == pytest.approx(expected)
    assert z[0] == pytest.approx(np.array(expected) - usual)


def test_users_who_come_more_because_they_are_active_are_not_taken_for_satisfied_ones():
    """Between users visits and clicks go together by construction; within a user nothing does."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=3_000)
    times = rng.poisson(0.4 * np.exp(0.8 * taste)[:, None] * np.linspace(0.5, 1.5, 28))  # every day busier
    user, day = np.nonzero(times)
    count = times[user, day]
    frame = pd.DataFrame({"user": np.repeat(user, count), "day": np.repeat(day, count)})
    frame["at"] = frame.groupby(["user", "day"]).cumcount()
    frame["clicked"] = (rng.random(len(frame)) < 1 / (1 + np.exp(1 - taste[frame["user"]]))).astype(int)
    frame["user_id"] = "u" + frame["user"].astype(str)
    found = fit_return_strength(log_of(frame), memory=0.8)
    assert abs(found.strength) < 3 * found.error < 0.6


def test_a_log_that_does_not_tell_leaves_the_assumption_and_says_why():
    visits = visits_of(0.5, n=400, days=10, seed=2)
    assumed = BehaviourSettings()
    kept, told = return_strength_of(log_of(visits), assumed)
    assert kept == assumed and not told["learnt"]
    assert "too much to be of use" in told["reason"] and told["found"]["error"] > 0.25
    assert return_strength_of(log_of(visits[visits["day"] < 4]), assumed)[1]["reason"].startswith(
        "the log's visits span 4 days")
    given = BehaviourSettings(return_strength=0.5)
    assert return_strength_of(log_of(visits), given) == (
        given, {"learnt": False, "strength": 0.5, "reason": "behaviour.return_strength was given"})
    with pytest.raises(TableError, match="40 users come three times"):
        few = visits.groupby("user_id")["day"].agg(["size", "nunique"])
        some = few.index[(few["size"] >= 3) & (few["nunique"] >= 2)][:40]
        fit_return_strength(log_of(visits[visits["user_id"].isin(some)]), memory=0.8)
    with pytest.raises(TableError, match="Log impressions with request_id"):
        fit_return_strength(log_of(visits).drop(columns="request_id"), memory=0.8)
    with pytest.raises(TableError, match="all visits of the log are alike"):
        fit_return_strength(log_of(visits.assign(clicked=0)), memory=0.8)
    learnt, found = return_strength_of(log_of(visits_of(0.5, n=3_000, days=28, seed=3)), assumed)
    assert found["learnt"] and learnt.return_strength == max(found["found"]["strength"], 0)
