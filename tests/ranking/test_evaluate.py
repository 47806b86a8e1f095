import json
import math

import numpy as np
import pandas as pd
import pytest

from ltexpo.config import check_settings, documented_yaml, read_settings
from ltexpo.data import Dataset, TailSpec
from ltexpo.errors import ColumnError, ConfigError, InputError, SplitError, TableError
from ltexpo.ranking.evaluate import EvaluateSettings, evaluate

TEST = EvaluateSettings(k=(2,), since="2024-01-02")


def events(*rows):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "event", "timestamp"])
    return frame.assign(timestamp=pd.to_datetime(frame["timestamp"], utc=True))


def lists(**by_request):
    rows = [(r, rank, item) for r, items in by_request.items() for rank, item in enumerate(items, start=1)]
    return pd.DataFrame(rows, columns=["request_id", "rank", "item_id"])


@pytest.fixture
def shop():
    items = pd.DataFrame({
        "item_id": list("hHtTn"), "title": "x", "seller_id": ["big", "big", "small", "small", "new"],
    })
    train = [("u", "h", "purchase", "2024-01-01")] * 6 + [("v", "H", "click", "2024-01-01")] * 3
    train += [("v", "t", "click", "2024-01-01"), ("w", "T", "click", "2024-01-01")]
    test = [
        ("u", "h", "purchase", "2024-01-02"), ("u", "h", "click", "2024-01-02"), ("u", "t", "click", "2024-01-02"),
        ("v", "n", "click", "2024-01-02"), ("v", "h", "impression", "2024-01-02"),
        ("x", "T", "cart", "2024-01-03"),
    ]
    return Dataset.of(items, events(*train, *test))


def values(evaluation, metric):
    table = evaluation.metrics
    return table[table["metric"] == metric].set_index("tier")["value"].to_dict()


def test_by_hand(shop):
    # u finds h of h, t; v finds n; x has no list and counts as 0; w acted on nothing.
    found = evaluate(shop, lists(u="hH", v="nh", w="hH"), TEST)
    assert values(found, "recall@2") == pytest.approx({"all": (1 / 2 + 1 + 0) / 3, "head": 1, "tail": 0, "new": 1})
    assert values(found, "ndcg@2")["all"] == pytest.approx((1 / (1 + 1 / math.log2(3)) + 1) / 3)
    assert values(found, "exposure_share@2")["new"] == pytest.approx(1 / (3 + 3 / math.log2(3)))
    assert values(found, "coverage@2") == pytest.approx({"all": 3 / 5, "head": 1, "tail": 0, "new": 1})
    assert values(found, "min_exposure_seller_id@2") == {"all": 0}
    assert found.metrics.set_index(["metric", "tier"]).loc[("recall@2", "all"), "n"] == 3
    assert found.health == {
        "lists": 3, "users_with_a_list": 3, "relevant_pairs": 4, "test_users_left_out": 0,
        "lists_without_relevant": 1, "test_users_without_list": 1, "lists_shorter_than_2": 0,
        "items_without_seller_id": 0,
    }
    assert found.tail == str(TailSpec())
    assert set(found.to_pandas()["arm"]) == {"rankings"}
    assert found.differences is None


def test_tiers_come_from_training_events_alone(shop):
    # In the test period everybody buys n; it stays new.
    late = events(*[("u", "n", "purchase", "2024-01-05")] * 50)
    found = evaluate(Dataset.of(shop.items, pd.concat([shop.events, late])), lists(u="nh"), TEST)
    assert values(found, "coverage@2")["new"] == 1
    assert values(found, "arp@2")["all"] == 3  # n: 0, h: 6 training interactions


