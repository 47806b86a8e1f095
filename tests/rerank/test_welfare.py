"""Welfare: utilities and conjugates by number, lists worked by hand, against enumeration and the convex program."""

from dataclasses import replace
from itertools import permutations, product

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_problem import random_problem
from pydantic import ValidationError

from ltexpo.errors import ColumnError, InputError
from ltexpo.rerank import DualController, ExposureReranker, Goal, GuardrailSettings, RerankSettings, frontier, rerank
from ltexpo.rerank.attain import attainable
from ltexpo.rerank.encode import encode
from ltexpo.rerank.exact_welfare import solve_exact_welfare
from ltexpo.rerank.permutohedron import falling_weights, on_permutohedron
from ltexpo.rerank.problem import Goals, Guardrails, Problem
from ltexpo.rerank.settings import Welfare
from ltexpo.rerank.solve import Solution, solve
from ltexpo.rerank.welfare import AlphaFair, GiniWelfare, Term, WelfareTerms

FREE = GuardrailSettings(min_score_ratio=None)


def add_welfare(
    problem: Problem, groups: int, *, weight: float, utility: str, alpha: float = 1.0, seed: int = 0
) -> Problem:
    """`problem` with a partition of its items into `groups` as welfare groups of unequal merit."""
    rng = np.random.default_rng(seed)
    goals, n_goals = problem.goals, len(problem.goals)
    part = rng.integers(0, groups, problem.n_items) + (int(problem.group_ids.max(initial=-1)) + 1)
    counts = np.diff(problem.group_indptr)
    indptr = np.concatenate([[0], np.cumsum(counts + 1)])
    ids = np.insert(problem.group_ids, problem.group_indptr[1:], part)
    both = Goals(
        np.concatenate([goals.group, part.min() + np.arange(groups)]),
        np.concatenate([goals.kind, np.zeros(groups, np.int8)]),
        np.concatenate([goals.target, np.zeros(groups)]),
    )
    made = replace(problem, group_indptr=indptr, group_ids=ids, goals=both)
    most = attainable(made)
    at = n_goals + np.flatnonzero(most[n_goals:] > 0)
    merit = rng.uniform(0.5, 1.5, len(at)) * problem.total_exposure / len(at)
    term: Term = AlphaFair(at, weight, merit, most[at], alpha, 0.01)
    if utility == "gini":
        term = GiniWelfare(at, merit, weight * falling_weights(len(at), 2.0))
    return replace(made, welfare=WelfareTerms((term,)))


def objective(answer: Solution) -> float:
    return answer.clicks_after + answer.welfare_after


def bound(answer: Solution) -> float:
    return answer.upper_bound + answer.welfare_after


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
def test_conjugate_by_number(alpha):
    term = AlphaFair(np.arange(3), 0.3, np.array([2.0, 5.0, 0.4]), np.array([9.0, 4.0, 1.0]), alpha, 0.02)
    grid = np.linspace(0, 1, 20001)[:, None] * term.most
    for prices in (np.array([0.05, 0.3, 0.31]), np.array([2.0, 0.01, 9.0]), np.full(3, 0.3)):
        value = np.array([[term.of_group(row, g) for g in range(3)] for row in grid[::50]]) - prices * grid[::50]
        top = value.max(axis=0)
        assert term.conjugate(prices) >= top.sum() - 1e-12
        assert term.conjugate(prices) == pytest.approx(top.sum(), abs=5e-3)
        wanted, step = term.demand(prices), 1e-6
        # where demand is inside its limits, slope and price agree
        inside = (wanted > 0) & (wanted < term.most)
        assert np.allclose(term.slope(wanted)[inside], prices[inside])
        ahead, behind = term.demand(prices + step), term.demand(prices - step)
        assert np.allclose((behind - ahead)[inside] / (2 * step), term.bend(prices)[inside], rtol=1e-3)
        # the conjugate falls with a price at the rate of demand
        for g in range(3):
            more = prices + step * (np.arange(3) == g)
            assert (term.conjugate(more) - term.conjugate(prices)) / step == pytest.approx(-wanted[g], abs=1e-3)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.floats(1, 4))
