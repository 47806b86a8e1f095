"""Every published re-ranker keeps the contract of `Peer`."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from ltexpo.errors import ConfigError, InputError
from ltexpo.rerank.peers import PEERS, Market
from ltexpo.rerank.peers.fairrec import MOST_LISTS
from ltexpo.rerank.peers.merit import merits

NAMES = list(PEERS)


def make_market(
    lengths: Sequence[int], *, k: int = 6, n_items: int = 60, seed: int = 0, features: bool = False
) -> Market:
    """Lists of these lengths over items of 5 groups (and some of none), popular items scoring higher."""
    rng = np.random.default_rng(seed)
    popularity = np.round(500.0 / np.arange(1, n_items + 1))
    popularity[-5:] = 0
    items = np.concatenate([rng.choice(n_items, n, replace=False) for n in lengths] or [np.empty(0, np.int64)])
    logit = rng.normal(size=len(items)) - 1.5 + 0.4 * np.log1p(popularity[items])
    past = [rng.choice(n_items, rng.integers(0, 6)) for _ in lengths]
    return Market.build(
        np.concatenate([[0], np.cumsum(lengths)]),
        items,
        1 / (1 + np.exp(-logit)),
        attention=1 / np.log2(np.arange(2, k + 2)),
        group=rng.integers(-1, 5, n_items),
        popularity=popularity,
        due=np.array([0.1, 0.3, 0.2, 0.2, 0.2]),
        history=(np.concatenate([[0], np.cumsum([len(p) for p in past])]), np.concatenate([*past, []])),
        features=rng.normal(size=(n_items, 8)) if features else None,
        user_group=rng.integers(0, 2, len(lengths)),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lengths", [[30] * 40, [1, 3, 0, 6, 7, 30, 2], [1], [0], []])
def test_slots_hold_distinct_candidates(name: str, lengths: list[int]) -> None:
    """Full as far as there are candidates, only candidates, none twice, -1 at the end; also for odd lists."""
    market, peer = make_market(lengths), PEERS[name]
    for strength in (peer.strengths[0], peer.strengths[len(peer.strengths) // 2], peer.strengths[-1]):
        slots = peer.rerank(market, strength)
        assert slots.shape == (len(lengths), market.k) and slots.dtype == np.int32
        for n, row in zip(lengths, slots, strict=True):
            shown = row[: min(n, market.k)]
            assert ((shown >= 0) & (shown < n)).all()
            assert len(set(shown.tolist())) == len(shown)
            assert (row[len(shown) :] == -1).all()


@pytest.mark.parametrize("name", NAMES)
def test_same_input_same_slots(name: str) -> None:
    peer = PEERS[name]
    strength = peer.strengths[len(peer.strengths) // 2]
    market, again = make_market([25] * 60), make_market([25] * 60)
    first = peer.rerank(market, strength)
    assert np.array_equal(first, peer.rerank(again, strength))
    assert np.array_equal(market.scores, again.scores) and np.array_equal(market.items, again.items)


@pytest.mark.parametrize("name", [name for name in NAMES if PEERS[name].plain_at_zero])
def test_strength_zero_is_the_plain_list(name: str) -> None:
    market = make_market([25, 4, 1, 40] * 20)
    assert np.array_equal(PEERS[name].rerank(market, 0.0), PEERS["plain"].rerank(market, 0.0))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "plain"])
def test_strength_changes_the_lists_and_costs_clicks(name: str) -> None:
    market = make_market([40] * 80)
    plain = PEERS["plain"].rerank(market, 0.0)
    strong = PEERS[name].rerank(market, PEERS[name].strengths[-1])
    assert not np.array_equal(plain, strong)
    assert market.clicks(strong) <= market.clicks(plain) + 1e-9


@pytest.mark.parametrize("name", [name for name in NAMES if PEERS[name].raises == "protected"])
def test_protected_items_never_lose_by_strength(name: str) -> None:
    market, peer = make_market([40] * 80), PEERS[name]
    gain = -np.log1p(market.popularity) if name == "popularity_penalty" else market.protected.astype(float)
    held = [float(market.exposure(peer.rerank(market, strength)) @ gain) for strength in peer.strengths]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(held))
    assert held[-1] > held[0]


@pytest.mark.parametrize("name", [name for name in NAMES if PEERS[name].raises == "groups"])
def test_the_worst_group_gains_by_strength(name: str) -> None:
    market, peer = make_market([40] * 200), PEERS[name]
    merit = merits(market, getattr(peer, "merit", "due"))

    def worst(strength: float, of: str = name) -> float:
        slots = PEERS[of].rerank(market, strength)
        return float((market.group_exposure(slots) / merit).min())

    plain = worst(0.0, "plain")
    assert max(worst(strength) for strength in peer.strengths) > plain
    assert worst(peer.strengths[-1]) >= plain


@pytest.mark.parametrize("name", ["mmr", "dpp"])
@pytest.mark.parametrize("features", [False, True])
def test_diversity_grows_with_strength(name: str, features: bool) -> None:
    market, peer = make_market([40] * 50, features=features), PEERS[name]

    def alike(strength: float) -> float:
        items = market.items[market.indptr[:-1, None] + peer.rerank(market, strength)]
        if market.features is not None:
            rows = market.features[items]
            return -float(np.linalg.slogdet(rows @ rows.transpose(0, 2, 1))[1].sum())
        group = market.group[items]
        return float(((group[:, :, None] == group[:, None, :]) & (group[:, None, :] >= 0)).sum())

    assert alike(peer.strengths[len(peer.strengths) // 2]) < alike(0.0)
    assert alike(1.0) < alike(0.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_strength_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"strength of {name} is -0.1"):
        PEERS[name].rerank(make_market([5]), -0.1)


def test_markets_refuse_what_they_cannot_use() -> None:
    good = {"attention": [1.0], "group": [0, 0], "popularity": [1, 1]}
    with pytest.raises(InputError, match="same item twice"):
        Market.build([0, 2], [1, 1], [0.5, 0.4], **good)
    with pytest.raises(InputError, match="NaN"):
        Market.build([0, 2], [0, 1], [0.5, np.nan], **good)
    with pytest.raises(InputError, match="codes outside 0 to 1"):
        Market.build([0, 2], [0, 2], [0.5, 0.4], **good)
    with pytest.raises(InputError, match="popularity"):
        Market.build([0, 2], [0, 1], [0.5, 0.4], attention=[1.0], group=[0, 0], popularity=[1])
    with pytest.raises(InputError, match="due"):
        Market.build([0, 2], [0, 1], [0.5, 0.4], **good, due=[0.0])
    with pytest.raises(InputError, match="history has 2 lists"):
        Market.build([0, 2], [0, 1], [0.5, 0.4], **good, history=([0, 1, 1], [0]))


def test_methods_refuse_markets_they_cannot_serve() -> None:
    bare = Market.build([0, 2], [0, 1], [0.5, 0.4], attention=[1.0], group=[0, 0], popularity=[1, 1])
    with pytest.raises(InputError, match="needs the users' histories"):
        PEERS["calibrated_popularity"].rerank(bare, 0.5)
    many = make_market([1] * (MOST_LISTS + 1))
    with pytest.raises(InputError, match="all pairs of lists"):
        PEERS["fairrec_plus"].rerank(many, 0.5)
