"""Methods against popularity and for diversity, on lists worked by hand."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from ltexpo.rerank.peers import PEERS, Market
from ltexpo.rerank.peers.calibrated_popularity import divergence
from ltexpo.rerank.peers.cpfair import CPFair
from ltexpo.rerank.peers.fa_ir import adjusted_significance, failure_probability, needed
from ltexpo.rerank.peers.xquad import XQuad


def one_list(scores: list[float], *, k: int, **fields: Any) -> Market:
    """Items 0, 1, … with falling scores, so that offsets are item codes."""
    given = {"group": np.zeros(len(scores)), "popularity": np.ones(len(scores))} | fields
    return Market.build([0, len(scores)], np.arange(len(scores)), scores, attention=np.ones(k), **given)


def chosen(name: str, market: Market, strength: float) -> list[int]:
    return PEERS[name].rerank(market, strength)[0].tolist()


def test_plain_takes_the_best_and_breaks_ties_by_code() -> None:
    market = Market.build([0, 3], [2, 0, 1], [0.5, 0.7, 0.5], attention=[1, 1], group=[0, 0, 0], popularity=[1, 1, 1])
    assert market.items[PEERS["plain"].rerank(market, 0.0)[0]].tolist() == [0, 1]


def test_popularity_penalty_takes_log_popularity() -> None:
    # log(1 + n) / log(100) = 1, 0, 1/2, 0
    market = one_list([0.9, 0.8, 0.7, 0.58], k=3, popularity=[99, 0, 9, 0])
    assert chosen("popularity_penalty", market, 0.2) == [1, 0, 2]  # .70 .80 .60 .58
    assert chosen("popularity_penalty", market, 0.3) == [1, 0, 3]  # .60 .80 .55 .58


def test_xquad_binary_covers_once_and_smooth_keeps_the_mix() -> None:
    # nine of ten items in the history are tail; λ = 1/2
    market = one_list([0.9, 0.8, 0.7, 0.6], k=3, protected=[False, False, True, True], history=([0, 10], [2] * 9 + [0]))
    # 1: head .45 + .05, tail .35 + .45 → item 2; 2: tail covered .30, head .50 → item 0
    # 3: binary head .40, tail .30 → item 1; smooth (half of the list each) head .40 + .025, tail .30 + .225 → item 3
    assert XQuad(smooth=False).rerank(market, 0.5)[0].tolist() == [2, 0, 1]
    assert XQuad(smooth=True).rerank(market, 0.5)[0].tolist() == [2, 0, 3]


def test_calibrated_popularity_follows_the_users_own_mix() -> None:
    # popularity 30, 50, 20: item 1 holds the first 20% (head), item 2 the last (tail), item 0 lies between
    market = one_list([0.9, 0.8, 0.1], k=2, popularity=[30, 50, 20], history=([0, 2], [2, 2]))
    # 1: .45 - .5 × 1, .40 - .5 × 1, .05 - 0 → item 2; 2: both others leave J = .311 → item 0
    assert chosen("calibrated_popularity", market, 0.5) == [2, 0]
    assert divergence(np.array([0.0, 0.0, 1.0]), np.array([0, 1, 1]), 2) == pytest.approx(0.311278, abs=1e-6)


def test_fa_ir_tables_are_binomial_quantiles() -> None:
    # p = 1/2: F(0; 3) = 1/8 > .1 ≥ F(0; 4) = 1/16; F(1; 7) = 8/128; F(2; 9) = 46/512
    assert needed(10, 0.5, 0.1).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert needed(10, 0.3, 0.1).tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert needed(10, 0.0, 0.1).tolist() == [0] * 10


def test_fa_ir_adjusts_for_the_tests_of_every_prefix() -> None:
    assert failure_probability(np.array([0, 1]), 0.5) == pytest.approx(0.25)
    table = needed(10, 0.5, 0.1)
    drawn = [np.cumsum(bits) for bits in product((0, 1), repeat=10)]
    failed = sum(bool((counts < table).any()) for counts in drawn) / 2**10
    assert failure_probability(table, 0.5) == pytest.approx(failed) and failed > 0.1
    adjusted = adjusted_significance(10, 0.5, 0.1)
    assert failure_probability(needed(10, 0.5, adjusted), 0.5) <= 0.1
    assert failure_probability(needed(10, 0.5, adjusted * 1.0001), 0.5) > 0.1


def test_fa_ir_lifts_the_best_protected_item_just_in_time() -> None:
    market = one_list([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], k=4, protected=[False] * 4 + [True] * 2)
    assert chosen("fa_ir", market, 0.5) == [0, 1, 2, 4]  # one needed from the fourth slot on
    assert chosen("fa_ir", market, 0.1) == [0, 1, 2, 3]


def test_cpfair_moves_items_by_group_and_scores_by_user_group() -> None:
    fields = {"group": [0, 0, 0], "popularity": [1, 1, 1], "protected": [False, False, True]}
    scores = [0.9, 0.75, 0.6]
    market = Market.build([0, 3], [0, 1, 2], scores, attention=np.ones(3), **fields)
    assert chosen("cpfair", market, 0.1) == [0, 2, 1]  # .80 .65 .70
    both = Market.build([0, 3, 6], [0, 1, 2] * 2, scores * 2, attention=np.ones(3), user_group=[1, 0], **fields)
    # worse served × 1.5: 1.25 1.025 1.00; the others × .5: .35 .275 .40
    assert CPFair(user_weight=0.5).rerank(both, 0.1).tolist() == [[0, 1, 2], [2, 0, 1]]


def test_mmr_sets_likeness_against_score() -> None:
    market = one_list([0.9, 0.8, 0.7], k=3, group=[0, 0, 1])
    assert chosen("mmr", market, 0.5) == [0, 2, 1]  # second slot: .40 - .50, .35 - 0
    assert chosen("mmr", market, 0.05) == [0, 1, 2]  # .76 - .05, .665
    angled = one_list([0.9, 0.8, 0.7], k=2, features=[[2, 0], [3, 4], [0, 1]])
    assert chosen("mmr", angled, 0.1) == [0, 1]  # cosines .6 and 0: .72 - .06, .63
    assert chosen("mmr", angled, 0.2) == [0, 2]  # .64 - .12, .56 - 0


def test_dpp_is_the_greedy_over_determinants() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(12, 6))
    scores = np.sort(rng.random(12))[::-1]
    market = one_list(scores.tolist(), k=5, features=features)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    like, weight, picked = unit @ unit.T, 0.3, list[int]()
    for _ in range(5):
        worth = {
            i: (1 - weight) * scores[[*picked, i]].sum()
            + weight * np.linalg.slogdet(like[np.ix_([*picked, i], [*picked, i])])[1]
            for i in range(12)
            if i not in picked
        }
        picked.append(max(worth, key=lambda i: worth[i]))
    assert chosen("dpp", market, weight) == picked
    # without features: det of a pair in one group is 1 - .9² = .19, log = -1.66
    grouped = one_list([0.9, 0.8, 0.7], k=2, group=[0, 0, 1])
    assert chosen("dpp", grouped, 0.05) == [0, 1]  # .76 - .083, .665
    assert chosen("dpp", grouped, 0.06) == [0, 2]  # .752 - .0996, .658
