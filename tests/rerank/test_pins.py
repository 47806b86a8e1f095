"""Pinned items: by hand, against the linear program beside every other guardrail, and refused if they contradict."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_problem import random_problem

from ltexpo.errors import ConfigError, InputError
from ltexpo.rerank import Goal, GuardrailSettings, RerankSettings, rerank
from ltexpo.rerank.exact import solve_exact
from ltexpo.rerank.kernels import choose_plain
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem, empty_slots
from ltexpo.rerank.solve import solve

ITEMS = pd.DataFrame({
    "item_id": list("abcdef"), "title": list("ABCDEF"), "tier": ["head", "head", "head", "tail", "tail", "new"],
    "brand": ["x", "x", "x", "y", "y", "x"],
})


def lists_of(scores: dict[str, float], *, k: int = 3, goals: tuple[Goal, ...] = (), **rails: object) -> tuple:
    frame = pd.DataFrame({"request_id": "r", "item_id": list(scores), "score": list(scores.values())})
    job = RerankSettings(k=k, goals=goals, guardrails=GuardrailSettings.model_validate(rails))
    result = rerank(frame, ITEMS, job)
    return result, "".join(result.control["item_id"]), "".join(result.rankings["item_id"])


SCORES = {"a": 0.6, "b": 0.5, "c": 0.4, "d": 0.3, "e": 0.2, "f": 0.1}
SECOND = (Goal(group="tail", min_exposure=1 / np.log2(3)),)


@pytest.mark.parametrize(
    ("goals", "rails", "plain", "final"),
    [
        ((), {"pinned": {"f": 1}}, "fab", "fab"),
        ((), {"pinned": {"a": 3, "e": 2}}, "bea", "bea"),
        # tail = d, e, f: the pin gives slot 3, the goal asks for as much as slot 2
        (SECOND, {"pinned": {"a": 1, "b": 3}, "min_score_ratio": None}, "acb", "adb"),
        (SECOND, {"pinned": {"f": 3}, "min_score_ratio": None}, "abf", "adf"),
        # d scores half of a: what may not be boosted enters no list, but a pin does not ask
        ((), {"pinned": {"d": 2}, "min_score_ratio": 0.9}, "adb", "adb"),
        # the pin counts against the caps of the others, and is not counted out itself
        ((), {"pinned": {"c": 1}, "max_per": {"brand": 1}}, "cd", "cd"),
        ((), {"pinned": {"c": 1, "f": 2}, "max_per": {"brand": 1}}, "cfd", "cfd"),
        ((), {"pinned": {"f": 1}, "protect_top": 2}, "fab", "fab"),
    ],
)
def test_by_hand(goals, rails, plain, final):
    result, before, after = lists_of(SCORES, goals=goals, **rails)
    assert (before, after) == (plain, final)
    assert result.certificate.feasible
    entry = next(rail for rail in result.certificate.to_dict()["guardrails"] if rail["kind"] == "pinned")
    assert entry["candidates"] == entry["in_slot"] == len(rails["pinned"])
    assert not result.rankings["boosted"][result.rankings["item_id"].isin(rails["pinned"])].any()


def test_in_a_list_too_short_for_its_slot_a_pinned_item_stands_last():
    result, before, after = lists_of({"a": 0.6, "b": 0.5, "c": 0.4}, k=6, pinned={"a": 5, "b": 2})
    assert before == after == "cba"
    entry = next(rail for rail in result.certificate.to_dict()["guardrails"] if rail["kind"] == "pinned")
    assert (entry["candidates"], entry["in_slot"]) == (2, 1)
    # caps may cut a list short as well: only one of a, b, f fits
    _, before, after = lists_of({"a": 0.6, "b": 0.5, "d": 0.4, "f": 0.3}, k=4, pinned={"d": 4}, max_per={"brand": 1})
    assert before == after == "ad"
    # and items that are nobody's candidate are no fault
    assert lists_of({"a": 0.6}, pinned={"f": 1})[2] == "a"


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(1, 4), st.sampled_from(["none", "protect", "floor", "caps", "loss", "all"]),
    st.booleans(),
)
def test_bound_linear_program_and_lists_stand_in_order(seed: int, pins: int, name: str, weights: bool):
    rng = np.random.default_rng(seed)
    pin = np.full(20, -1, np.int32)
    pin[rng.choice(20, pins, replace=False)] = rng.choice(4, pins, replace=False)
    caps = [Cap((np.arange(20) % 5).astype(np.int32), 1 + seed % 2)]
    rails = {
        "none": Guardrails(pin=pin),
        "protect": Guardrails(pin=pin, protect_top=1),
        "floor": Guardrails(pin=pin, min_score_ratio=0.6),
        "caps": Guardrails(pin=pin, caps=caps),
        "loss": Guardrails(pin=pin, max_request_loss=0.05),
        "all": Guardrails(pin=pin, caps=caps, min_score_ratio=0.4, protect_top=1, max_request_loss=0.1),
    }[name]
    # every item is a candidate of about a third of the lists, so most lists hold a pinned one
    problem = random_problem(seed, lists=100, candidates=7, items=20, goals=4, rails=rails, weights=weights)
    exact, answer = solve_exact(problem), solve(problem)
    assert exact.feasible
    assert answer.feasible
    assert answer.upper_bound >= exact.clicks * (1 - 1e-6)
    assert exact.clicks * (1 + 1e-6) >= answer.clicks_after
    assert answer.clicks_after >= 0.985 * exact.clicks
    plain = empty_slots(problem)
    choose_plain(problem.lists, plain)
    for r in range(problem.n_lists):
        final = answer.slots[r][answer.slots[r] >= 0]
        before = plain[r][plain[r] >= 0]
        assert len(final) == len(before) == len(set(final))
        for j, (ours, theirs) in enumerate(zip(final, before, strict=True)):
            item = problem.items[problem.indptr[r] + theirs]
            if pin[item] >= 0:
                assert ours == theirs
                assert j == min(pin[item], j)
        candidates = problem.items[problem.indptr[r] : problem.indptr[r + 1]]
        shown = problem.items[problem.indptr[r] + final]
        for item in candidates[pin[candidates] >= 0]:
            assert item in shown
            assert int(np.flatnonzero(shown == item)[0]) <= pin[item]
            if pin[item] < len(final) - (pin[candidates] > pin[item]).sum():
                assert shown[pin[item]] == item


@pytest.mark.parametrize(
    ("rails", "message"),
    [
        ({"pinned": {"a": 1, "b": 1}}, "'a' and 'b' into slot 1"),
        ({"pinned": {"a": 4}}, "slot 4, beyond the k = 3"),
        ({"pinned": {"a": 0}}, "greater than 0"),
        ({"pinned": {"a": 1}, "banned": ["a"]}, "both pinned and banned"),
    ],
)
def test_pins_that_contradict_are_refused(rails: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RerankSettings.model_validate({"k": 3, "guardrails": rails})


@pytest.mark.parametrize("rails", [{"pinned": {"a": 1, "z": 2}}, {"banned": ["a", "z"]}])
def test_items_that_the_catalogue_does_not_hold_are_refused(rails: dict):
    with pytest.raises(ConfigError, match=rf"guardrails.{next(iter(rails))}: item_id 'z' is not in items"):
        lists_of(SCORES, **rails)


@pytest.mark.parametrize("pin", [[0, 0, -1, -1], [2, -1, -1, -1], [0, -1]])
def test_a_problem_refuses_pins_that_share_or_have_no_slot(pin: list[int]):
    none = Goals(np.array([], int), np.array([], np.int8), np.array([]))
    with pytest.raises(InputError, match="pin needs one slot per item"):
        Problem.build(
            [0, 2], [0, 1], [0.1, 0.2], attention=[1.0, 0.5], group_indptr=[0] * 5, group_ids=[], goals=none,
            guardrails=Guardrails(pin=np.array(pin, np.int32)),
        )
