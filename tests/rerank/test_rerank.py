"""Goals in words over tables: worked by hand, against the linear program, and at the edges."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltexpo.errors import ColumnError, ConfigError, InfeasibleError, TableError
from ltexpo.rerank import ExposureReranker, Goal, GuardrailSettings, RerankSettings, explain, rerank
from ltexpo.rerank.encode import encode
from ltexpo.rerank.exact import solve_exact

ITEMS = pd.DataFrame({
    "item_id": list("abcdef"), "title": list("ABCDEF"), "tier": ["head", "head", "head", "tail", "tail", "new"],
    "seller_id": ["s", "s", "t", "t", "u", "u"],
})
FREE = GuardrailSettings(min_score_ratio=None)


def one_list(scores: dict[str, float], request: str = "r") -> pd.DataFrame:
    return pd.DataFrame({"request_id": request, "item_id": list(scores), "score": list(scores.values())})


def market(n_lists: int, seed: int, n_items: int = 40, n_candidates: int = 15) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidates and a catalogue whose tail scores lower."""
    rng = np.random.default_rng(seed)
    ids = [f"i{n:03d}" for n in range(n_items)]
    in_tail = np.arange(n_items) >= n_items // 3
    items = pd.DataFrame({
        "item_id": ids, "title": ids, "tier": np.where(in_tail, "tail", "head"),
        "seller_id": [f"s{n}" for n in rng.integers(0, 5, n_items)],
    })
    drawn = [rng.choice(n_items, n_candidates, replace=False) for _ in range(n_lists)]
    item = np.concatenate(drawn)
    return pd.DataFrame({
        "request_id": np.repeat([f"r{n:04d}" for n in range(n_lists)], n_candidates),
        "item_id": np.array(ids)[item],
        "score": rng.beta(2, 18, len(item)) * np.where(in_tail[item], 0.7, 1.0),
    }), items


def test_a_list_worked_by_hand():
    candidates = one_list({"a": 0.50, "b": 0.40, "c": 0.35, "d": 0.30, "f": 0.10})
    # Attention 1, 0.631, 0.5. A share of 0.25 needs 0.533 of 2.131: slot 3 is too little, slot 2 is enough.
    goal = Goal(group="tail", min_share=0.25)
    result = rerank(candidates, ITEMS, RerankSettings(k=3, goals=(goal,)))
    assert list(result.rankings["item_id"]) == ["a", "d", "b"]
    assert list(result.rankings["rank"]) == [1, 2, 3]
    assert list(result.rankings["boosted"]) == [False, True, False]
    assert list(result.control["item_id"]) == ["a", "b", "c"]
    second, third = 1 / np.log2(3), 0.5
    certificate = result.certificate
    assert certificate.clicks_before == pytest.approx(0.50 + 0.40 * second + 0.35 * third)
    assert certificate.clicks_after == pytest.approx(0.50 + 0.30 * second + 0.40 * third)
    assert certificate.upper_bound is not None
    assert certificate.upper_bound >= certificate.clicks_after
    row = certificate.goals.iloc[0]
    assert (row["target"], row["before"], row["met"]) == (pytest.approx(0.25), 0, True)
    assert row["achieved"] == pytest.approx(second / (1 + second + third))
    why = result.promotions.iloc[0]
    assert (why["item_id"], why["displaced"], why["goal"]) == ("d", "b", "tail min_share")
    assert why["clicks_given_up"] == pytest.approx(0.10 * second)
    shown = explain("r", result.rankings, result.control, result.boosts, ITEMS)
    assert shown.slots["clicks"].sum() == pytest.approx(certificate.clicks_after - certificate.clicks_before)
    text = str(shown)
    assert "b B" in text
    assert "in place of" in text
    assert "not in the plain list, boost" in text and "rank 2 before" in str(
        explain("r", result.control.assign(price=0.0).iloc[[1, 0, 2]].assign(rank=[1, 2, 3]), result.control,
                result.boosts, ITEMS)
    )
    assert max(map(len, text.splitlines())) <= 80


def test_without_goals_the_lists_stay_and_ties_break_by_item_id():
    result = rerank(one_list({"f": 0.2, "b": 0.2, "d": 0.2}), ITEMS, RerankSettings(k=2, goals=()))
    assert list(result.rankings["item_id"]) == ["b", "d"]
    pd.testing.assert_frame_equal(result.rankings, result.control)


