"""Exact enumeration of small lists: each estimator is unbiased under its own click model, and fails outside it."""

import numpy as np
import pytest
from made_slates import MODELS, Slates, click_chances, marginals, steps

from ltexpo.simulate.ope import ranking, slot

# estimator → the click models under which it is right
RIGHT = {
    "ips": set(MODELS), "rips": {*MODELS} - {"whole list"}, "cascade_dr": {*MODELS} - {"whole list"},
    "iips": {"own item"}, "iips, conditional propensities": {"own item"}, "dr": {"own item"},
}


def expectation(slates: Slates, estimator: str) -> float:
    """Σ over every kind of user and every list: its probability in the log times what the estimator makes of it."""
    lists, rng = slates.lists(), np.random.default_rng(1)
    shown = np.ones(lists.shape, dtype=bool)
    total = 0.0
    for logging, target, attraction in zip(slates.logging, slates.target, slates.attraction, strict=True):
        logged, wanted = steps(logging, lists), steps(target, lists)
        ratio, rewards = wanted / logged, click_chances(slates.model, attraction[lists])
        own, other = marginals(target, lists), marginals(logging, lists)
        ranks = np.arange(slates.k)
        slots = own[ranks, lists] / other[ranks, lists]
        if estimator == "ips":
            made = ranking.list_ips(ratio, rewards)
        elif estimator == "rips":
            made = ranking.rips(ratio, rewards, shown)
        elif estimator == "iips":
            made = slot.ips(slots, rewards)
        elif estimator == "iips, conditional propensities":
            offered = np.array([[1 - other[:rank, item].sum() for item in range(len(logging))] for rank in ranks])
            made = slot.ips(own[ranks, lists] / (logged * offered[ranks, lists]), rewards)
        elif estimator == "dr":
            guess = rng.random(own.shape)
            expected = np.tile((own * guess).sum(axis=1), (len(lists), 1))
            made = slot.doubly_robust(slots, rewards, guess[ranks, lists], expected)
        else:
            value, ahead = any_values(target, lists, rng)
            made = ranking.cascade_dr(ratio, rewards, shown, value, ahead)
        total += float(logged.prod(axis=1) @ made) / len(slates.logging)
    return total


def any_values(target: np.ndarray, lists: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(L, k) arbitrary Q of every prefix, and its mean over the target below the prefix above."""
    guess: dict[tuple[int, ...], float] = {}
    value, ahead = np.empty(lists.shape), np.empty(lists.shape)
    for row, items in enumerate(lists.tolist()):
        for rank in range(lists.shape[1]):
            above = tuple(items[:rank])
            left = [item for item in range(len(target)) if item not in above]
            for item in left:
                guess.setdefault((*above, item), rng.random())
            value[row, rank] = guess[(*above, items[rank])]
            ahead[row, rank] = sum(target[i] * guess[(*above, i)] for i in left) / target[left].sum()
    return value, ahead


@pytest.mark.parametrize("estimator", RIGHT)
@pytest.mark.parametrize("model", MODELS)
def test_unbiased_under_its_own_click_model_only(model: str, estimator: str):
    slates = Slates.make(model, n_items=5, k=3, apart=2.0, rng=np.random.default_rng(4), clicks=0.5)
    off = expectation(slates, estimator) - slates.truth()
    if model in RIGHT[estimator]:
        assert off == pytest.approx(0, abs=1e-12)
    else:
        assert abs(off) > 0.003


def test_by_hand():
    ratio = np.array([[2.0, 0.5, 1.0], [0.5, 2.0, 3.0]])
    rewards = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    shown = np.array([[True, True, False], [True, True, True]])
    assert ranking.list_ips(ratio, rewards).tolist() == [2.0, 6.0]
    assert ranking.list_snips(ratio, rewards).mean() == pytest.approx(8 / 4)
    assert ranking.prefix_weights(ratio, shown).tolist() == [[2.0, 1.0, 0.0], [0.5, 1.0, 3.0]]
    assert ranking.rips(ratio, rewards, shown).tolist() == [3.0, 4.0]
    value, ahead = np.full((2, 3), 0.5) * shown, np.full((2, 3), 0.4) * shown
    got = ranking.cascade_dr(ratio, rewards, shown, value, ahead)
    assert got[0] == pytest.approx(2 * 0.5 + 0.4 + 1 * 0.5 + 2 * 0.4)
    assert got[1] == pytest.approx(-0.25 + 0.4 + 0.5 + 0.5 * 0.4 + 1.5 + 1 * 0.4)
