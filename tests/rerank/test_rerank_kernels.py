"""The kernels against plain loops, by hand, and for any number of threads."""

import numba
import numpy as np
import pytest
from make_problem import random_problem

from ltexpo.errors import InputError
from ltexpo.rerank.evaluate import Evaluator
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem, empty_slots
from ltexpo.rerank.solve import solve


def one_list(rails: Guardrails | None = None, goals: Goals | None = None) -> Problem:
    """Items 0..3 with scores .5 .4 .3 .1; items 2 and 3 are group 0; two slots with attention 1 and .5."""
    return Problem.build(
        [0, 4], [3, 1, 0, 2], [0.1, 0.4, 0.5, 0.3],
        attention=[1.0, 0.5], group_indptr=[0, 0, 0, 1, 2], group_ids=[0, 0],
        goals=goals or Goals(np.array([0]), np.array([1], np.int8), np.array([0.5])), guardrails=rails,
    )  # fmt: skip


def chosen_items(problem: Problem, boost: list[float]) -> list[int]:
    slots = empty_slots(problem)
    choose(problem.lists, np.array(boost, np.float32), slots)
    return [int(problem.items[slot]) for slot in slots[0] if slot >= 0]


def test_worked_by_hand():
    problem = one_list()
    point = Evaluator(problem)(np.array([0.15]))
    # boosted scores .5 .4 .45 .25: items 0 and 2; value .5 + .5 × .45 - .15 × .5; clicks .5 + .5 × .3
    assert point.value == pytest.approx(0.65, abs=1e-6)
    assert point.clicks == pytest.approx(0.65, abs=1e-6)
    assert point.slack == pytest.approx([0.0], abs=1e-9)
    assert chosen_items(problem, [0, 0, 0.15, 0.15]) == [0, 2]
    solution = solve(problem)
    assert solution.feasible
    assert solution.clicks_before == pytest.approx(0.7, abs=1e-6)
    assert solution.clicks_after == pytest.approx(0.65, abs=1e-6)
    assert solution.gap == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("rails", "expected"),
    [
        (Guardrails(), [3, 2]),
        (Guardrails(protect_top=1), [0, 3]),
        (Guardrails(min_score_ratio=0.5), [2, 0]),
        (Guardrails(min_score=0.35), [0, 1]),
        (Guardrails(caps=[Cap(np.array([0, 0, 1, 1], np.int32), 1)]), [3, 0]),
        (Guardrails(max_request_loss=0.0), [0, 1]),
    ],
)
def test_guardrails_by_hand(rails, expected):
    assert chosen_items(one_list(rails), [0, 0, 1.0, 2.0]) == expected


def test_pass_equals_a_plain_loop():
    problem = random_problem(3, lists=40, weights=True)
    prices = np.linspace(-0.1, 0.2, len(problem.goals))
    boost = problem.boosts(prices).astype(float)
    shown, clicks, value = np.zeros(problem.n_items), 0.0, 0.0
    for r in range(problem.n_lists):
        rows = range(problem.indptr[r], problem.indptr[r + 1])
        best = sorted(rows, key=lambda i: -(problem.scores[i] + boost[problem.items[i]]))[: problem.k]
        for a, i in zip(problem.attention, best, strict=True):
            shown[problem.items[i]] += problem.weights[r] * a
            clicks += problem.weights[r] * a * problem.scores[i]
            value += problem.weights[r] * a * (problem.scores[i] + boost[problem.items[i]])
    point = Evaluator(problem)(prices)
    assert np.allclose(point.item_exposure, shown, atol=1e-6)
    assert point.clicks == pytest.approx(clicks, rel=1e-6)
    assert point.value == pytest.approx(value - prices @ problem.goals.target, rel=1e-6)


@pytest.mark.parametrize("rails", [None, Guardrails(max_request_loss=0.05, min_score_ratio=0.3)])
def test_same_bytes_for_any_number_of_threads(rails):
    problem = random_problem(5, lists=3000, rails=rails)
    answers = []
    for threads in (1, numba.get_num_threads()):
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        answers.append(solve(problem))
        numba.set_num_threads(before)
    first, second = answers
    assert first.prices.tobytes() == second.prices.tobytes()
    assert first.slots.tobytes() == second.slots.tobytes()
    assert (first.clicks_after, first.upper_bound) == (second.clicks_after, second.upper_bound)


def test_lists_of_any_length_and_ties():
    problem = Problem.build(
        [0, 1, 1, 4], [0, 2, 1, 0], [0.2, 0.3, 0.3, 0.3], attention=[1.0, 0.5], group_indptr=[0, 0, 0, 0], group_ids=[],
        goals=Goals(np.array([], int), np.array([], np.int8), np.array([])),
    )  # fmt: skip
    solution = solve(problem)
    assert solution.slots.tolist() == [[0, -1], [-1, -1], [0, 1]]
    assert problem.items[1:3].tolist() == [0, 1]
    assert solution.clicks_after == pytest.approx(0.2 + 0.45)


def test_refusals_and_inputs_stay_as_they_were():
    group = {"group_indptr": [0, 0, 0], "group_ids": [], "attention": [1.0]}
    none = Goals(np.array([], int), np.array([], np.int8), np.array([]))
    with pytest.raises(InputError, match="same item twice"):
        Problem.build([0, 2], [1, 1], [0.1, 0.2], goals=none, **group)
    with pytest.raises(InputError, match="NaN"):
        Problem.build([0, 2], [0, 1], [0.1, np.nan], goals=none, **group)
    items, scores = np.array([0, 1], np.int32), np.array([0.1, 0.2], np.float32)
    Problem.build([0, 2], items, scores, goals=none, **group)
    assert items.tolist() == [0, 1]
