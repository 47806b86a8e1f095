"""Column generation against HiGHS on the direct program, and lists from branch and bound."""

from dataclasses import replace

import numpy as np
import pytest
from make_problem import random_problem

from ltexpo.rerank.columns_lp import generate_columns
from ltexpo.rerank.evaluate import Evaluator
from ltexpo.rerank.exact import solve_exact, solve_integral
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Goals, Guardrails, empty_slots
from ltexpo.rerank.rounding import count_clicks
from ltexpo.rerank.solve import solve


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("rails", [None, Guardrails(protect_top=1, min_score_ratio=0.5)])
def test_exact_prices(weights, rails):
    problem = random_problem(1, lists=60, goals=12, rails=rails, weights=weights)
    exact = solve_exact(problem)
    mix = generate_columns(
        problem, np.full(12, 100.0), np.zeros(12), radius=0.01, tolerance=1e-8, most_rounds=100
    )  # fmt: skip
    assert mix.bound == pytest.approx(exact.clicks, rel=1e-6)
    assert mix.value == pytest.approx(exact.clicks, rel=1e-6)
    assert Evaluator(problem)(mix.prices).value == pytest.approx(exact.clicks, rel=1e-5)
    assert mix.missing.max() < 1e-6
    assert np.bincount(mix.owner, mix.part) == pytest.approx(np.ones(60))
    # no more lists are mixed than goals bind
    assert (np.bincount(mix.owner) > 1).sum() <= (np.abs(mix.prices) > 0).sum()


def test_targets_at_the_edge_are_met():
    problem = random_problem(5, lists=40, goals=10)
    rng = np.random.default_rng(0)
    prices = problem.goals.kind * rng.exponential(300.0, 10)
    slots = empty_slots(problem)
    choose(problem.lists, problem.boosts(prices), slots)
    clicks, shown = count_clicks(problem, slots)
    edge = replace(problem, goals=replace(problem.goals, target=np.asarray(problem.membership.T @ shown)))
    answer = solve(edge)
    assert answer.feasible
    assert answer.clicks_after >= clicks * (1 - 1e-6)
    assert answer.upper_bound == pytest.approx(solve_exact(edge).clicks, rel=1e-5)


def test_branch_and_bound_knows_what_mixing_hides():
    # one list, two items, half of the only slot's exposure for each: a mix gives it, no list can
    problem = random_problem(0, lists=1, candidates=2, k=1, items=2, goals=1)
    problem = replace(
        problem, group_indptr=np.array([0, 1, 2]), group_ids=np.array([0, 1]),
        goals=Goals(np.array([0, 1]), np.ones(2, np.int8), np.array([0.5, 0.5])),
    )  # fmt: skip
    assert solve_exact(problem).feasible
    assert solve_integral(problem, nodes=100, gap=0.0).proved_none
    answer = solve(problem)
    assert not answer.feasible
    assert answer.proved_infeasible
