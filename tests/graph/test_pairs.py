import numpy as np
import pytest

from ltexpo.graph.pairs import PairSettings, count_pairs


def test_pairs_by_hand():
    owner, item = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1])
    day = np.array([0.0, 2.0, 4.0, 4.0, 4.0])
    plain = PairSettings(window_days=3, gap_half_life=2, half_life=None, user_damping=0)
    pairs = count_pairs(owner, item, day, plain, n_items=3, now=4.0).toarray()
    assert np.allclose(pairs, pairs.T)
    assert pairs[0, 1] == pytest.approx(0.5 + 1.0)
    assert pairs[1, 2] == pytest.approx(0.5)
    assert pairs[0, 2] == 0.0  # four days apart


def test_pairs_against_a_naive_loop():
    rng = np.random.default_rng(2)
    owner = np.sort(rng.integers(6, size=60))
    item, day = rng.integers(5, size=60), np.zeros(60)
    for user in range(6):
        day[owner == user] = np.sort(rng.integers(12, size=(owner == user).sum()))
    options = PairSettings(window_positions=4, window_days=5, gap_half_life=3, half_life=6, user_damping=0.5)
    expected = np.zeros((5, 5))
    size = np.bincount(owner)
    for a in range(60):
        for b in range(a + 1, min(a + 5, 60)):
            gap = day[b] - day[a]
            if owner[a] == owner[b] and item[a] != item[b] and gap <= 5:
                value = 0.5 ** ((12 - day[b]) / 6) * 0.5 ** (gap / 3) / size[owner[a]] ** 0.5
                expected[item[a], item[b]] += value
                expected[item[b], item[a]] += value
    assert np.allclose(count_pairs(owner, item, day, options, n_items=5, now=12.0).toarray(), expected)


def test_no_interaction_no_pair():
    nothing = np.empty(0, dtype=np.int64)
    assert count_pairs(nothing, nothing, np.empty(0), PairSettings(), n_items=3, now=0.0).nnz == 0
