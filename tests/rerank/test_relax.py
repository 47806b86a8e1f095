"""Which goals give way, and by how much, on cases worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from make_problem import random_problem

from ltexpo.rerank.problem import Goals
from ltexpo.rerank.relax import smallest_relaxation
from ltexpo.rerank.solve import solve


def conflict(group, kind, target):
    problem = random_problem(6, lists=100, goals=2)
    goals = Goals(np.array(group), np.array(kind, np.int8), np.array(target, float))
    problem = replace(problem, goals=goals)
    return problem, solve(problem)


def test_one_floor_against_two_caps():
    # the floor of 40 asks for more than either cap on the same group allows: it alone has to fall, to 25
    problem, elastic = conflict([0, 0, 0], [1, -1, -1], [40.0, 25.0, 30.0])
    answer = smallest_relaxation(problem, elastic)
    assert list(answer.goals) == [0]
    assert answer.missing[0] == pytest.approx(15.0, abs=1.0)
    assert answer.irreducible


def test_a_goal_out_of_reach_gives_way_alone():
    problem, elastic = conflict([0, 1], [1, 1], [1e6, 20.0])
    answer = smallest_relaxation(problem, elastic)
    assert list(answer.goals) == [0]
    assert answer.missing[0] >= 1e6 - elastic.attainable[0]


def test_nothing_to_relax():
    problem = random_problem(3, lists=100)
    answer = smallest_relaxation(problem, solve(problem))
    assert len(answer.goals) == 0