def test_whose_events_count(shop):
    rankings = lists(u="hH", w="hH")
    assert values(evaluate(shop, rankings, TEST), "recall@2")["all"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    known = evaluate(shop, rankings, TEST.model_copy(update={"users": "known"}))
    assert values(known, "recall@2")["all"] == pytest.approx((1 / 2 + 0) / 2)
    assert known.health["test_users_left_out"] == 1
    ranked = evaluate(shop, rankings, TEST.model_copy(update={"users": "ranked"}))
    assert values(ranked, "recall@2")["all"] == 1 / 2
    assert ranked.health["test_users_left_out"] == 2


def test_the_period_and_the_relevant_events(shop):
    rankings = lists(u="hH", v="hn", x="Tt")
    early = evaluate(shop, rankings, TEST.model_copy(update={"until": "2024-01-03"}))
    assert early.health["relevant_pairs"] == 3
    impressions = evaluate(shop, rankings, TEST.model_copy(update={"relevant": ("impression",)}))
    assert values(impressions, "mrr@2")["all"] == 1
    with pytest.raises(TableError, match="holds no rating"):
        evaluate(shop, rankings, TEST.model_copy(update={"relevant": ("rating",)}))


def test_several_lists_of_one_user_are_one_cluster(shop):
    rankings = lists(r1="hH", r2="HT", r3="nh").assign(user_id=["u", "u", "u", "u", "v", "v"])
    found = evaluate(shop, rankings, TEST.model_copy(update={"users": "ranked"}))
    recall = found.metrics.set_index(["metric", "tier"]).loc[("recall@2", "all")]
    assert recall["value"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert recall["n"] == 3
    # Cluster sums of residuals: u −1/2, v +1/2; error √(2 · ½) / 3 = 1/3, t(1) = 12.706.
    assert recall["high"] - recall["value"] == pytest.approx(12.7062 / 3, rel=1e-5)
    torn = rankings.assign(user_id=["u", "v", "u", "u", "v", "v"])
    with pytest.raises(TableError, match="its request has more than one user_id"):
        evaluate(shop, torn, TEST)


def test_a_request_named_like_another_user_does_not_become_that_user(shop):
    # Request 'x' belongs to u; the user x has no list and still counts as 0.
    found = evaluate(shop, lists(x="hT").assign(user_id="u"), TEST)
    assert found.health["test_users_without_list"] == 2
    assert values(found, "recall@2")["all"] == pytest.approx((1 / 2) / 3)


def test_without_a_test_period_only_exposure(shop):
    found = evaluate(shop, lists(u="hn"), EvaluateSettings(k=(2,)))
    assert set(found.metrics["metric"].str.split("@").str[0]) == {
        "tail_share", "exposure_share", "aplt", "arp", "coverage", "gini", "entropy", "entropy_normalised",
        "min_exposure_seller_id", "mmf50_seller_id",
    }
    with pytest.raises(TableError, match="which the tail definition needs"):
        evaluate(Dataset.of(shop.items), lists(u="hn"), EvaluateSettings())
    marked = Dataset.of(shop.items.assign(tier=["head", "head", "tail", "tail", "new"]))
    by_column = evaluate(marked, lists(u="hn"), EvaluateSettings(k=(2,), tail=TailSpec(column="tier")))
    assert values(by_column, "aplt@2") == {"all": 0.5}


def test_against_control(shop):
    rankings, control = lists(u="tH", v="nh", x="TH"), lists(u="Hh", v="hH", x="TH")
    found = evaluate(shop, rankings, TEST, control=control)
    recall = found.differences.set_index(["metric", "tier"]).loc[("recall@2", "all")]
    # u finds t instead of h, v finds n: differences 0, 1, 0.
    assert (recall["control"], recall["treatment"], recall["value"]) == pytest.approx((1 / 2, 5 / 6, 1 / 3))
    assert recall["high"] - recall["value"] == pytest.approx(np.std([0, 1, 0], ddof=1) / math.sqrt(3) * 4.302653)
    own = evaluate(shop, control, TEST)
    shown = found.differences.set_index(["metric", "tier"])["control"]
    assert shown.equals(own.metrics.set_index(["metric", "tier"])["value"].rename("control"))
    assert set(found.lorenz["arm"]) == {"rankings", "control"}
    assert "control_lists_without_relevant" in found.health
    same = evaluate(shop, rankings, TEST, control=rankings).differences
    assert (same["value"].dropna() == 0).all()
    with pytest.raises(TableError, match="control: item_id 'zz' is not in items"):
        evaluate(shop, rankings, TEST, control=lists(u=["zz"]))


def test_several_cutoffs_and_the_lorenz_curve(shop):
    found = evaluate(shop, lists(u="hH", v="nh"), EvaluateSettings(k=(2, 1, 1), since="2024-01-02"))
    assert found.metrics["k"].unique().tolist() == [1, 2]
    first = found.lorenz[found.lorenz["k"] == 1]
    assert first["exposure_share"].tolist() == pytest.approx([0, 0, 0, 0, 0.5, 1])
    assert not found.metrics.duplicated(["metric", "tier"]).any()


def test_prints_as_a_table(shop):
    found = evaluate(shop, lists(u="hH", v="nh"), TEST, control=lists(u="hH", v="hH"))
    text = str(found)
    line = next(line for line in text.splitlines() if line.startswith("recall@2"))
    assert "0.5 [" in line
    assert "rankings − control" in text
    assert "head = fewest items with 80%" in text
    assert "test users without list: 1" in text
    assert json.loads(json.dumps(found.health)) == found.health


def test_same_input_same_output_in_any_row_order(shop):
    rankings = lists(u="hH", v="nh", x="Tt")
    shuffled = Dataset.of(shop.items, shop.events.sample(frac=1, random_state=1))
    one, other = evaluate(shop, rankings, TEST), evaluate(shuffled, rankings.sample(frac=1, random_state=2), TEST)
    pd.testing.assert_frame_equal(one.metrics, other.metrics)
    pd.testing.assert_frame_equal(one.lorenz, other.lorenz)
    assert one.health == other.health


@pytest.mark.parametrize(
    ("rankings", "changes", "error", "message"),
    [
        (lists(u="hh"), {}, TableError, "stands there twice"),
        (lists(u="hz"), {}, TableError, "rankings: item_id 'z' is not in items"),
        (lists(nobody="hH"), {}, TableError, "no list belongs to a user with relevant events"),
        (lists(u="hH").drop(columns="rank"), {}, ColumnError, "lacks 'rank'"),
        (lists(u="hH"), {"since": "2030-01-01"}, SplitError, "no event from 2030-01-01"),
        (lists(u="hH"), {"since": None, "until": "2024-01-03"}, ConfigError, "'until' is set without 'since'"),
        (lists(u="hH"), {"attention": "steep"}, ConfigError, "attention is 'steep'"),
        (lists(u="hH"), {"attention": (1.0,)}, ConfigError, "fewer than k = 2"),
        (lists(u="hH"), {"groups": ("maker",)}, ColumnError, "'maker' is not in items"),
    ],
)
def test_refusals(shop, rankings, changes, error, message):
    with pytest.raises(error, match=message):
        evaluate(shop, rankings, TEST.model_copy(update=changes))


def test_settings_come_from_yaml(tmp_path):
    path = tmp_path / "evaluate.yaml"
    path.write_text("k: [6, 12]\nsince: 2024-01-02\nuntil: 2024-01-03 12:00:00\nattention: [1, 0.5]\n")
    read = read_settings(EvaluateSettings, path)
    assert read.k == (6, 12)
    assert str(read.since) == "2024-01-02"
    assert read.attention == (1.0, 0.5)
    path.write_text(documented_yaml(EvaluateSettings))
    assert read_settings(EvaluateSettings, path) == EvaluateSettings()
    for wrong in ({"k": [0]}, {"k": []}, {"users": "none"}, {"relevant": ["look"]}):
        with pytest.raises(InputError):
            check_settings(EvaluateSettings, wrong, "test")


def test_a_date_from_yaml_is_its_midnight(shop, tmp_path):
    path = tmp_path / "evaluate.yaml"
    path.write_text("k: [2]\nsince: 2024-01-02\n")
    rankings = lists(u="hH", v="nh")
    from_yaml = evaluate(shop, rankings, read_settings(EvaluateSettings, path))
    pd.testing.assert_frame_equal(from_yaml.metrics, evaluate(shop, rankings, TEST).metrics)
