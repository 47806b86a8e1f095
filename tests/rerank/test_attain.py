"""What a goal could get at most: by hand, and on both sides of the edge by the linear program."""

from dataclasses import replace

import numpy as np
import pytest
from make_problem import random_problem

from ltexpo.rerank.attain import attainable
from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem
from ltexpo.rerank.solve import solve

PIN = np.full(60, -1, np.int32)
PIN[[3, 17, 30]] = [0, 2, 3]
CAPS = [Cap((np.arange(60) % 4).astype(np.int32), 1)]
EXACT = {
    "none": None,
    "protect": Guardrails(protect_top=2),
    "floor": Guardrails(min_score_ratio=0.75),
    "pins": Guardrails(pin=PIN),
    "all three": Guardrails(pin=PIN, protect_top=1, min_score_ratio=0.75),
}
OPTIMISTIC = {"caps": Guardrails(caps=CAPS), "loss": Guardrails(max_request_loss=0.02, min_score_ratio=0.5)}


@pytest.mark.parametrize(
    ("rails", "most", "least"),
    [
        # scores .5 .4 .3 .1 over slots of 1 and .5; the group is items 2 and 3
        (Guardrails(), 1.5, 0.0),
        (Guardrails(protect_top=1), 0.5, 0.0),
        (Guardrails(min_score_ratio=0.5), 1.0, 0.0),
        (Guardrails(min_score_ratio=0.7), 0.0, 0.0),
        (Guardrails(pin=np.array([-1, -1, -1, 1], np.int32)), 1.5, 0.5),
        (Guardrails(pin=np.array([1, -1, -1, -1], np.int32)), 1.0, 0.0),
    ],
)
def test_by_hand(rails: Guardrails, most: float, least: float):
    problem = Problem.build(
        [0, 4], [0, 1, 2, 3], [0.5, 0.4, 0.3, 0.1], attention=[1.0, 0.5],
        group_indptr=[0, 0, 0, 1, 2], group_ids=[0, 0],
        goals=Goals(np.array([0, 0]), np.array([1, -1], np.int8), np.array([0.5, 0.5])), guardrails=rails,
    )
    assert attainable(problem, guarded=True).tolist() == pytest.approx([most, least])
    assert attainable(problem).tolist() == pytest.approx([1.5, 0.0])


@pytest.mark.parametrize("name", [*EXACT, *OPTIMISTIC])
@pytest.mark.parametrize("seed", range(3))
def test_no_lists_give_more_and_some_give_as_much(name: str, seed: int):
    rails = (EXACT | OPTIMISTIC)[name]
    problem = random_problem(seed, lists=30, goals=4, rails=rails, weights=seed == 1)
    extreme = attainable(problem, guarded=True)
    for g in range(4):
        kind, edge = int(problem.goals.kind[g]), float(extreme[g])

        def feasible(target: float, g: int = g) -> bool:
            alone = Goals(np.array([g]), problem.goals.kind[g : g + 1], np.array([target]))
            return solve_exact(replace(problem, goals=alone)).feasible

        # what caps do to who shares a list is not looked at, nor what others under a floor can do for an at-most goal
        if name in EXACT and kind > 0:
            assert feasible(edge - kind * 1e-6)
        assert not feasible(edge + kind * 1e-3 * (1 + abs(edge)))


def test_a_goal_that_only_a_floor_forbids_is_proved_out_of_reach_at_once():
    problem = random_problem(1, lists=50, goals=1, rails=Guardrails(min_score_ratio=0.9))
    group = replace(problem.goals, kind=np.array([1], np.int8), target=np.array([0.95 * attainable(problem)[0]]))
    answer = solve(replace(problem, goals=group))
    assert answer.proved_infeasible
    assert answer.attainable[0] < group.target[0]
    assert answer.achieved[0] == pytest.approx(answer.attainable[0], rel=0.01)
