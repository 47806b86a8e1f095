"""The made marketplace: deterministic, true to its truth, and partly hidden from whoever looks at it."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import EventKind
from ltexpo.data import Dataset
from ltexpo.data.synthetic import Shop, Truth, draw_picture, make_shop
from ltexpo.data.tables import read_frame
from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.attention import attention_weights

SMALL = {"n_items": 300, "n_users": 200, "n_days": 6, "requests_per_day": 2.0, "rng": 11}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(**SMALL)


@pytest.fixture(scope="module")
def impressions(shop) -> pd.DataFrame:
    """Each impression with whether it was clicked, carted, bought, and the true chances."""
    events = shop.dataset.events
    shown = events[events["event"] == EventKind.Impression].copy()
    key = pd.MultiIndex.from_frame(shown[["request_id", "rank"]])
    for kind in (EventKind.Click, EventKind.Cart, EventKind.Purchase):
        done = pd.MultiIndex.from_frame(events.loc[events["event"] == kind, ["request_id", "rank"]])
        assert done.is_unique and done.isin(key).all()
        shown[kind] = key.isin(done)
    shown["attraction"] = shop.truth.attraction(shown["user_id"], shown["item_id"])
    shown["carts"] = shop.truth.cart_given_click(shown["user_id"], shown["item_id"])
    return shown


def test_same_seed_same_shop(shop):
    again = make_shop(**SMALL)
    for name in ("items", "events", "users"):
        pd.testing.assert_frame_equal(getattr(shop.dataset, name), getattr(again.dataset, name))
    pd.testing.assert_frame_equal(shop.graph, again.graph)
    pd.testing.assert_frame_equal(shop.attributes, again.attributes)
    assert (shop.truth.item_factors == again.truth.item_factors).all()
    other = make_shop(**SMALL | {"rng": 12})
    assert not shop.dataset.items["title"].equals(other.dataset.items["title"])


def test_clicks_by_rank_are_examination_times_attraction(shop, impressions):
    curve = attention_weights("log2", 10)
    assert (shop.truth.examination[:10] == curve).all()
    for rank, shown in impressions.groupby("rank"):
        chance = curve[rank - 1] * shown["attraction"]
        error = np.sqrt((chance * (1 - chance)).sum()) / len(shown)
        assert abs(shown[EventKind.Click].mean() - chance.mean()) < 3 * error


def test_carts_and_purchases_follow_the_truth(shop, impressions):
    clicked = impressions[impressions[EventKind.Click]]
    error = np.sqrt((clicked["carts"] * (1 - clicked["carts"])).sum()) / len(clicked)
    assert abs(clicked[EventKind.Cart].mean() - clicked["carts"].mean()) < 3 * error
    carted = clicked[clicked[EventKind.Cart]]
    bought, chance = carted[EventKind.Purchase].sum() + shop.later_purchases, shop.truth.purchase_given_cart
    assert abs(bought / len(carted) - chance) < 3 * np.sqrt(chance * (1 - chance) / len(carted))
    assert not (impressions[EventKind.Cart] & ~impressions[EventKind.Click]).any()
    assert not (impressions[EventKind.Purchase] & ~impressions[EventKind.Cart]).any()


def test_lists_are_whole_and_time_runs_forward(shop, impressions):
    for _, shown in impressions.groupby("request_id"):
        assert shown["item_id"].is_unique
    ordered = impressions.sort_values(["request_id", "rank"])
    same = ordered["request_id"].eq(ordered["request_id"].shift())
    assert (ordered["timestamp"].diff()[same] > pd.Timedelta(0)).all()
    assert ordered.groupby("request_id")["rank"].agg(list).map(lambda ranks: ranks == list(range(1, 11))).all()
    events = shop.dataset.events
    assert events["timestamp"].is_monotonic_increasing
    steps = events.pivot(index=["request_id", "rank"], columns="event", values="timestamp")
    path = [EventKind.Impression, EventKind.Click, EventKind.Cart, EventKind.Purchase]
    for before, after in itertools.pairwise(path):
        both = steps.dropna(subset=[after])
        assert (both[after] > both[before]).all()
    assert (events["price"].notna() == (events["event"] == EventKind.Purchase)).all()


def test_new_products_have_no_past(shop):
    items, events = shop.dataset.items, shop.dataset.events
    created = events["item_id"].map(items.set_index("item_id")["created_at"])
    assert (events["timestamp"] >= created).all()
    arrivals = shop.attributes["arrives"] > 0
    assert 0.05 < arrivals.mean() < 0.2
    start = pd.Timestamp("2026-01-05", tz="UTC")
    assert (items["created_at"] >= start).equals(arrivals)
    assert events["timestamp"].max() < start + pd.Timedelta(days=6)
    seen = events["item_id"].isin(items.loc[arrivals, "item_id"])
    # Nothing but exploration and the popularity floor shows them.
    assert 0 < seen.mean() < 0.5 * arrivals.mean()


def test_level_and_hidden_quality():
    shop = make_shop(n_items=1500, n_users=400, n_days=5, requests_per_day=2.0, attraction=0.08, rng=1)
    events = shop.dataset.events
    shown = events[events["event"] == EventKind.Impression]
    attraction = shop.truth.attraction(shown["user_id"], shown["item_id"])
    first_day = (shown["timestamp"] < pd.Timestamp("2026-01-06", tz="UTC")).to_numpy()
    assert attraction[first_day].mean() == pytest.approx(0.08, rel=0.1)
    exposure = shop.dataset.items["item_id"].map(shown["item_id"].value_counts()).fillna(0)
    quality = pd.Series(shop.truth.item_bias)
    assert 0.05 < quality.corr(exposure, method="spearman") < 0.5
    best = quality >= quality.quantile(0.75)
    assert (exposure[best] < exposure.mean()).mean() > 0.5


def test_text_columns_and_picture_each_show_a_part(shop):
    items, true = shop.dataset.items, shop.attributes
    says = {
        name: np.mean([value in title.lower() for value, title in zip(true[name], items["title"], strict=True)])
        for name in ("material", "style", "colour", "shape")
    }
    assert says["material"] > 0.8 and 0.4 < says["style"] < 0.8
    assert 0.2 < says["colour"] < 0.6
    for name in ("material", "style", "colour", "pattern", "shape"):
        filled = items[name].notna()
        assert 0.2 < filled.mean() < 0.9
        assert items.loc[filled, name].tolist() == true.loc[filled, name].tolist()
    assert not {"accent", "price_level", "arrives", "series"} & set(items.columns)
    # What text and columns keep silent about, the picture shows.
    silent = items["colour"].isna() & ~np.array([
        colour in title for colour, title in zip(true["colour"], items["title"], strict=True)
    ])
    assert silent.mean() > 0.15
    row = true[silent.to_numpy()].iloc[0].to_dict()
    other = "red" if row["colour"] != "red" else "navy"
    assert draw_picture(row).tobytes() != draw_picture(row | {"colour": other}).tobytes()


def test_the_graph_tells_what_sellers_filled_in(shop):
    graph, items = shop.graph, shop.dataset.items
    of = dict(list(graph.groupby("relation")))
    assert len(of["has_brand"]) == len(of["sold_by"]) == len(of["in_category"]) == len(items)
    colour = items.dropna(subset=["colour"]).set_index("item_id")["colour"]
    told = dict(zip(of["has_colour"]["source"], of["has_colour"]["target"], strict=True))
    assert told == ("colour:" + colour).to_dict()
    pairs = set(zip(of["similar"]["source"], of["similar"]["target"], strict=True))
    category = items.set_index("item_id")["category"]
    assert pairs and all((b, a) in pairs and a != b and category[a] == category[b] for a, b in pairs)
    assert not graph.duplicated().any() and not graph.isna().any().any()


def test_saved_shop_is_a_dataset_with_the_truth_apart(shop, tmp_path):
    for name, workers in (("a", 1), ("b", 2)):
        shop.save(tmp_path / name, workers=workers)
    written = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert written == sorted(path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file())
    for path in written:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    dataset = Dataset.load(tmp_path / "a")
    pd.testing.assert_frame_equal(dataset.events, shop.dataset.events)
    assert dataset.notes == {} and dataset.image_report().ok == len(dataset.items)
    truth = Truth.load(tmp_path / "a" / "truth")
    users, items = dataset.events["user_id"][:50], dataset.events["item_id"][:50]
    assert (truth.attraction(users, items) == shop.truth.attraction(users, items)).all()
    assert len(read_frame(tmp_path / "a" / "graph.parquet")) == len(shop.graph)
    facts = json.loads((tmp_path / "a" / "dataset.json").read_text())
    assert facts["left_out"] == {"purchases after the last day": shop.later_purchases}


def test_without_pictures_there_is_no_image_column(shop, tmp_path):
    dataset = Dataset.load(shop.save(tmp_path / "plain", pictures=False))
    assert "image" not in dataset.items.columns and not (tmp_path / "plain" / "images").exists()


def test_picture_of_one_product(shop):
    assert shop.picture("P000003").size == (160, 160)
    with pytest.raises(TableError, match="'P9' is not in this shop"):
        shop.picture("P9")


@pytest.mark.parametrize(("options", "says"), [
    ({"n_items": 20}, "n_items is 20; it must be at least 50"),
    ({"n_users": 0}, "n_users is 0"),
    ({"n_days": 1}, "n_days is 1"),
    ({"exploration": 0.0}, "exploration is 0.0"),
    ({"attraction": 1.0}, "attraction is 1.0"),
    ({"new_share": 0.9}, "at most half"),
    ({"requests_per_day": 0.0}, "requests_per_day is 0.0"),
    ({"start": "yesterday"}, "start is 'yesterday'"),
    ({"examination": [0.5, 0.2]}, "fewer than k = 10"),
    ({"n_users": 1, "requests_per_day": 1e-9}, "nobody came"),
])
def test_refusals(options, says):
    with pytest.raises(ConfigError, match=says):
        make_shop(**{"n_items": 60, "n_users": 5, "n_days": 2} | options)


def test_examination_can_be_set():
    shop = make_shop(n_items=60, n_users=30, n_days=2, k=3, examination=[1.0, 0.5, 0.25, 0.1])
    assert shop.truth.examination.tolist() == [1.0, 0.5, 0.25, 0.1]
    assert shop.dataset.events["rank"].max() == 3
