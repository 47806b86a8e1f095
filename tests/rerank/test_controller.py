"""Lists that arrive one by one: the service's way against the compiled run, a naive update, the offline optimum."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ltexpo.errors import InputError
from ltexpo.rerank.controller import Controller, DualController, PidController, StreamResult, run_stream
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem, empty_slots
from ltexpo.rerank.solve import solve

Maker = Callable[[Problem], Controller]
N_ITEMS, N_SELLERS = 120, 10
TAIL = np.arange(N_ITEMS) >= 30
SELLER = np.arange(N_ITEMS) * 7 % N_SELLERS


def market(
    n_lists: int, *, seed: int = 0, c: int = 20, k: int = 5, tail_chance: np.ndarray | None = None
) -> Problem:
    """Tail share 35%, a floor for each of 10 sellers, and a cap on the first 10 items: groups overlap."""
    rng = np.random.default_rng(seed)
    chance = np.full(n_lists, 0.5) if tail_chance is None else tail_chance
    # random keys: a list's candidates are the items of lowest key, so none stands twice
    keys = rng.random((n_lists, N_ITEMS)) / np.where(TAIL, (chance / (1 - chance))[:, None] / 3, 1.0)
    items = np.argsort(keys, axis=1)[:, :c]
    scores = rng.beta(2, 14, items.shape) * np.where(TAIL[items], 0.6, 1.0)
    attention = 1 / np.log2(np.arange(2, k + 2))
    total = n_lists * attention.sum()
    groups = [[1 + SELLER[i]] + [0] * int(TAIL[i]) + [N_SELLERS + 1] * (i < 10) for i in range(N_ITEMS)]
    target = [0.35, *np.full(N_SELLERS, 0.09), 0.10]
    kind = [1] * (1 + N_SELLERS) + [-1]
    return Problem.build(
        np.arange(n_lists + 1) * c, items.ravel(), scores.ravel(), attention=attention,
        group_indptr=np.concatenate([[0], np.cumsum([len(g) for g in groups])]), group_ids=np.concatenate(groups),
        goals=Goals(np.arange(len(target)), np.array(kind, np.int8), np.array(target) * total),
    )  # fmt: skip


def railed(problem: Problem) -> Problem:
    """The same lists under every guardrail that a list can keep by itself."""
    boostable = np.random.default_rng(8).random(len(problem.items)) < 0.9
    return replace(problem, guardrails=Guardrails(
        min_score_ratio=0.2, min_score=0.01, boostable=boostable, protect_top=1,
        caps=(Cap((np.arange(N_ITEMS) % 6).astype(np.int32), 2),), max_request_loss=0.3,
    ))  # fmt: skip


def one_by_one(problem: Problem, order: np.ndarray, controller: Controller) -> np.ndarray:
    """Slots of every list through `rank`, its candidates given in another order."""
    slots = np.full((problem.n_lists, problem.k), -1)
    flags = problem.guardrails.boostable
    for row in order:
        lo, hi = problem.indptr[row], problem.indptr[row + 1]
        mixed = np.random.default_rng(row).permutation(hi - lo)
        shown = controller.rank(
            problem.items[lo:hi][mixed], problem.scores[lo:hi][mixed],
            boostable=None if flags is None else flags[lo:hi][mixed],
        )
        slots[row, : len(shown)] = mixed[shown]
    return slots


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize(
    "make", [DualController, lambda p: DualController(p, batch=7), lambda p: PidController(p, batch=20)]
)
def test_a_service_and_the_compiled_run_do_the_same(make: Maker, guarded: bool):
    problem = railed(market(300)) if guarded else market(300)
    order = np.random.default_rng(3).permutation(300)
    service, stream = make(problem), make(problem)
    slots = one_by_one(problem, order, service)
    result = run_stream(problem, order, stream, keep_slots=True)
    assert result.slots is not None
    np.testing.assert_array_equal(result.slots, slots)
    np.testing.assert_array_equal(service.prices, stream.prices)
    np.testing.assert_array_equal(result.achieved, service.achieved)
    assert service.clicks == result.clicks
    assert service.lists_served == result.seen[-1] == 300
    np.testing.assert_allclose(result.achieved_path[-1], result.achieved)
    np.testing.assert_array_equal(result.prices_path[-1], service.prices)


def test_lazy_drift_is_the_plain_update_of_every_goal_after_every_list():
    problem = market(400, k=4)
    order = np.random.default_rng(1).permutation(400)
    lazy = DualController(problem, step=2.0)
    result = run_stream(problem, order, lazy, keep_slots=True)
    assert result.slots is not None
    member, goals, a = problem.membership, problem.goals, problem.attention
    share = goals.target / problem.total_exposure
    eta = 2.0 / np.sqrt(400 * (share * (a**2).sum() + (share * a.sum()) ** 2))
    prices, left, to_come = np.zeros(len(goals)), goals.target.copy(), problem.total_exposure
    spread = ceiling = 0.0
    for n, row in enumerate(order):
        lo, hi = problem.indptr[row], problem.indptr[row + 1]
        items, scores = problem.items[lo:hi], problem.scores[lo:hi].astype(np.float64)
        spread += scores[0] - scores[(hi - lo) // 2]
        ceiling = max(ceiling, scores[0] - scores[-1])
        low, high = np.where(goals.kind > 0, 0, -ceiling), np.where(goals.kind > 0, ceiling, 0)
        shown = np.argsort(-(scores + member[items] @ prices), kind="stable")[:4]
        np.testing.assert_array_equal(result.slots[row], shown)
        given = member[items[shown]].T @ a
        due = a.sum() * np.maximum(left, 0) / to_come
        prices = np.clip(prices + eta * spread / (n + 1) * (due - given), low, high)
        left, to_come = left - given, to_come - a.sum()
    np.testing.assert_allclose(lazy.prices, prices, rtol=1e-6, atol=1e-9)
    assert (result.prices_path > 0).any()
    assert (result.prices_path < 0).any()


def test_a_first_update_worked_by_hand():
    # one slot, two items, one of them tail; target 1 of the 4 exposure to come, so a rate of 1/4 a list
    problem = Problem.build(
        np.array([0]), [], [], attention=[1.0], group_indptr=[0, 0, 1], group_ids=[0],
        goals=Goals(np.array([0]), np.array([1], np.int8), np.array([1.0])),
    )  # fmt: skip
    controller = DualController(problem, expected_exposure=4.0, step=1.0)
    # η = 1 / √(4 lists × (1/4 + 1/16)), in spreads of 1/4
    eta = 0.25 / np.sqrt(4 * (1 / 4 + 1 / 16))
    assert list(controller.rank([0, 1], [0.5, 0.25])) == [0]
    assert controller.prices[0] == pytest.approx(eta / 4)
    assert list(controller.rank([1, 0], [0.25, 0.5])) == [1]
    # one of three lists to come must now show it
    assert controller.prices[0] == pytest.approx(eta * (1 / 4 + 1 / 3))
    # boosted over a head that is nearly as good, it is shown: the whole target, so the rate was 1/2
    assert list(controller.rank([0, 1], [0.35, 0.25])) == [1]
    assert controller.achieved[0] == 1
    spread = (0.25 + 0.25 + 0.10) / 3
    assert controller.prices[0] == pytest.approx(max(0.0, eta * (7 / 12) + eta * spread / 0.25 * (1 / 2 - 1)))


def test_within_a_batch_prices_stand_still_and_lists_are_those_of_the_batch_reranker():
    problem = railed(market(200))
    prices = np.array([0.05, *np.full(N_SELLERS, 0.01), -0.02])
    slots = empty_slots(problem)
    choose(problem.lists, problem.boosts(prices), slots)
    for make in (DualController, PidController):
        controller = make(problem, batch=1000, start=prices)
        result = run_stream(problem, np.arange(200), controller, keep_slots=True)
        assert result.slots is not None
        np.testing.assert_array_equal(result.slots, slots)
        np.testing.assert_array_equal(controller.prices, prices)


def tail_mix(n_lists: int) -> np.ndarray:
    return np.where(np.arange(n_lists) < n_lists // 2, 0.45, 0.7)


@pytest.mark.parametrize("order", ["mixed", "few, then many", "many, then few"])
def test_goals_are_met_at_nearly_the_offline_optimum(order: str):
    problem = market(20_000, tail_chance=tail_mix(20_000))
    bound = solve(problem).upper_bound
    rows = np.arange(20_000)
    if order != "few, then many":
        rows = rows[::-1] if order == "many, then few" else np.random.default_rng(2).permutation(rows)
    plain = run_stream(problem, rows, DualController(replace_targets(problem)))
    for make in (DualController, PidController):
        result: StreamResult = run_stream(problem, rows, make(problem))
        assert result.deviation.max() < 0.01
        # pacing evenly costs where traffic shifts; no controller can know that it will
        assert -1e-3 < result.regret(bound) < (0.005 if order == "mixed" else 0.01)
        assert result.clicks < plain.clicks
        assert "12 of 12 goals met within 1%" in str(result)


def replace_targets(problem: Problem) -> Problem:
    """The same goals, asking for nothing."""
    nothing = np.where(problem.goals.kind > 0, 0.0, 1e12)
    return replace(problem, goals=replace(problem.goals, target=nothing))


def test_without_pressure_the_plain_lists_are_shown():
    problem = replace_targets(market(100))
    result = run_stream(problem, np.arange(100), DualController(problem), keep_slots=True)
    assert result.slots is not None
    assert (result.slots == np.arange(problem.k)).all()
    assert (result.prices_path == 0).all()


@pytest.mark.parametrize("make", [DualController, PidController])
def test_a_goal_that_cannot_be_met_does_not_wind_up(make: Maker):
    # no tail item in the first half; then there are, and the price comes down from its ceiling at once
    problem = market(4000, tail_chance=np.where(np.arange(4000) < 2000, 1e-9, 0.7))
    controller = make(problem)
    result = run_stream(problem, np.arange(4000), controller)
    spread = problem.scores[problem.indptr[:-1]] - problem.scores[problem.indptr[1:] - 1]
    assert result.prices_path.max() <= spread.max() + 1e-9
    assert result.deviation[0] < 0.01
    assert result.prices_path[-1, 0] < result.prices_path[100, 0]


def test_short_empty_and_weighted_lists():
    problem = market(50)
    controller = DualController(problem)
    assert len(controller.rank([], [])) == 0
    assert list(controller.rank([5], [0.1])) == [0]
    assert controller.clicks == pytest.approx(0.1)
    controller.rank([5], [0.1], weight=2.0)
    assert controller.clicks == pytest.approx(0.3)


def test_the_period_may_run_longer_than_expected():
    problem = market(1000)
    controller = DualController(problem, expected_exposure=problem.total_exposure / 2)
    result = run_stream(problem, np.arange(1000), controller)
    assert np.isfinite(result.prices_path).all()
    # at-least goals are met by the expected end, and cost nothing afterwards
    assert (result.deviation[:-1] == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: DualController(p, step=0.0), "step is 0"),
        (lambda p: DualController(p, batch=0), "batch is 0"),
        (lambda p: DualController(p, start=np.full(12, 1.0)), "start must hold 12"),
        (lambda p: DualController(p, expected_exposure=0.0), "expected_exposure is 0"),
        (lambda p: PidController(p, smoothing=0.0), "smoothing"),
        (lambda p: DualController(p).rank([1, 1], [0.1, 0.2]), "same item twice"),
        (lambda p: DualController(p).rank([1], [np.nan]), "finite score"),
        (lambda p: DualController(p).rank([N_ITEMS], [0.1]), "outside 0 to"),
        (lambda p: run_stream(p, [50], DualController(p)), "rows from 0 to 19"),
        (lambda p: DualController(replace(p, guardrails=Guardrails(max_click_loss=0.1))), "max_request_loss"),
    ],
)
def test_bad_input_is_refused_with_what_to_change(call: Callable[[Problem], object], message: str):
    with pytest.raises(InputError, match=message):
        call(market(20))
