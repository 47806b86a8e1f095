import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltexpo.errors import InputError
from ltexpo.metrics.inequality import entropy, gini, lorenz, min_share, worst_share

AMOUNTS = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=60).filter(lambda x: sum(x) > 1e-6)


def test_gini_by_hand():
    # Pairwise differences of 0, 1, 3: (1 + 3 + 2) · 2 = 12 over 2 · n² · mean = 2 · 9 · 4/3 = 24.
    assert gini([3.0, 0.0, 1.0]) == pytest.approx(12 / 24)
    assert gini([0, 0, 0, 5]) == pytest.approx(3 / 4)
    assert gini([2, 2, 2]) == 0
    assert math.isnan(gini([0, 0]))


def test_lorenz_by_hand():
    curve = lorenz([3.0, 0.0, 1.0])
    assert curve["item_share"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert curve["exposure_share"].tolist() == pytest.approx([0, 0, 1 / 4, 1])


def test_entropy_by_hand():
    assert entropy([1, 1, 2]) == pytest.approx(-(0.25 * math.log(0.25) * 2 + 0.5 * math.log(0.5)))
    assert entropy([4, 4, 4, 4], normalised=True) == pytest.approx(1)
    assert entropy([5, 0, 0]) == 0
    assert math.isnan(entropy([0, 0]))
    assert math.isnan(entropy([3.0], normalised=True))


def test_worst_shares_by_hand():
    assert min_share([3, 1, 4]) == pytest.approx(1 / 8)
    # ⌊0.5 · 5⌋ = 2 worst groups hold 1 + 2 of 16.
    assert worst_share([6, 1, 2, 3, 4]) == pytest.approx(3 / 16)
    assert worst_share([7.0]) == 1
    assert min_share([0, 5]) == 0
    assert math.isnan(min_share([0, 0]))


def test_refusals():
    with pytest.raises(InputError, match="every item has 0"):
        lorenz([0, 0])
    with pytest.raises(InputError, match="negative or infinite"):
        gini([1, -1])
    with pytest.raises(InputError, match="shape"):
        gini([])
    with pytest.raises(InputError, match="fraction is 2"):
        worst_share([1], fraction=2)


@settings(max_examples=150, deadline=None)
@given(AMOUNTS, st.randoms(use_true_random=False))
def test_gini_equals_the_naive_pairs_and_ignores_order_and_scale(amounts, random):
    x = np.array(amounts)
    pairs = sum(abs(a - b) for a in amounts for b in amounts) / (2 * len(x) ** 2 * x.mean())
    found = gini(amounts)
    assert 0 <= found <= 1
    assert found == pytest.approx(pairs, abs=1e-9)
    assert gini(x * 7) == pytest.approx(found, abs=1e-9)
    random.shuffle(amounts)
    assert gini(amounts) == found


@settings(max_examples=150, deadline=None)
@given(AMOUNTS)
def test_lorenz_is_convex_below_the_diagonal_and_its_area_gives_the_gini(amounts):
    full = lorenz(amounts, points=None)
    x, y = full["item_share"].to_numpy(), full["exposure_share"].to_numpy()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (y <= x + 1e-9).all()
    assert (np.diff(y, 2) >= -1e-9).all()
    area = float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
    assert 1 - 2 * area == pytest.approx(gini(amounts), abs=1e-9)
    thin = lorenz(amounts, points=10)
    assert len(thin) <= 11
    on_curve = set(zip(x, y, strict=True))
    assert all(point in on_curve for point in thin.itertuples(index=False, name=None))
    assert {(0.0, 0.0), (1.0, 1.0)} <= set(thin.itertuples(index=False, name=None))


def test_thin_lorenz_keeps_the_bend_of_a_steep_curve():
    amounts = np.zeros(100_000)
    amounts[:50] = 1.0
    curve = lorenz(amounts)
    x, y = curve["item_share"].to_numpy(), curve["exposure_share"].to_numpy()
    area = float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
    assert 1 - 2 * area == pytest.approx(gini(amounts), abs=0.006)
    assert ((y > 0.1) & (y < 0.9)).sum() >= 30


@settings(max_examples=100, deadline=None)
@given(AMOUNTS)
def test_entropy_lies_between_one_item_and_all_equal(amounts):
    found = entropy(amounts)
    assert 0 <= found <= math.log(len(amounts)) + 1e-9
    p = np.array(amounts) / sum(amounts)
    assert found == pytest.approx(-sum(q * math.log(q) for q in p if q > 0), abs=1e-9)
