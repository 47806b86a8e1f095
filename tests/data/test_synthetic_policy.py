"""The logging policy: its propensities are the probabilities it draws with."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ltexpo.data.synthetic import LoggingPolicy

CATEGORY = np.array([0, 0, 1, 1, 1, 2])


def tiny_policy(exploration: float = 0.2) -> LoggingPolicy:
    mix = np.array([[0.7, 0.3, 0.0], [0.1, 0.2, 0.7]])
    # Item 5 is the whole of category 2 and cannot be shown.
    return LoggingPolicy.of(mix, CATEGORY, np.array([8.0, 2.0, 5.0, 0.1, 1.0, 0.0]), exploration)


def test_first_slot_by_hand():
    policy = tiny_policy(exploration=0.2)
    # User 1: category 2 has nothing to show, so the mix is (1/3, 2/3); item 0 holds 0.8 of category 0; 5 are open.
    assert policy.probabilities(1, np.array([], dtype=int))[0] == pytest.approx(0.8 * (1 / 3) * 0.8 + 0.2 / 5)
    # With item 0 above, 1 − 0.8/3 of the mass and 4 items are left.
    second = policy.probabilities(1, np.array([0]))
    assert second[1] == pytest.approx(0.8 * (0.2 / 3) / (1 - 0.8 / 3) + 0.2 / 4)
    assert second[0] == 0 and second[5] == 0


def test_all_lists_together_have_probability_one():
    policy = tiny_policy()
    total = 0.0
    for pair in itertools.permutations(range(5), 3):
        chance = 1.0
        for slot, item in enumerate(pair):
            chance *= policy.probabilities(0, np.array(pair[:slot], dtype=int))[item]
        total += chance
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("user", [0, 1])
def test_lists_come_as_often_as_their_propensities_say(user):
    policy, n = tiny_policy(), 40_000
    items, propensities = policy.draw(np.full(n, user), 2, np.random.default_rng(5))
    pairs = list(itertools.permutations(range(5), 2))
    at_first = policy.probabilities(user, np.array([], dtype=int))
    expected = np.array([
        at_first[first] * policy.probabilities(user, np.array([first]))[second] for first, second in pairs
    ])
    codes = items[:, 0] * 10 + items[:, 1]
    counted = np.array([(codes == first * 10 + second).sum() for first, second in pairs])
    assert counted.sum() == n
    assert stats.chisquare(counted, n * expected).pvalue > 0.001
    logged = dict(zip(codes, propensities.prod(axis=1), strict=True))
    for (first, second), chance in zip(pairs, expected, strict=True):
        if first * 10 + second in logged:
            assert logged[first * 10 + second] == pytest.approx(chance)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), n_items=st.integers(4, 30), n_categories=st.integers(1, 5),
    exploration=st.floats(0.01, 0.9),
)
def test_logged_propensity_is_the_plain_formula(seed, n_items, n_categories, exploration):
    rng = np.random.default_rng(seed)
    category = rng.integers(n_categories, size=n_items)
    weight = np.where(rng.random(n_items) < 0.2, 0.0, rng.exponential(size=n_items) ** 3 + 1e-6)
    weight[:4] = 1.0
    policy = LoggingPolicy.of(rng.dirichlet(np.ones(n_categories), size=3), category, weight, exploration)
    users = rng.integers(3, size=20)
    items, propensities = policy.draw(users, 4, rng)
    for user, shown, logged in zip(users, items, propensities, strict=True):
        assert len(set(shown)) == 4
        assert (weight[shown] > 0).all()
        for slot in range(4):
            open_ = policy.probabilities(user, shown[:slot])
            assert open_.sum() == pytest.approx(1)
            assert logged[slot] == pytest.approx(open_[shown[slot]], rel=1e-6)