def test_short_lists_stay_short_and_the_input_order_does_not_matter():
    candidates = pd.concat([one_list({"a": 0.5}, "s"), one_list({"b": 0.3, "d": 0.29, "a": 0.1}, "r")])
    options = RerankSettings(goals=(Goal(group="tail", min_exposure=1.0),))
    plain = rerank(candidates, ITEMS, options).rankings
    shuffled = rerank(candidates.sample(frac=1, random_state=1), ITEMS, options).rankings
    pd.testing.assert_frame_equal(plain, shuffled)
    assert plain.groupby("request_id")["rank"].max().to_dict() == {"r": 3, "s": 1}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 0.6), st.floats(0.0, 0.2))
def test_bound_linear_program_and_lists_stand_in_order(seed: int, tail: float, seller: float):
    candidates, items = market(60, seed)
    options = RerankSettings(
        k=5, guardrails=FREE, elastic=True,
        goals=(Goal(group="tail", min_share=tail), Goal(group="seller_id", each=True, min_share=seller / 2)),
    )
    result = rerank(candidates, items, options)
    exact = solve_exact(encode(candidates, items, options).problem)
    if not exact.feasible:
        assert not result.certificate.feasible
        return
    assert result.certificate.upper_bound is not None
    assert result.certificate.upper_bound >= exact.clicks * (1 - 1e-6)
    if result.certificate.feasible:
        assert exact.clicks >= result.certificate.clicks_after * (1 - 1e-6)


def test_learnt_prices_carry_over_and_a_warm_start_gives_the_same_answer():
    candidates, items = market(2_000, 1)
    tomorrow, _ = market(2_000, 1)
    tomorrow["score"] = tomorrow["score"] * np.random.default_rng(2).uniform(0.95, 1.05, len(tomorrow))
    options = RerankSettings(k=5, guardrails=FREE, goals=(Goal(group="tail", min_share=0.5),))
    fitted = ExposureReranker(options).fit(candidates, items=items)
    applied = fitted.rerank(tomorrow, items=items)
    assert applied.certificate.upper_bound is None
    assert applied.certificate.goals["achieved"].iloc[0] == pytest.approx(0.5, abs=0.01)
    warm = rerank(candidates, items, options, prices=fitted.prices_)
    assert warm.certificate.clicks_after == pytest.approx(fitted.fitted_.certificate.clicks_after, rel=1e-4)
    # Any engine can apply the boosts: score + boost, highest first.
    boosted = tomorrow.merge(applied.boosts, on="item_id", how="left")
    boosted["total"] = boosted["score"].astype("float32") + boosted["boost"].fillna(0).astype("float32")
    top = boosted.sort_values(["request_id", "total", "score"], ascending=[True, False, False])
    top = top.groupby("request_id").head(5)["item_id"].to_numpy()
    assert (top == applied.rankings["item_id"].to_numpy()).mean() > 0.999


def test_guardrails_hold_in_every_list():
    candidates, items = market(300, 3)
    rails = GuardrailSettings(
        min_score_ratio=0.5, protect_top=1, max_per={"seller_id": 2}, max_request_loss=0.2, banned=("i039",)
    )
    options = RerankSettings(k=5, elastic=True, goals=(Goal(group="tail", min_share=0.6),), guardrails=rails)
    result = rerank(candidates, items, options)
    lists = result.rankings.merge(items, on="item_id")
    assert lists.groupby(["request_id", "seller_id"]).size().max() <= 2
    assert "i039" not in set(lists["item_id"])
    first = result.rankings.query("rank == 1").set_index("request_id")["item_id"]
    assert first.equals(result.control.query("rank == 1").set_index("request_id")["item_id"])
    clicks = [
        (frame["score"].astype(float) * frame["exposure"]).groupby(frame["request_id"]).sum()
        for frame in (result.control, result.rankings)
    ]
    assert (clicks[1] >= 0.8 * clicks[0] - 1e-6).all()
    best = candidates[candidates["item_id"] != "i039"].groupby("request_id")["score"].max()
    promoted = result.rankings[result.rankings["boosted"]]
    assert (promoted["score"] >= 0.5 * promoted["request_id"].map(best) - 1e-6).all()