def test_projection_on_the_permutohedron(z, aversion):
    z, falling = np.array(z), falling_weights(len(z), aversion)
    assert falling.mean() == pytest.approx(1.0)
    point = on_permutohedron(z, falling)
    # majorised: no subset holds more than the largest weights, all of it holds the same
    assert point.sum() == pytest.approx(falling.sum())
    assert (np.cumsum(np.sort(point)[::-1]) <= np.cumsum(falling) + 1e-9).all()
    # nearest: every vertex lies behind the plane through the point
    for vertex in permutations(falling):
        assert (z - point) @ (np.array(vertex) - point) <= 1e-9


def test_gini_is_the_least_price_of_the_hull():
    rng = np.random.default_rng(0)
    term = GiniWelfare(np.arange(4), np.array([1.0, 2.0, 0.5, 3.0]), 0.2 * falling_weights(4, 2.0))
    exposure = rng.random(4) * 5
    costs = [np.array(order) * term.unit @ exposure for order in permutations(term.falling)]
    assert term.value(exposure) == pytest.approx(min(costs))
    assert term.slope(exposure) @ exposure == pytest.approx(term.value(exposure))
    assert (term.falling[0], term.falling[-1]) == (pytest.approx(0.35), pytest.approx(0.05))


ITEMS = pd.DataFrame({
    "item_id": ["a", "b", "c"], "title": ["A", "B", "C"], "tier": ["head", "tail", "tail"],
    "seller_id": ["s", "t", "t"],
})
TWO_LISTS = pd.DataFrame({
    "request_id": ["q", "q", "r", "r"], "item_id": ["a", "b", "a", "c"], "score": [0.5, 0.4, 0.5, 0.3],
})


def test_two_lists_worked_by_hand():
    """One slot a list, sellers s and t of merit 1. Clicks 1.0 plain; showing b instead of a costs 0.1, c 0.2."""
    term = Welfare(group="seller_id", weight=0.2, offset=0.01)
    result = rerank(TWO_LISTS, ITEMS, RerankSettings(k=1, goals=(), welfare=(term,), guardrails=FREE))
    # exposure (2, 0): 0.2 (log 2.01 + log 0.01) = -0.781; (1, 1): 0.4 log 1.01 = 0.004: worth 0.1 clicks
    assert list(result.rankings["item_id"]) == ["b", "a"]
    certificate = result.certificate
    assert certificate.clicks_after == pytest.approx(0.9)
    assert certificate.welfare is not None
    assert certificate.welfare["before"] == pytest.approx(0.2 * np.log(2.01 * 0.01))
    assert certificate.welfare["after"] == pytest.approx(0.4 * np.log(1.01))
    assert certificate.welfare["objective_after"] == pytest.approx(0.9 + 0.4 * np.log(1.01))
    # lists drawn at random could show b for y = 0.759 of the time: with x = y + 0.01 the slopes 0.2 / x and
    # 0.2 / (2.02 - x) are then 0.1 apart, x² - 6.02 x + 4.04 = 0; no bound is below what that would give
    x = (6.02 - np.sqrt(6.02**2 - 4 * 4.04)) / 2
    best = 1 - 0.1 * (x - 0.01) + 0.2 * (np.log(x) + np.log(2.02 - x))
    assert best - 1e-7 <= certificate.welfare["objective_bound"] <= best + 0.01
    assert certificate.goals.empty
    assert list(result.prices["kind"]) == ["welfare", "welfare"]
    low, high = result.prices["price"]
    assert 0.1 - 1e-6 <= high - low < 0.2


