"""Methods for the exposure of groups, on lists worked by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array

from ltexpo.rerank.peers import Market
from ltexpo.rerank.peers.alpha_fair import AlphaFair
from ltexpo.rerank.peers.amortised import Amortised
from ltexpo.rerank.peers.envy import Bundles, without_envy_cycles
from ltexpo.rerank.peers.fairco import FairCo
from ltexpo.rerank.peers.fairrec import FairRec
from ltexpo.rerank.peers.generalised_gini import GeneralisedGini
from ltexpo.rerank.peers.min_regularizer import MinRegularizer
from ltexpo.rerank.peers.p_mmf import PMMF, project, slot_weights
from ltexpo.rerank.peers.peer import Peer
from ltexpo.rerank.peers.tax_rank import TaxRank
from ltexpo.rerank.permutohedron import on_permutohedron


def repeated(scores: list[float], n_lists: int, *, k: int = 1, **fields: Any) -> Market:
    """The same list n times; item i is alone in group i."""
    n = len(scores)
    given = {"group": np.arange(n), "popularity": np.ones(n)} | fields
    return Market.build(
        np.arange(n_lists + 1) * n,
        np.tile(np.arange(n), n_lists),
        np.tile(scores, n_lists),
        attention=np.ones(k),
        **given,
    )


def test_fairrec_hands_out_copies_in_turn() -> None:
    # 2 users × 2 slots, 3 items: one copy of each. u0 takes 0, u1 takes 1, u0 takes 2; u1's list is filled with 0
    market = Market.build(
        [0, 3, 6],
        [0, 1, 2] * 2,
        [0.9, 0.8, 0.1, 0.9, 0.7, 0.2],
        attention=[1, 1],
        group=[0, 1, 2],
        popularity=[1, 1, 1],
    )
    assert FairRec().rerank(market, 1.0).tolist() == [[0, 2], [0, 1]]
    assert FairRec(by="item").rerank(market, 1.0).tolist() == [[0, 2], [0, 1]]
    # after the first round u1 envies u0 and so comes first: it takes 2, and u0's list is filled with 1
    assert FairRec(plus=True).rerank(market, 1.0).tolist() == [[0, 1], [1, 2]]
    assert FairRec().rerank(market, 0.7).tolist() == [[0, 1], [0, 1]]  # ⌊.7 × 4 / 3⌋ = 0 copies


def test_fairrec_guarantees_copies_in_proportion_to_the_due() -> None:
    market = repeated([0.9, 0.5, 0.1], 20, due=[0.2, 0.3, 0.5])
    shown = np.bincount(FairRec().rerank(market, 1.0).ravel(), minlength=3)
    assert shown.tolist() == [4, 6, 10]


def test_envy_cycles_end_in_a_swap() -> None:
    values = csr_array(np.array([[0.2, 0.9, 0.4], [0.8, 0.3, 0.4], [0.9, 0.5, 0.6]]))
    # u0 holds item 0 but wants item 1, u1 the other way round; u2 holds item 2 and envies the holder of item 0
    bundles = Bundles.of(values, np.array([True, False, False, False, True, False, False, False, True]))
    owner, order = without_envy_cycles(bundles)
    assert owner is not None and owner.tolist() == [1, 0, 2]
    assert order.tolist() == [0, 2, 1]  # u2 now envies u1, who has item 0


def test_a_bundle_of_strange_items_is_not_envied() -> None:
    # u0 would value item 1, but item 2, which comes with it, is no candidate of u0
    values = csr_array(([0.1, 0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1, 2], [0, 2, 5]), shape=(2, 3))
    bundles = Bundles.of(values, np.array([True, False, False, True, True]))
    assert bundles.allowed.tolist() == [[True, False], [True, True]]
    assert without_envy_cycles(bundles)[0] is None


def test_p_mmf_projection_is_the_papers_program() -> None:
    x = np.array([-3.0, -1.0, 2.0])
    project(x, 2.0)
    assert x.tolist() == [-2.0, 0.0, 2.0]
    rng = np.random.default_rng(0)
    for weight in (0.0, 0.3, 1.0, 5.0):
        start = rng.normal(size=5)
        order = np.argsort(start)
        # prefix sums of the sorted vector ≥ -λ are all sets S ≥ -λ
        answer = minimize(
            lambda y, start=start: ((y - start) ** 2).sum(),
            np.zeros(5),
            constraints={"type": "ineq", "fun": lambda y, o=order, w=weight: np.cumsum(y[o]) + w},
            tol=1e-12,
        )
        mine = start.copy()
        project(mine, weight)
        assert mine == pytest.approx(answer.x, abs=1e-5)


@pytest.mark.parametrize(("second", "flips"), [(0.66, True), (0.60, False)])
def test_p_mmf_prices_after_one_list(second: float, flips: bool) -> None:
    # ρ = 3/4, γ = 3/2. List 1 shows group 0: g = .1 × (left / 2 - shown) = ∓.075, μ = ±.075 / ρ² = ±.1333 at step 1
    scores = [0.9, 0.1, 0.9, second]
    market = Market.build([0, 2, 4], [0, 1, 0, 1], scores, attention=[1.0], group=[0, 1], popularity=[1, 1])
    slots = PMMF(capped=False, step=np.sqrt(2)).rerank(market, 10.0)
    assert slots.tolist() == [[0], [1 if flips else 0]]


def test_p_mmf_shuts_out_groups_at_their_cap() -> None:
    market = repeated([0.9, 0.1], 20)  # γ = 20 × 3/4 = 15 slots
    slots = PMMF(step=0.0).rerank(market, 0.0)
    assert slots.ravel().tolist() == [0] * 15 + [1] * 5
    assert PMMF(capped=False, step=0.0).rerank(market, 0.0).ravel().tolist() == [0] * 20


@pytest.mark.parametrize(("second", "flips"), [(0.75, True), (0.65, False)])
def test_min_regularizer_adds_the_lag(second: float, flips: bool) -> None:
    # after list 1 group 0 has 1 - 1 / (2 × 3/4) = 1/3 left, group 1 all: λ = .3 adds .2
    scores = [0.9, 0.1, 0.9, second]
    market = Market.build([0, 2, 4], [0, 1, 0, 1], scores, attention=[1.0], group=[0, 1], popularity=[1, 1])
    assert MinRegularizer().rerank(market, 0.3).tolist() == [[0], [1 if flips else 0]]


@pytest.mark.parametrize(("second", "flips"), [(0.75, True), (0.65, False)])
def test_fairco_adds_the_error_of_exposure(second: float, flips: bool) -> None:
    # after list 1 group 0 has exposure 1 at merit 1/2: group 1 is 2 behind, λ = .1 adds .2
    scores = [0.9, 0.1, 0.9, second]
    market = Market.build([0, 2, 4], [0, 1, 0, 1], scores, attention=[1.0], group=[0, 1], popularity=[1, 1])
    assert FairCo(merit="due").rerank(market, 0.1).tolist() == [[0], [1 if flips else 0]]
    # by relevance: merit of group 0 = 1.8 / (1.9 + second), so group 1 is 1 / merit behind
    behind = (1.9 + second) / 1.8
    just = (0.9 - second) / behind
    assert FairCo().rerank(market, just * 1.01).tolist() == [[0], [1]]
    assert FairCo().rerank(market, just * 0.99).tolist() == [[0], [0]]


def test_amortised_pays_back_within_the_quality_bound() -> None:
    market = repeated([0.52, 0.3, 0.2], 2, group=[0, 1, 1])
    # owed before list 2: group 0 .51 + .51 - 1 = .02, group 1 .98; its best has 58% of the ideal
    assert Amortised().rerank(market, 0.5).tolist() == [[0], [1]]
    assert Amortised().rerank(market, 0.3).tolist() == [[0], [0]]


def test_amortised_keeps_the_quality_of_every_list() -> None:
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.random((50, 20)), axis=1)
    items = np.concatenate([rng.permutation(40)[:20] for _ in range(50)])
    attention = 1 / np.log2(np.arange(2, 8))
    market = Market.build(
        np.arange(51) * 20, items, scores.ravel(), attention=attention, group=np.arange(40) % 7, popularity=np.ones(40)
    )
    for strength in (0.02, 0.1, 0.3):
        slots = Amortised().rerank(market, strength)
        kept = np.take_along_axis(scores, slots, axis=1) @ attention
        ideal = scores[:, :6] @ attention
        assert (kept >= (1 - strength) * ideal - 1e-6).all()
        assert (kept < ideal - 1e-6).any()


def share_of_first(peer: Peer, strength: float) -> float:
    market = repeated([0.6, 0.5], 2000)
    return float((peer.rerank(market, strength) == 0).mean())


def test_alpha_fair_finds_the_optimum_of_the_welfare() -> None:
    # maximise .6 q + .5 (1 - q) + λ (log 2q + log 2(1 - q)) / 2 at λ = .1: 1 / (1 - q) - 1 / q = 2, q = √½
    assert share_of_first(AlphaFair(n_steps=400), 0.1) == pytest.approx(np.sqrt(0.5), abs=0.01)
    # and with λ large both halves
    assert share_of_first(AlphaFair(n_steps=400), 10.0) == pytest.approx(0.5, abs=0.01)


def test_alpha_fair_to_users_too_gives_lists_their_turn() -> None:
    # two users, one item each wants more than the other; concave users weigh the poorer list's clicks more
    scores = [0.9, 0.85, 0.2, 0.1]
    market = Market.build([0, 2, 4], [0, 1, 0, 1], scores, attention=[1.0], group=[0, 1], popularity=[1, 1])
    # moving list 0 costs .05, list 1 .1 of clicks, but .05 / .9 < .1 / .2 of log clicks: list 0 gives way
    slots = AlphaFair(user_alpha=0.0).rerank(market, 0.2)
    assert slots[1].tolist() == [0]


def test_tax_rank_finds_the_optimum_of_the_tax() -> None:
    # t = 1: log .6q + log .5(1 - q): halves; t = 1/2: (1 - q) / q = .5 / .6
    assert share_of_first(TaxRank(n_steps=400), 1.0) == pytest.approx(0.5, abs=0.01)
    assert share_of_first(TaxRank(n_steps=400), 0.5) == pytest.approx(6 / 11, abs=0.01)


def test_generalised_gini_equalises_when_the_poor_weigh_enough() -> None:
    # weights 3/2 and 1/2: the poorer group gains λ on the richer, which pays if λ > .6 - .5
    assert share_of_first(GeneralisedGini(n_steps=400), 0.05) == pytest.approx(1.0, abs=0.01)
    assert share_of_first(GeneralisedGini(n_steps=400), 0.2) == pytest.approx(0.5, abs=0.05)


def test_two_points_projected_on_the_permutohedron() -> None:
    falling = np.array([1.5, 0.5])
    assert on_permutohedron(np.array([1.0, 3.0]), falling).tolist() == [0.5, 1.5]
    assert on_permutohedron(np.array([2.0, 2.0]), falling).tolist() == [1.0, 1.0]
    # z = (.8, .4): the hull is the segment from (1.5, .5) to (.5, 1.5), sum 2: nearest (1.2, .8)
    assert on_permutohedron(np.array([0.8, 0.4]), falling) == pytest.approx([1.2, 0.8])


def test_slots_may_count_by_attention() -> None:
    # list 1 shows group 0 in slot 1 and group 1 in slot 2: by slots they are even, by attention (weights 3/2 and 1/2)
    # group 0 has 2 - 1.5 / 1.5 = 1 left and group 1 2 - .5 / 1.5 = 5/3, so λ = .3 adds .2 to item 3
    market = Market.build(
        [0, 2, 5], [0, 1, 0, 2, 3], [0.9, 0.8, 0.9, 0.8, 0.7],
        attention=[1, 1 / 3], group=[0, 1, 0, 1], popularity=np.ones(4),
    )  # fmt: skip
    assert slot_weights(market, True) == pytest.approx([1.5, 0.5])
    assert MinRegularizer().rerank(market, 0.3)[1].tolist() == [0, 1]
    assert MinRegularizer(weigh_slots=True).rerank(market, 0.3)[1].tolist() == [0, 2]