def test_a_click_budget_buys_part_of_the_goal():
    candidates, items = market(400, 4)
    goal = (Goal(group="tail", min_share=0.8),)
    rails = GuardrailSettings(min_score_ratio=None, max_click_loss=0.01)
    with pytest.raises(InfeasibleError, match=r"goals cost \d.*max_click_loss = 1\.0%.*1 of 1 goals short"):
        rerank(candidates, items, RerankSettings(k=5, goals=goal, guardrails=rails))
    certificate = rerank(candidates, items, RerankSettings(k=5, goals=goal, guardrails=rails, elastic=True)).certificate
    assert 0.005 < certificate.click_loss <= 0.01
    assert not certificate.feasible
    row = certificate.goals.iloc[0]
    assert row["before"] < row["achieved"] < row["target"]
    assert certificate.to_dict()["guardrails"][0]["kept"]


def test_goals_that_cannot_be_met_are_named():
    candidates, items = market(50, 5)
    goals = (Goal(group="tail", min_share=0.7), Goal(group="tail", max_share=0.4))
    with pytest.raises(InfeasibleError, match=r"of 2 goals cannot be met together.*tail m.._share 0"):
        rerank(candidates, items, RerankSettings(k=5, goals=goals, guardrails=FREE))
    with pytest.raises(InfeasibleError, match=r"tail min_share 1, reached"):
        rerank(candidates, items, RerankSettings(k=15, goals=(Goal(group="tail", min_share=1.0),), guardrails=FREE))


def test_lower_confidence_bounds_can_forbid_a_boost():
    candidates = one_list({"a": 0.50, "b": 0.40, "d": 0.39, "e": 0.30}).assign(score_std=[0.0, 0.0, 0.2, 0.0])
    goal = (Goal(group="tail", min_exposure=1 / np.log2(3)),)
    sure = RerankSettings(k=2, goals=goal, guardrails=GuardrailSettings(min_score_ratio=0.5, confidence=1.0))
    assert list(rerank(candidates, ITEMS, sure).rankings["item_id"]) == ["a", "e"]
    bold = RerankSettings(k=2, goals=goal, guardrails=GuardrailSettings(min_score_ratio=0.5))
    assert list(rerank(candidates, ITEMS, bold).rankings["item_id"]) == ["a", "d"]