def test_gini_of_two_lists_worked_by_hand():
    """Weights 1.5 and 0.5 × 0.15: (2, 0) is worth 0.15, (1, 1) is worth 0.3, for 0.1 clicks."""
    for weight, shown in ((0.15, ["b", "a"]), (0.09, ["a", "a"])):
        term = Welfare(group="seller_id", weight=weight, utility="gini")
        result = rerank(TWO_LISTS, ITEMS, RerankSettings(k=1, goals=(), welfare=(term,), guardrails=FREE))
        assert list(result.rankings["item_id"]) == shown
        assert result.certificate.welfare["before"] == pytest.approx(weight)
        assert result.certificate.gap == pytest.approx(0.0, abs=1e-5)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10_000), st.sampled_from(["alpha_fair", "gini"]), st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.floats(0.001, 1.0),
)
def test_bound_above_optimum_above_lists(seed, utility, alpha, weight):
    """Every answer of tiny problems is tried out."""
    bare = random_problem(seed, lists=3, candidates=3, k=2, items=7, goals=1)
    bare = replace(bare, goals=Goals(np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0)))
    problem = add_welfare(bare, 3, weight=weight, utility=utility, alpha=alpha, seed=seed)
    best = -np.inf
    member = problem.membership.toarray()
    for picks in product(permutations(range(3), 2), repeat=3):
        rows = problem.indptr[:-1, None] + np.array(picks)
        exposure = np.einsum("rkg,k->g", member[problem.items[rows]], problem.attention)
        best = max(best, float((problem.scores[rows] @ problem.attention).sum()) + problem.welfare.value(exposure))
    answer = solve(problem)
    assert bound(answer) >= best - 1e-6
    assert best >= objective(answer) - 1e-6
    # three lists leave integral answers a way from the bound, but swaps get most of what there is
    plain = answer.clicks_before + answer.welfare_before
    assert objective(answer) >= plain - 1e-6


@pytest.mark.parametrize("rails", [None, Guardrails(min_score_ratio=0.5, protect_top=1, max_request_loss=0.2)])
@pytest.mark.parametrize(
    ("utility", "alpha"), [("alpha_fair", 0.5), ("alpha_fair", 1.0), ("alpha_fair", 2.0), ("gini", 0)]
)
def test_against_the_convex_program(utility, alpha, rails):
    bare = random_problem(4, lists=60, candidates=8, goals=4, rails=rails, weights=rails is None)
    if rails is None:
        bare = replace(bare, goals=Goals(np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0)))
    problem = add_welfare(bare, 5, weight=0.03, utility=utility, alpha=alpha, seed=1)
    exact, answer = solve_exact_welfare(problem, gap=1e-5), solve(problem)
    assert exact.bound - exact.value <= 1e-4 * answer.clicks_after
    assert answer.feasible
    assert bound(answer) >= exact.value - 1e-6 * answer.clicks_after
    assert objective(answer) <= exact.bound + 1e-6 * answer.clicks_after
    assert objective(answer) >= exact.value - 6e-3 * answer.clicks_after
    assert answer.gap <= 8e-3


def test_same_bytes_for_any_number_of_threads():
    for utility in ("alpha_fair", "gini"):
        problem = add_welfare(random_problem(3, lists=3000, goals=3), 8, weight=0.05, utility=utility)
        answers = []
        for threads in (1, 2):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            answers.append(solve(problem))
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        assert answers[0].slots.tobytes() == answers[1].slots.tobytes()
        assert answers[0].prices.tobytes() == answers[1].prices.tobytes()
        assert answers[0].upper_bound == answers[1].upper_bound


