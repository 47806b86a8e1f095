"""The solver against HiGHS, and on goals that cannot be met."""

from dataclasses import replace

import numpy as np
import pytest
from make_problem import random_problem

from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.problem import Cap, Goals, Guardrails
from ltexpo.rerank.solve import solve
from ltexpo.rerank.spend import spend

CAPS = [Cap((np.arange(60) % 7).astype(np.int32), 2)]
RAILS = {
    "none": None,
    "protect": Guardrails(protect_top=1),
    "floor": Guardrails(min_score_ratio=0.6),
    "caps": Guardrails(caps=CAPS),
    "loss": Guardrails(max_request_loss=0.05),
    "all": Guardrails(caps=CAPS, min_score_ratio=0.4, protect_top=1, max_request_loss=0.1),
}


@pytest.mark.parametrize("name", RAILS)
@pytest.mark.parametrize("seed", range(3))
def test_between_bound_and_lp(name, seed):
    problem = random_problem(seed, lists=120, rails=RAILS[name], weights=seed == 1)
    exact, answer = solve_exact(problem), solve(problem)
    assert exact.feasible
    assert answer.feasible
    assert answer.upper_bound >= exact.clicks * (1 - 1e-6)
    assert exact.clicks * (1 + 1e-6) >= answer.clicks_after
    assert answer.clicks_after >= 0.99 * exact.clicks
    assert answer.upper_bound <= 1.003 * exact.clicks
    kind, target = problem.goals.kind, problem.goals.target
    assert (kind * (answer.achieved - target) >= -1e-9 * np.maximum(1, np.abs(target))).all()


def test_many_goals_at_a_thousand_lists():
    problem = random_problem(11, lists=1000, k=6, candidates=10, items=200, goals=60)
    exact, answer = solve_exact(problem), solve(problem)
    assert answer.feasible
    assert exact.clicks * (1 + 1e-6) >= answer.clicks_after >= 0.999 * exact.clicks
    assert exact.clicks * (1 - 1e-6) <= answer.upper_bound <= 1.0002 * exact.clicks


def test_lists_are_real_lists():
    problem = random_problem(2, lists=200)
    answer = solve(problem)
    shown = np.zeros(problem.n_items)
    clicks = 0.0
    for r in range(problem.n_lists):
        assert len(set(answer.slots[r])) == problem.k
        rows = problem.indptr[r] + answer.slots[r]
        np.add.at(shown, problem.items[rows], problem.attention)
        clicks += float(problem.attention @ problem.scores[rows])
    assert answer.clicks_after == pytest.approx(clicks, rel=1e-9)
    assert np.allclose(answer.achieved, problem.membership.T @ shown)


def test_a_goal_above_its_candidates_is_named():
    problem = random_problem(4, lists=150, goals=1)
    target = problem.goals.target.copy()
    target[0], kind = 1e6, problem.goals.kind.copy()
    kind[0] = 1
    answer = solve(replace(problem, goals=Goals(problem.goals.group, kind, target)))
    assert not answer.met[0]
    assert answer.proved_infeasible
    assert answer.shortfall[0] >= 1e6 - answer.attainable[0]
    # what can be given is given
    assert answer.achieved[0] >= 0.99 * answer.attainable[0]


def test_conflicting_goals_are_proved_and_elastic():
    problem = random_problem(6, lists=150, goals=2)
    both = np.array([0, 0])
    goals = Goals(both, np.array([1, -1], np.int8), np.array([60.0, 40.0]))
    answer = solve(replace(problem, goals=goals))
    assert answer.proved_infeasible
    assert not answer.feasible
    # one of the two gives way, by no more than their distance
    assert answer.shortfall.sum() == pytest.approx(20.0, abs=1.0)


def test_warm_start_needs_fewer_passes():
    problem = random_problem(8, lists=2000, goals=20)
    cold = solve(problem)
    warm = solve(problem, start=cold.prices)
    assert warm.feasible
    assert warm.passes < cold.passes
    assert warm.clicks_after == pytest.approx(cold.clicks_after, rel=1e-4)


def test_spend_keeps_the_click_budget():
    problem = random_problem(9, lists=400, goals=6)
    whole = solve(problem)
    loss = 1 - whole.clicks_after / whole.clicks_before
    half = spend(problem, loss / 2)
    assert half.clicks_after >= (1 - loss / 2) * half.clicks_before
    plain = solve(problem, ceiling=0.0)
    assert plain.clicks_after == pytest.approx(plain.clicks_before)
    assert 0 < half.shortfall.sum() < 0.7 * plain.shortfall.sum()
    assert spend(problem, 1.5 * loss).feasible