@pytest.mark.parametrize(
    ("candidates", "options", "error", "message"),
    [
        (one_list({"a": -0.1}), {}, ColumnError, r"'score' row 0 is -0\.1, negative"),
        (one_list({"a": 1.5}), {}, ColumnError, r"'score' row 0 is 1\.5, above 1"),
        (one_list({"a": 0.1, "b": np.nan}), {}, ColumnError, "'score' row 1"),
        (pd.concat([one_list({"a": 0.1}), one_list({"a": 0.2})]), {}, TableError, "stands there twice"),
        (one_list({"z": 0.1}), {}, TableError, "item_id 'z' is not in items"),
        (one_list({"a": 0.1}), {"goals": [{"group": "colour", "value": "red", "min_share": 0.1}]}, ColumnError,
         "goal: 'colour' is not a column of items; found"),
        (one_list({"a": 0.1}), {"goals": [{"group": "seller_id", "value": "nobody", "min_share": 0.1}]}, ConfigError,
         "no item of the catalogue is meant"),
        (one_list({"a": 0.1}), {"goals": [{"group": "seller_id", "min_share": 0.1}]}, ConfigError, "each: true"),
        (one_list({"a": 0.1}), {"goals": [{"group": "tail", "each": True, "min_share": 0.1}]}, ConfigError, "tier"),
        (one_list({"a": 0.1}), {"guardrails": {"max_per": {"colour": 1}}}, ColumnError, "guardrails.max_per: 'colour'"),
        (one_list({"a": 0.1}), {"guardrails": {"confidence": 1.0}}, ColumnError, "'score_std'"),
        (one_list({"a": 0.1}), {"guardrails": {"banned": ["a"]}}, TableError, "no candidate is left"),
    ],
)
def test_unusable_jobs_are_refused(candidates: pd.DataFrame, options: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        rerank(candidates, ITEMS, RerankSettings.model_validate(options))


def test_a_group_without_candidates_is_named_and_a_cap_on_it_is_met():
    floor = RerankSettings(k=2, goals=(Goal(group="seller_id", value="u", min_exposure=0.1),))
    with pytest.raises(InfeasibleError, match=r"1 of 1 goals cannot be met together.*seller_id u min_exposure 0\.1"):
        rerank(one_list({"a": 0.5, "d": 0.4}), ITEMS, floor)
    cap = RerankSettings(k=2, goals=(Goal(group="seller_id", value="u", max_exposure=0.0),))
    assert rerank(one_list({"a": 0.5, "d": 0.4}), ITEMS, cap).certificate.feasible


def test_all_equal_scores_are_counted_not_refused():
    result = rerank(one_list(dict.fromkeys("abcdef", 0.2)), ITEMS, RerankSettings(k=3))
    assert result.certificate.facts["notes"] == {"candidates with one and the same score": 6}
    assert result.certificate.click_loss == pytest.approx(0, abs=1e-7)
    assert result.certificate.feasible


def test_a_budget_is_spent_whole_at_prices_that_give_the_lists_again():
    candidates, items = market(400, 4)
    rails = GuardrailSettings(min_score_ratio=None, max_click_loss=0.01)
    asked = RerankSettings(k=5, goals=(Goal(group="tail", min_share=0.8),), guardrails=rails, elastic=True)
    bought = rerank(candidates, items, asked)
    assert 0.0095 < bought.certificate.click_loss <= 0.01
    share = bought.certificate.goals["achieved"].iloc[0]
    again = ExposureReranker(asked).apply_prices(candidates, bought.prices, items=items)
    assert again.certificate.goals["achieved"].iloc[0] == pytest.approx(share, rel=0.05)
    # no more tail than that is to be had for these clicks
    more = RerankSettings(k=5, goals=(Goal(group="tail", min_share=share * 1.02),), guardrails=FREE)
    assert rerank(candidates, items, more).certificate.clicks_after < bought.certificate.clicks_after


def test_where_a_cap_is_full_an_item_comes_in_for_one_of_its_part():
    items = pd.DataFrame({
        "item_id": list("abcde"), "title": "t", "tier": ["head"] * 4 + ["tail"], "brand": ["x", "x", "y", "y", "x"],
    })
    candidates = one_list({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.1})
    rails = GuardrailSettings(min_score_ratio=None, max_per={"brand": 2})
    goal = Goal(group="item_id", value="e", min_exposure=0.4)
    result = rerank(candidates, items, RerankSettings(k=4, goals=(goal,), guardrails=rails))
    assert sorted(result.rankings["item_id"]) == ["a", "c", "d", "e"]


def test_prices_of_another_job_are_refused_or_said(caplog):
    candidates, items = market(60, 1)
    sellers = RerankSettings(k=5, goals=(Goal(group="seller_id", each=True, min_share=0.1),), guardrails=FREE)
    tail = RerankSettings(k=5, goals=(Goal(group="tail", min_share=0.6),), guardrails=FREE)
    prices = rerank(candidates, items, tail).prices
    with pytest.raises(ConfigError, match="none of them is of a goal of this job"):
        ExposureReranker(sellers).apply_prices(candidates, prices, items=items)
    both = tail.model_copy(update={"goals": (*tail.goals, *sellers.goals)})
    mixed = pd.concat([prices, prices.assign(group="brand", value="gone")], ignore_index=True)
    ExposureReranker(both).apply_prices(candidates, mixed, items=items)
    assert "1 of 2 prices are of no goal of this job" in caplog.text


def test_a_catalogue_that_cannot_be_used_is_refused():
    candidates = one_list({"a": 0.5, "d": 0.4})
    job = RerankSettings(k=2, goals=())
    with pytest.raises(ColumnError, match=r"items lacks .tier.*TailSpec"):
        rerank(candidates, ITEMS.drop(columns="tier"), job)
    with pytest.raises(TableError, match="items row 6: item_id 'a' stands there twice"):
        rerank(candidates, pd.concat([ITEMS, ITEMS.iloc[:1]], ignore_index=True), job)
    numbers = ITEMS.assign(item_id=range(6))
    result = rerank(pd.DataFrame({"request_id": [1, 1], "item_id": [0, 3], "score": [0.5, 0.4]}), numbers, job)
    assert list(result.rankings["item_id"]) == ["0", "3"]


def test_slots_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="protect_top = 4 is beyond the k = 3"):
        RerankSettings(k=3, guardrails=GuardrailSettings(protect_top=4))
    with pytest.raises(ConfigError, match="0 in every slot"):
        rerank(one_list({"a": 0.5, "d": 0.4}), ITEMS, RerankSettings(k=2, goals=(), attention=(0.0, 0.0)))
    with pytest.raises(ColumnError, match=r"negative\. Give relevance of 0 or more"):
        rerank(one_list({"a": -0.5, "d": 0.4}), ITEMS, RerankSettings(k=2, goals=(), score_kind="relevance"))
