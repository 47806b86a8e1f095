"""Exact enumeration of small lists: each estimator is unbiased under its own click model, and fails outside it."""

import numpy as np
import pytest
from made_slates import MODELS, Slates, expectation

from ltexpo.simulate.ope import ranking

# estimator → the click models under which it is right
RIGHT = {
    "ips": set(MODELS), "rips": {*MODELS} - {"whole list"}, "cascade_dr": {*MODELS} - {"whole list"},
    "iips": {"own item"}, "iips, conditional propensities": {"own item"}, "dr": {"own item"},
}


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