def shop(n_lists: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    ids = np.array([f"i{n:02d}" for n in range(30)])
    items = pd.DataFrame({
        "item_id": ids, "title": ids, "tier": np.where(np.arange(30) < 10, "head", "tail"),
        "seller_id": [f"s{n % 4}" for n in range(30)], "brand": [f"b{n % 7}" for n in range(30)],
    })
    drawn = np.concatenate([rng.choice(30, 12, replace=False) for _ in range(n_lists)])
    score = rng.beta(2, 18, len(drawn)) * np.where(drawn < 10, 1.0, 0.6)
    request = np.repeat([f"r{n:03d}" for n in range(n_lists)], 12)
    return pd.DataFrame({"request_id": request, "item_id": ids[drawn], "score": score}), items


def test_with_goals_guardrails_and_two_terms():
    candidates, items = shop()
    asked = RerankSettings(
        k=4, goals=(Goal(group="tail", min_share=0.6),),
        welfare=(Welfare(group="seller_id", weight=0.03), Welfare(group="brand", weight=0.01, utility="gini")),
        guardrails=GuardrailSettings(min_score_ratio=0.1, max_per={"brand": 2}),
    )
    result = rerank(candidates, items, asked)
    certificate = result.certificate.to_dict()
    assert certificate["feasible"]
    assert [goal["kind"] for goal in certificate["goals"]] == ["min_share"]
    assert certificate["welfare"]["objective_bound"] >= certificate["welfare"]["objective_after"]
    assert certificate["gap"] < 0.005
    parts = certificate["welfare"]["terms"]
    assert sum(part["after"] for part in parts) == pytest.approx(certificate["welfare"]["after"])
    assert result.rankings.merge(items, on="item_id").groupby(["request_id", "brand"]).size().max() <= 2
    # prices carry over: one sort a list gives nearly the same welfare
    again = ExposureReranker(asked).apply_prices(candidates, result.prices, items=items).certificate
    assert again.upper_bound is None
    assert again.welfare["objective_bound"] is None
    assert again.welfare["objective_after"] == pytest.approx(certificate["welfare"]["objective_after"], rel=0.01)
    assert "welfare" not in rerank(candidates, items, RerankSettings(k=4)).certificate.to_dict()


def test_a_click_budget_scales_the_weight():
    candidates, items = shop()
    budget = GuardrailSettings(min_score_ratio=None, max_click_loss=0.002)
    asked = RerankSettings(k=4, goals=(), welfare={"group": "seller_id", "weight": 2.0}, guardrails=budget)
    certificate = rerank(candidates, items, asked).certificate
    assert 0.0018 <= certificate.click_loss <= 0.002
    assert 0 < certificate.welfare["terms"][0]["weight_used"] < 2.0
    assert certificate.gap < 0.001


def test_frontier_bounds_clicks_at_its_welfare():
    candidates, items = shop()
    asked = RerankSettings(k=4, welfare=(Welfare(group="seller_id", weight=0.02),))
    points = frontier(candidates, items, asked, n_points=3).points
    assert points["feasible"].all()
    assert (points["upper_bound"] >= points["clicks"] - 1e-9).all()
    assert (points["upper_bound"] <= 1.01 * points["clicks"]).all()


def test_more_weight_levels_more():
    candidates, items = shop()
    spread = []
    for weight in (0.0, 0.01, 0.1):
        lists = rerank(
            candidates, items, RerankSettings(k=4, goals=(), welfare=(Welfare(group="seller_id", weight=weight),))
        )
        spread.append(lists.rankings.merge(items, on="item_id").groupby("seller_id")["exposure"].sum().std())
    assert spread[0] > spread[1] > spread[2]


def test_merits_and_what_is_refused():
    candidates, items = shop()
    for merit in ("relevance", "attainable", "none"):
        term = Welfare(group="seller_id", weight=0.02, merit=merit)
        problem = encode(candidates, items, RerankSettings(k=4, goals=(), welfare=(term,))).problem
        held = problem.welfare.terms[0].merit
        assert held.sum() == pytest.approx(4.0 if merit == "none" else problem.total_exposure)
    with pytest.raises(ColumnError, match="shade"):
        rerank(candidates, items, RerankSettings(welfare=(Welfare(group="shade", weight=0.1),)))
    with pytest.raises(ValidationError, match="one term for each column"):
        RerankSettings(welfare=(Welfare(group="brand", weight=0.1), Welfare(group="brand", weight=0.2)))
    asked = RerankSettings(k=4, goals=(), welfare=(Welfare(group="seller_id", weight=0.02),))
    with pytest.raises(InputError, match="welfare"):
        DualController(encode(candidates, items, asked).problem)
    # a seller that no list can show is counted, not weighed
    more = pd.concat([items, items.tail(1).assign(item_id="new", seller_id="nobody")])
    certificate = rerank(candidates, more, asked).certificate
    assert certificate.facts["notes"]["groups without candidates left out of the welfare"] == 1
    assert certificate.welfare["terms"][0]["groups"] == 4
