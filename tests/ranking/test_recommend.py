"""Blend weights, calibration and whole candidate lists."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from ltexpo.config import check_settings
from ltexpo.data import Dataset
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.errors import ColumnError, ConfigError, SplitError
from ltexpo.metrics.attention import attention_weights
from ltexpo.ranking.blend import Validation, choose_weights
from ltexpo.ranking.calibrate import fit_calibration
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender, recommend


def csr(rows: list[list[float]]) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.array(rows, dtype=np.float32))


def made(n_users: int = 300, n_items: int = 120, seed: int = 0, *, days: int = 10) -> Dataset:
    """Users who like one of four categories and take mostly its popular items."""
    rng = np.random.default_rng(seed)
    category = np.arange(n_items) % 4
    items = pd.DataFrame({
        "item_id": [f"i{code:03d}" for code in range(n_items)],
        "title": [f"thing {code % 7}" for code in range(n_items)],
        "category": [f"c{code}" for code in category],
    })
    liked = rng.integers(0, 4, n_users)
    user = rng.integers(0, n_users, 4000)
    rank = np.minimum(rng.geometric(0.15, 4000), 25)
    item = rank * 4 + np.where(rng.random(4000) < 0.8, liked[user], rng.integers(0, 4, 4000))
    events = pd.DataFrame({
        "user_id": [f"u{code:03d}" for code in user], "item_id": items["item_id"].to_numpy()[item], "event": "purchase",
        "timestamp": pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, days, 4000), unit="D"),
    })
    users = pd.DataFrame({"user_id": [*(f"u{code:03d}" for code in range(n_users)), "cold0", "cold1"]})
    users["segment"] = [*(f"s{code}" for code in liked), "s1", None]
    return Dataset.of(items, events, users)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return made()


@pytest.fixture(scope="module")
def result(dataset):
    return recommend(dataset, RecommendSettings(k=20), rng=0)


def test_judge_by_hand():
    parts = {"a": csr([[3, 2, 1, 0]]), "b": csr([[0, 0, 0, 1]])}
    validation = Validation(parts, csr([[0, 1, 0, 1]]), k=2)
    ndcg, recall, precision = validation.judge([1.0, 0.0])
    assert recall == 0.5 and precision == pytest.approx(0.25)
    assert ndcg == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert validation.judge([1.0, 5.0])[1] == 0.5  # items 3, 0: one found


def test_weights_turn_to_the_component_that_knows():
    rng = np.random.default_rng(1)
    taken = (rng.random((200, 30)) < 0.1).astype(np.float32)
    knowing = sparse.csr_matrix(taken * 0.5 + rng.random((200, 30)) * 0.5)
    noise = sparse.csr_matrix(rng.random((200, 30)))
    validation = Validation({"noise": noise, "knowing": knowing}, sparse.csr_matrix(taken), k=5)
    weights = choose_weights(validation)
    assert weights["knowing"] > 0.8
    assert sum(weights.values()) == pytest.approx(1.0)
    chosen = validation.judge(list(weights.values()))[0]
    assert chosen > validation.judge([0.5, 0.5])[0]


def test_popularity_never_leaves_the_blend():
    taken = csr([[1, 0, 0]] * 10)
    parts = {"popularity": csr([[0, 0, 1]] * 10), "repeat": csr([[1, 0, 0]] * 10)}
    assert choose_weights(Validation(parts, taken, k=1))["popularity"] > 0


def test_calibration_recovers_the_truth_behind_position_bias():
    rng = np.random.default_rng(4)
    scores = rng.random(200_000)
    truth = 0.05 + 0.4 * scores**2
    attention = attention_weights("log2", 10)[rng.integers(0, 10, len(scores))]
    clicks = rng.random(len(scores)) < truth * attention
    found = fit_calibration(scores, clicks, attention=attention, means="")
    grid = np.linspace(0.05, 0.95, 19)
    assert np.abs(found(grid) - (0.05 + 0.4 * grid**2)).max() < 0.02
    biased = fit_calibration(scores, clicks, means="")
    assert np.abs(biased(grid) - (0.05 + 0.4 * grid**2)).max() > 0.05


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60))
@example([(0, False), *((score, False) for score in range(8))])
@settings(max_examples=200, deadline=None)
def test_calibration_keeps_order_and_stays_inside_0_and_1(pairs):
    scores = np.array([score for score, _ in pairs]) / 20
    found = fit_calibration(scores, np.array([click for _, click in pairs]), means="")
    grid = np.linspace(0, 1.5, 61)
    probability = found(grid)
    assert (np.diff(probability) > 0).all()
    assert probability[0] > 0 and probability[-1] < 1


def test_candidates_fulfil_their_contract(dataset, result):
    candidates = result.candidates
    check_table(candidates, CANDIDATES)
    assert (candidates["request_id"] == candidates["user_id"]).all()
    assert candidates["score"].between(0, 1, inclusive="neither").all()
    ordered = candidates.sort_values(["request_id", "rank"])
    assert ordered.index.equals(candidates.index)
    for _, rows in candidates.groupby("request_id"):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert (rows["score"].diff().dropna() <= 0).all()
    assert set(candidates["user_id"]) == set(dataset.users["user_id"]) | set(dataset.events["user_id"])
    assert "blend" in str(result)


def test_same_seed_same_bytes(dataset, result):
    again = recommend(dataset, RecommendSettings(k=20), rng=0)
    pd.testing.assert_frame_equal(result.candidates, again.candidates)
    assert result.report == again.report


def test_the_blend_is_at_least_as_good_as_its_parts_on_validation(result):
    validation = result.report["validation"]
    blend = validation.pop("blend")
    assert all(blend["recall@12"] >= 0.97 * part["recall@12"] for part in validation.values())
    assert all(blend["ndcg@12"] >= part["ndcg@12"] for part in validation.values())


def test_cold_users_get_what_their_segment_takes(result):
    lists = result.candidates.set_index(["user_id", "rank"])["item_id"]
    segment = {"s1": 1}["s1"]
    assert int(lists["cold0", 1][1:]) % 4 == segment
    assert result.report["counts"]["users without history"] == 2


def test_listed_users_whom_no_table_knows_are_counted(dataset, tmp_path):
    known = sorted(dataset.events["user_id"])[0]
    pd.DataFrame({"user_id": [known, "cold0", "x1", "x2", "x2"]}).to_parquet(tmp_path / "users.parquet")
    made = recommend(dataset, RecommendSettings(k=10, users_file=tmp_path / "users.parquet"), rng=0)
    counts = made.report["counts"]
    assert (counts["users"], counts["users without history"]) == (4, 3)
    assert counts["users of users_file whom no table knows"] == 2


def test_seen_items_are_excluded_on_demand(dataset):
    candidates = recommend(dataset, RecommendSettings(k=10, exclude_seen=True), rng=0).candidates
    seen = set(zip(dataset.events["user_id"], dataset.events["item_id"], strict=True))
    assert not seen & set(zip(candidates["user_id"], candidates["item_id"], strict=True))


def test_nothing_after_until_is_used(dataset):
    until = "2024-03-06"
    past = Dataset.of(dataset.items, dataset.events[dataset.events["timestamp"] < pd.Timestamp(until, tz="UTC")])
    options = RecommendSettings(k=5, users="known", until=until)
    pd.testing.assert_frame_equal(
        recommend(dataset, options, rng=0).candidates,
        recommend(past, options.model_copy(update={"until": None}), rng=0).candidates,
    )


def test_events_without_times_are_held_out_by_items():
    dataset = made(days=1)
    report = recommend(dataset, RecommendSettings(k=5), rng=0).report
    assert "at random" in report["validation_period"]


def test_impressions_calibrate_when_there_are_some(dataset):
    rng = np.random.default_rng(0)
    n, days = 6000, 10
    shown = pd.DataFrame({
        "user_id": [f"u{code:03d}" for code in rng.integers(0, 300, n)],
        "item_id": [f"i{code:03d}" for code in rng.integers(0, 104, n)], "event": "impression",
        "timestamp": pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, days, n), unit="D"),
        "request_id": [f"r{code}" for code in range(n)], "rank": rng.integers(1, 6, n),
    })
    examined = attention_weights("log2", 5)[shown["rank"] - 1]
    clicks = shown[rng.random(n) < 0.3 * examined].assign(event="click")
    events = pd.concat([dataset.events, shown, clicks], ignore_index=True)
    report = recommend(Dataset.of(dataset.items, events), RecommendSettings(k=5, validation_days=5), rng=0).report
    assert report["calibration"]["means"].startswith("P(click | examined)")
    assert np.mean(report["calibration"]["probability"]) == pytest.approx(0.3, abs=0.08)


def test_parts_alone_and_listed_users(dataset, tmp_path):
    listed = tmp_path / "users.parquet"
    pd.DataFrame({"user_id": ["u001", "u002"]}).to_parquet(listed)
    fitted = fit_recommender(dataset, RecommendSettings(k=4, users_file=listed), rng=0)
    popular = fitted.recommend(part="popularity").candidates
    assert popular["user_id"].unique().tolist() == ["u001", "u002"]
    lists = popular.groupby("user_id")["item_id"].agg(list)
    assert lists["u001"] == lists["u002"]


@pytest.mark.parametrize(("values", "message"), [
    ({"weights": {"magic": 1.0}}, "magic"),
    ({"weights": {"taste": -1.0}}, "taste"),
    ({"weights": {"taste": 0.0}}, "all 0"),
])
def test_bad_weights_are_refused(dataset, values, message):
    with pytest.raises(ConfigError, match=message):
        recommend(dataset, RecommendSettings(**values))


def test_unknown_event_weight_is_refused():
    with pytest.raises(ConfigError, match="impression"):
        check_settings(RecommendSettings, {"event_weights": {"impression": 1.0}}, "options")


def test_an_until_before_all_events_is_refused(dataset):
    with pytest.raises(SplitError, match="2020"):
        recommend(dataset, RecommendSettings(until="2020-01-01"))


def test_a_users_file_without_user_id_is_refused(dataset, tmp_path):
    listed = tmp_path / "users.parquet"
    pd.DataFrame({"customer": ["u001"]}).to_parquet(listed)
    with pytest.raises(ColumnError, match="user_id"):
        recommend(dataset, RecommendSettings(users_file=listed))
