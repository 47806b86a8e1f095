"""The trade-off of tail share and clicks: worked by hand, concave under its bound, with intervals that hold."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.errors import ConfigError
from ltexpo.rerank import Frontier, Goal, GuardrailSettings, RerankSettings, frontier, rerank
from ltexpo.rerank.frontier import knee_of

FREE = GuardrailSettings(min_score_ratio=None)


def market(n_lists: int = 300, seed: int = 0, *, std: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    ids = np.array([f"i{n:03d}" for n in range(60)])
    in_tail = np.arange(60) >= 20
    items = pd.DataFrame({
        "item_id": ids, "title": ids, "tier": np.where(in_tail, "tail", "head"),
        "seller_id": [f"s{n % 4}" for n in range(60)],
    })
    item = np.concatenate([rng.choice(60, 15, replace=False) for _ in range(n_lists)])
    candidates = pd.DataFrame({
        "request_id": np.repeat([f"r{n:04d}" for n in range(n_lists)], 15), "item_id": ids[item],
        "score": rng.beta(2, 18, len(item)) * np.where(in_tail[item], 0.6, 1.0),
    })
    if std:
        candidates["score_std"] = 0.3 * candidates["score"] * rng.random(len(item))
    return candidates, items


@pytest.fixture(scope="module")
def drawn() -> Frontier:
    return frontier(*market(std=True), RerankSettings(k=5, guardrails=FREE), n_points=9)


def test_points_are_concave_under_their_bound_from_the_plain_lists_to_the_most(drawn: Frontier):
    points = drawn.to_pandas()
    assert len(points) == 9
    assert points["feasible"].all()
    assert points["share"].iloc[0] == pytest.approx(drawn.share_before)
    assert points["clicks"].iloc[0] == pytest.approx(drawn.clicks_before)
    assert (points["achieved"] >= points["share"] - 1e-9).all()
    assert (points["upper_bound"] >= points["clicks"] * (1 - 1e-9)).all()
    assert (points["upper_bound"] / points["clicks"] - 1).max() < 2e-3
    slopes = np.diff(points["clicks"]) / np.diff(points["share"])
    tolerance = 2 * (points["upper_bound"] - points["clicks"]).max() / np.diff(points["share"]).min()
    assert (np.diff(slopes) <= tolerance).all()
    assert (slopes <= 0).all()
    # the price is the slope: clicks per exposure, so it lies between the slopes of the two sides
    assert points["price"].is_monotonic_increasing
    # the last point is every tail item first: nothing more can be asked
    whole = Goal(group="tail", min_share=1.0)
    most = rerank(*market(), RerankSettings(k=5, guardrails=FREE, goals=(whole,), elastic=True))
    assert most.certificate.goals["achieved"].iloc[0] == pytest.approx(points["achieved"].iloc[-1])


def test_a_point_is_what_the_reranker_answers(drawn: Frontier):
    point = drawn.points.iloc[4]
    goal = Goal(group="tail", min_share=float(point["share"]))
    again = rerank(*market(), RerankSettings(k=5, guardrails=FREE, goals=(goal,))).certificate
    assert point["clicks"] == pytest.approx(again.clicks_after, rel=1e-3)
    assert point["loss"] == pytest.approx(again.click_loss, abs=1e-3)


def test_one_list_worked_by_hand():
    items = pd.DataFrame({"item_id": list("abc"), "title": list("abc"), "tier": ["head", "head", "tail"]})
    candidates = pd.DataFrame({"request_id": "r", "item_id": list("abc"), "score": [0.5, 0.4, 0.2]})
    options = RerankSettings(k=2, attention=(1.0, 0.5), guardrails=FREE)
    drawn = frontier(candidates, items, options, shares=[0.0, 1 / 3, 2 / 3])
    assert drawn.share_before == 0
    np.testing.assert_allclose(drawn.points["clicks"], [0.7, 0.6, 0.45], rtol=1e-6)
    np.testing.assert_allclose(drawn.points["loss"], [0, 1 / 7, 0.25 / 0.7], rtol=1e-6)
    assert drawn.knee is not None
    assert drawn.knee["share"] == pytest.approx(1 / 3)


def test_the_knee_worked_by_hand():
    # heights above the chord from (0, 10) to (4, 0): 0, 2, 3, 1.5, 0 of 10
    assert knee_of([0, 1, 2, 3, 4], [10, 9.5, 8, 4, 0]) == 2
    assert knee_of([0, 1, 2], [2, 1, 0]) is None
    assert knee_of([0, 1, 2], [1, 1, 1]) is None
    assert knee_of([0, 1], [1, 0]) is None


def test_the_table_names_the_knee_and_the_intervals(drawn: Frontier):
    text = str(drawn)
    assert drawn.knee is not None
    line = next(line for line in text.splitlines() if line.endswith("knee"))
    assert f"{drawn.knee['share']:.1%}" in line
    assert "95% over scores" in text
    assert "95% over scores" not in str(frontier(*market(50), RerankSettings(k=5), n_points=2))


def test_the_score_interval_holds_for_errors_of_candidates_and_of_items():
    candidates, items = market(100, std=True)
    options = RerankSettings(k=5, guardrails=GuardrailSettings(min_score_ratio=None, banned=("i003",)))
    shuffled = candidates.sample(frac=1, random_state=2)
    point = frontier(shuffled, items, options, shares=[0.6]).points.iloc[0]
    goal = Goal(group="tail", min_share=0.6)
    result = rerank(candidates, items, options.model_copy(update={"goals": (goal,)}))
    rng = np.random.default_rng(0)
    key = ["request_id", "item_id"]
    given = candidates.merge(result.rankings[[*key, "exposure"]], on=key, how="left")
    given = given.merge(result.control[[*key, "exposure"]], on=key, how="left", suffixes=("_after", "_before"))
    given = given.fillna(0.0)
    spread = []
    of_item = pd.factorize(given["item_id"])[0]
    for noise in (rng.standard_normal((4000, len(given))), rng.standard_normal((4000, 60))[:, of_item]):
        scores = given["score"].to_numpy() + noise * given["score_std"].to_numpy()
        losses = 1 - (scores @ given["exposure_after"].to_numpy()) / (scores @ given["exposure_before"].to_numpy())
        spread.append(losses.std())
    half = (point["score_high"] - point["score_low"]) / 2
    # of each item the larger of both variances
    assert 0.95 * max(spread) < half / 1.96 < 1.05 * np.hypot(*spread)


def test_the_request_interval_is_that_of_other_requests_at_the_same_share():
    drawn = [frontier(*market(80, seed), RerankSettings(k=5, guardrails=FREE), shares=[0.7]) for seed in range(80)]
    points = pd.concat([one.points for one in drawn])
    half = (points["loss_high"] - points["loss_low"]) / 2
    assert half.mean() == pytest.approx(1.99 * points["loss"].std(), rel=0.2)


def test_users_are_what_varies_where_candidates_name_them():
    candidates, items = market(60)
    again = pd.concat([candidates.assign(request_id=candidates["request_id"] + tag) for tag in "abc"])
    options = RerankSettings(k=5, guardrails=FREE)
    of_lists, of_users, alone = (
        float(np.ptp(frontier(table, items, options, shares=[0.6]).points[["loss_low", "loss_high"]].iloc[0]))
        for table in (again, again.assign(user_id=again["request_id"].str[:-1]), candidates)
    )
    assert of_users == pytest.approx(alone, rel=0.05)
    assert of_lists == pytest.approx(alone / np.sqrt(3), rel=0.05)


def test_what_choosing_by_estimates_flatters_is_taken_off():
    missed: dict[str, list[float]] = {"calibrated": [], "estimates": []}
    for seed in range(15):
        truth, items = market(100, seed)
        rng = np.random.default_rng(seed)
        candidates = truth.assign(
            score=(truth["score"] + 0.2 + 0.03 * rng.standard_normal(len(truth))).clip(0, 1), score_std=0.03
        )
        options = RerankSettings(k=5, guardrails=FREE)
        result = rerank(candidates, items, options.model_copy(update={"goals": (Goal(group="tail", min_share=0.7),)}))
        known = truth.assign(score=truth["score"] + 0.2).rename(columns={"score": "chance"})
        had, has = (
            lists.merge(known, on=["request_id", "item_id"])[["exposure", "chance"]].prod(axis=1).sum()
            for lists in (result.control, result.rankings)
        )
        for kind, held in missed.items():
            point = frontier(candidates, items, options, shares=[0.7], scores_are=kind).points.iloc[0]
            held.append((point["score_low"] + point["score_high"]) / 2 - (1 - has / had))
    assert abs(np.mean(missed["estimates"])) < 0.25 * abs(np.mean(missed["calibrated"]))


def test_other_goals_are_kept_and_guardrails_end_the_frontier():
    candidates, items = market()
    floor = Goal(group="seller_id", value="s1", min_share=0.35)
    options = RerankSettings(k=5, goals=(Goal(group="tail", min_share=0.3), floor), guardrails=FREE)
    alone = frontier(candidates, items, options.model_copy(update={"goals": ()}), n_points=4)
    both = frontier(candidates, items, options, shares=list(alone.points["share"]))
    usable = both.points["feasible"]
    assert usable.iloc[0]
    assert (both.points["clicks"][usable] < alone.points["clicks"][usable]).all()
    protected = options.model_copy(update={"goals": (), "guardrails": GuardrailSettings(protect_top=2)})
    assert frontier(candidates, items, protected, n_points=3).points["share"].max() < alone.points["share"].max()


def test_requests_for_no_points_are_refused():
    with pytest.raises(ConfigError, match="n_points is 1"):
        frontier(*market(10), RerankSettings(k=5), n_points=1)
    with pytest.raises(ConfigError, match="shares"):
        frontier(*market(10), RerankSettings(k=5), shares=[1.2])
