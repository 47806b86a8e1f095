"""Single slots: by hand, limits, and the reward model's error against small changes of the weights."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_slates import Slates, as_log

from ltexpo.simulate.ope import Logged, read_policy, slot
from ltexpo.simulate.ope.model_error import ModelError, shown_by
from ltexpo.simulate.ope.reward_model import cross_fitted, fit_levels, of_logged, of_policy

WEIGHTS = np.array([[2.0], [0.5], [0.0], [1.5]])
REWARDS = np.array([[1.0], [0.0], [1.0], [1.0]])
SHOWN = np.ones((4, 1), dtype=bool)


def slates(seed: int = 0, **more: object) -> Slates:
    return Slates.make("own item", n_items=5, k=3, apart=0.7, rng=np.random.default_rng(seed), **more)


def test_ips_and_snips_by_hand():
    assert slot.ips(WEIGHTS, REWARDS).tolist() == [2.0, 0.0, 0.0, 1.5]
    linear = slot.snips(WEIGHTS, REWARDS, SHOWN)
    assert linear.mean() == pytest.approx(3.5 / 4)
    # the influence of a ratio: w (r − value) / Σ w
    assert linear - linear.mean() == pytest.approx(4 * WEIGHTS[:, 0] * (REWARDS[:, 0] - 0.875) / 4)


def test_snips_goes_rank_by_rank():
    weights = np.array([[2.0, 1.0], [1.0, 3.0], [1.0, 0.0]])
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    shown = np.array([[True, True], [True, True], [True, False]])
    assert slot.snips(weights, rewards, shown).mean() == pytest.approx(3 / 4 + 2 / 3 * 3 / 4)
    assert np.isnan(slot.snips(np.zeros((3, 2)), rewards, shown)).all()


def test_doubly_robust_by_hand():
    predicted, expected = np.full((4, 1), 0.25), np.full((4, 1), 0.4)
    got = slot.doubly_robust(WEIGHTS, REWARDS, predicted, expected)
    assert got.tolist() == pytest.approx([0.4 + 2 * 0.75, 0.4 - 0.5 * 0.25, 0.4, 0.4 + 1.5 * 0.75])
    assert slot.direct(expected).tolist() == [0.4] * 4


def test_switch_and_shrinkage_have_ips_and_nothing_as_limits():
    assert slot.switched(WEIGHTS, 1.5)[:, 0].tolist() == [0.0, 0.5, 0.0, 1.5]
    assert slot.shrunk(WEIGHTS, np.inf) is WEIGHTS
    assert slot.shrunk(WEIGHTS, 1e12) == pytest.approx(WEIGHTS)
    assert slot.shrunk(WEIGHTS, 1e-12) == pytest.approx(np.zeros((4, 1)), abs=1e-11)
    assert slot.shrunk(WEIGHTS, 3.0)[0, 0] == pytest.approx(3 * 2 / (4 + 3))


def test_slope_stops_where_the_candidates_part():
    widths = {0: 1.0, 1: 0.5, 2: 0.1, 3: 0.05}
    candidates = [np.array([middle, middle, float(index)]) for index, middle in enumerate([0.0, 0.4, 0.9, 3.0])]
    middles = [candidate[:2].mean() for candidate in candidates]
    assert middles == [0.0, 0.4, 0.9, 3.0]
    got = slot.choose(
        [np.full(2, middle) for middle in middles],
        lambda linear: widths[middles.index(linear[0])],
    )
    # 0.9 ≤ 0.1 + 1.45 · 1.0 and 0.5 ≤ 0.1 + 1.45 · 0.5, but 3.0 is too far from 0
    assert got == 2


def weighted(log: Logged, weights: np.ndarray) -> Logged:
    """A log in which request r stands `weights[r]` times."""
    rows = np.repeat(np.arange(len(weights)), weights)
    return as_log(log.items[rows], log.rewards[rows], log.propensities[rows], log.segments[rows], 5)


@pytest.mark.parametrize("segments", [True, False])
def test_the_models_error_is_its_derivative(segments: bool):
    """Each request's influence against the change when it is counted a little more often (1 % of a request)."""
    made = slates()
    log = made.log(40, np.random.default_rng(1))
    if not segments:
        log = replace(log, segments=np.zeros(40, dtype=np.int64))
    policy = read_policy(made.table(), log)
    marginal = policy.marginal(log, np.random.default_rng(2))
    weights = np.random.default_rng(3).random(log.items.shape)
    model = ModelError(log, policy, marginal, smoothing=4.0)
    taken = np.zeros(model.target.shape)
    np.add.at(taken, (log.segments[:, None], np.arange(3), log.items), weights / 40)
    rests = model.target - taken

    def value(counts: np.ndarray) -> float:
        return float((rests * fit_levels(weighted_segments(log, counts), 5, smoothing=4.0 * 100).means).sum())

    base = value(np.full(40, 100))
    changes = np.array([value(np.full(40, 100) + (np.arange(40) == row)) for row in range(40)]) - base
    moved = 100 * 40 * changes
    assert model.moved(weights) == pytest.approx(moved - moved.mean(), abs=0.02 * np.abs(moved).max())


def weighted_segments(log: Logged, counts: np.ndarray) -> Logged:
    again = weighted(log, counts)
    return replace(again, segments=log.segments[np.repeat(np.arange(len(counts)), counts)])


@given(st.integers(0, 1000))
def test_means_over_the_policy_are_what_a_loop_gives(seed: int):
    rng = np.random.default_rng(seed)
    made = slates(seed)
    log = made.log(25, rng)
    policy = read_policy(made.table(), log, repeats=True)
    means = rng.random((2, 3, 5))
    got = of_policy(means, policy, policy.probabilities, log.segments)
    for row, kind in enumerate(log.segments):
        assert got[row] == pytest.approx(means[kind] @ made.target[kind])
        assert of_logged(means, log)[row] == pytest.approx(means[kind, np.arange(3), log.items[row]])
    share = np.bincount(log.segments, minlength=2) / 25
    assert shown_by(log, policy, policy.probabilities)[1, 2] == pytest.approx(share[1] * made.target[1])


def test_smoothed_means_by_hand():
    log = as_log(
        np.array([[0, 1], [0, 1], [1, 0]]), np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), np.ones((3, 2)),
        np.zeros(3, dtype=np.int64), 5,
    )
    levels = fit_levels(log, 5, smoothing=1.0)
    first, second = (2 + 1 / 3) / 4, (0 + 1 / 3) / 4
    assert levels.by_rank.tolist() == pytest.approx([first, second])
    lift = (1 + 1 / 3) / (2 * first + second + 1 / 3)
    assert levels.lift[0] == pytest.approx(lift)
    assert levels.means[0, 0, 0] == pytest.approx((1 + first * lift) / (2 + 1))
    assert levels.means[0, 1, 4] == pytest.approx(second)  # never shown: its rank's mean


def test_no_request_is_predicted_from_its_own_user():
    made = slates()
    log = made.log(60, np.random.default_rng(1))
    log = replace(log, users=np.repeat(np.arange(20), 3))
    policy = read_policy(made.table(), log)
    marginal = policy.marginal(log, np.random.default_rng(2))

    def predicted(rewards: np.ndarray) -> np.ndarray:
        return cross_fitted(
            replace(log, rewards=rewards), policy, marginal, folds=4, smoothing=5.0, by="user",
            rng=np.random.default_rng(0),
        ).logged

    changed = log.rewards.copy()
    changed[log.users == 7] = 1 - changed[log.users == 7]
    same = predicted(log.rewards) == predicted(changed)
    assert same[log.users == 7].all()
    assert not same.all()
