"""The truth: aligned pairs, whole blocks and the file agree."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.data import IdMap
from ltexpo.data.synthetic import Truth
from ltexpo.errors import TableError


@pytest.fixture
def truth() -> Truth:
    rng = np.random.default_rng(3)
    return Truth(
        users=IdMap(pd.Index(["U0", "U1", "U2"])),
        items=IdMap(pd.Index(["P0", "P1", "P2", "P3"])),
        user_factors=rng.standard_normal((3, 5)).astype(np.float32),
        item_factors=rng.standard_normal((4, 5)).astype(np.float32),
        item_bias=rng.standard_normal(4),
        cart_bias=rng.standard_normal(4),
        cart_slope=0.35,
        purchase_given_cart=0.4,
        examination=np.array([1.0, 0.6]),
    )


def naive(truth: Truth, user: int, item: int, bias: np.ndarray, slope: float) -> float:
    affinity = sum(float(a) * float(b) for a, b in zip(truth.user_factors[user], truth.item_factors[item], strict=True))
    return 1 / (1 + np.exp(-(bias[item] + slope * affinity)))


def test_pairs_follow_the_formula(truth):
    pairs = [(0, 3), (2, 1), (2, 1), (1, 0)]
    users, items = [f"U{user}" for user, _ in pairs], [f"P{item}" for _, item in pairs]
    clicks = [naive(truth, *pair, truth.item_bias, 1.0) for pair in pairs]
    carts = [naive(truth, *pair, truth.cart_bias, 0.35) for pair in pairs]
    assert truth.attraction(users, items) == pytest.approx(clicks, rel=1e-6)
    assert truth.cart_given_click(users, items) == pytest.approx(carts, rel=1e-6)
    assert truth.purchase_given_click(users, items) == pytest.approx(0.4 * np.array(carts), rel=1e-6)


def test_block_and_pairs_agree(truth):
    block = truth.attraction_matrix(["U2", "U0"], ["P3", "P1", "P0"])
    assert block.shape == (2, 3)
    assert block[0] == pytest.approx(truth.attraction(["U2"] * 3, ["P3", "P1", "P0"]), rel=1e-6)


def test_many_pairs_come_out_in_order(truth):
    rng = np.random.default_rng(0)
    users, items = rng.integers(3, size=150_000), rng.integers(4, size=150_000)
    block = truth.attraction_matrix(truth.users.ids, truth.items.ids)
    np.testing.assert_allclose(truth.attraction_of(users, items), block[users, items], rtol=1e-6)


def test_round_trip(truth, tmp_path):
    truth.save(tmp_path / "truth")
    back = Truth.load(tmp_path / "truth")
    users, items = ["U0", "U2"], ["P3", "P0"]
    assert (back.attraction(users, items) == truth.attraction(users, items)).all()
    assert (back.purchase_given_click(users, items) == truth.purchase_given_click(users, items)).all()
    assert (back.examination == truth.examination).all()
    first = (tmp_path / "truth" / "truth.npz").read_bytes()
    assert (back.save(tmp_path / "again") / "truth.npz").read_bytes() == first


def test_refusals(truth, tmp_path):
    with pytest.raises(TableError, match="user_id 'U9' is unknown"):
        truth.attraction(["U9"], ["P0"])
    with pytest.raises(TableError, match="2 users stand beside 1 items"):
        truth.attraction(["U0", "U1"], ["P0"])
    with pytest.raises(TableError, match="holds no truth"):
        Truth.load(tmp_path)
    np.savez(tmp_path / "truth.npz", users=np.array(["U0"], dtype=object))
    with pytest.raises(TableError, match="holds no truth"):
        Truth.load(tmp_path)
    for broken in (b"PK\x03\x04 half a file", b""):
        (tmp_path / "truth.npz").write_bytes(broken)
        with pytest.raises(TableError, match="holds no truth"):
            Truth.load(tmp_path)
