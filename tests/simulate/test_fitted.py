"""An environment fitted on a made shop's log, whose truth is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ltexpo.data.synthetic.shop import Shop, make_shop
from ltexpo.data.tail import TailSpec
from ltexpo.errors import TableError
from ltexpo.simulate import Experiment, ExperimentSettings
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.fitted import FitSettings, FittedEnvironment, fidelity
from ltexpo.simulate.fitted.logistic import fit_logistic
from ltexpo.sparse import csr

SINCE, LATER = "2026-01-09", "2026-01-12"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(n_items=400, n_users=1_500, n_days=8, rng=0)


@pytest.fixture(scope="module")
def fitted(shop: Shop) -> FittedEnvironment:
    settings = FitSettings(since=SINCE, until=LATER, ridge=8.0)
    return FittedEnvironment.fit(shop.dataset.items, shop.dataset.require_events("a test"), settings, rng=0)


def test_the_logistic_finds_weights_and_examination_that_made_the_clicks():
    rng = np.random.default_rng(0)
    n = 60_000
    x = rng.standard_normal(n)
    rank = rng.integers(1, 4, n)
    curve = np.array([1.0, 0.6, 0.3])
    clicked = rng.random(n) < curve[rank - 1] * expit(-0.5 + 0.8 * x)
    found = fit_logistic([csr(np.ones((n, 1))), csr(x[:, None])], clicked, [0.0, 1.0], rank=rank, depth=3)
    assert found.weights[0][0] == pytest.approx(-0.5, abs=0.08)
    assert found.weights[1][0] == pytest.approx(0.8, abs=0.06)
    assert found.examination == pytest.approx(curve, abs=0.03)


def test_examination_and_attraction_are_near_the_truth(shop: Shop, fitted: FittedEnvironment):
    assert fitted.examination[0] == 1 and (np.diff(fitted.examination) <= 0).all()
    assert fitted.examination[:5] == pytest.approx(shop.truth.examination[:5], abs=0.12)
    events = shop.dataset.require_events("a test")
    shown = events[(events["event"] == "impression") & (events["timestamp"] >= pd.Timestamp(LATER, tz="UTC"))]
    guess = fitted.attraction(shown["user_id"], shown["item_id"])
    truth = shop.truth.attraction(shown["user_id"], shown["item_id"])
    assert guess.mean() == pytest.approx(truth.mean(), rel=0.15)
    assert np.corrcoef(guess, truth)[0, 1] > 0.4
    bought = fitted.purchase_given_click(shown["user_id"], shown["item_id"])
    assert ((bought > 0) & (bought < 1)).all()


def test_a_cascade_log_is_read_as_a_cascade(shop: Shop):
    """Clicks drawn anew on the shop's lists: until the first click every slot is examined, after it none."""
    events = shop.dataset.require_events("a test")
    shown = events[events["event"] == "impression"].sort_values(["request_id", "rank"], ignore_index=True)
    rng = np.random.default_rng(0)
    attracted = rng.random(len(shown)) < shop.truth.attraction(shown["user_id"], shown["item_id"])
    before = pd.Series(attracted).groupby(shown["request_id"]).cumsum() - attracted
    clicks = shown[attracted & (before == 0).to_numpy()].assign(event="click")
    log = pd.concat([shown, clicks], ignore_index=True)
    fitted = FittedEnvironment.fit(
        shop.dataset.items, log, FitSettings(since=SINCE, ridge=8.0, click_model="auto"), rng=0
    )
    assert fitted.clicks.name in ("cm", "dcm") and "foresees" in fitted.describe()["click_model"]
    some = shown.iloc[::50]
    guess = fitted.attraction(some["user_id"], some["item_id"])
    assert guess.mean() == pytest.approx(shop.truth.attraction(some["user_id"], some["item_id"]).mean(), rel=0.1)


def test_a_log_of_satisfied_readers_is_read_by_the_dynamic_bayesian_network(shop: Shop):
    """Clicks drawn anew: half of the products satisfy whoever clicks them, who then stops; the others never do."""
    events = shop.dataset.require_events("a test")
    shown = events[events["event"] == "impression"].sort_values(["request_id", "rank"], ignore_index=True)
    rng = np.random.default_rng(0)
    attracted = rng.random(len(shown)) < np.minimum(
        2 * shop.truth.attraction(shown["user_id"], shown["item_id"]), 1)
    items = shop.dataset.items["item_id"]
    pleasing = dict(zip(items, np.arange(len(items)) % 2 == 0, strict=True))
    stops = attracted & shown["item_id"].map(pleasing).to_numpy()
    after = pd.Series(stops).groupby(shown["request_id"]).cumsum() - stops
    clicks = shown[attracted & (after == 0).to_numpy()].assign(event="click")
    log = pd.concat([shown, clicks], ignore_index=True)
    settings = FitSettings(since=SINCE, ridge=8.0, click_model="auto")
    fitted = FittedEnvironment.fit(shop.dataset.items, log, settings, rng=0)
    assert fitted.clicks.name == "dbn"
    often = clicks[clicks["timestamp"] >= pd.Timestamp(SINCE, tz="UTC")]["item_id"].value_counts().index[:40]
    guess = fitted.satisfaction(["u"] * len(often), often)
    truth = np.array([pleasing[item] for item in often])
    assert guess[truth].mean() > 0.8 and guess[~truth].mean() < 0.2
    # a product that was never shown satisfies as the average one
    unknown = fitted.satisfaction(["u"], ["never shown"])
    assert unknown == [fitted.usual_satisfaction] and 0.2 < unknown[0] < 0.8
    # the simulator reads it: where all satisfy nobody clicks twice
    people = list(shown["user_id"].unique()[:300])
    lists = pd.DataFrame({"request_id": np.repeat(people, 8), "rank": list(range(1, 9)) * len(people),
                          "item_id": list(often[truth][:8]) * len(people)})
    tiers = TailSpec().assign(shop.dataset.items, events)
    settings = ExperimentSettings(days=5, before_days=0, behaviour=BehaviourSettings(visits_per_day=1, fatigue=0))
    per_visit = {}
    for name, sure in (("satisfied", 1.0), ("never", 0.0)):
        world = replace(fitted, pleases=fitted.pleases * 0 + sure)
        result = Experiment(settings).simulate(
            lists, lists, world, items=shop.dataset.items, tiers=tiers, rng=0).effects.set_index("metric")
        per_visit[name] = result.loc["clicks per visit", "control"].iloc[0]
    assert per_visit["satisfied"] < 1 < per_visit["never"]


def test_strangers_and_new_items_are_known_too(fitted: FittedEnvironment, shop: Shop):
    chance = fitted.attraction(["nobody knows me"], [shop.dataset.items["item_id"].iloc[0]])
    assert 0 < chance[0] < 1
    with pytest.raises(TableError, match="item_id 'z' is unknown"):
        fitted.attraction(["nobody knows me"], ["z"])


def test_fidelity_tells_a_right_environment_from_a_wrong_one(shop: Shop):
    events = shop.dataset.require_events("a test")
    later = events[events["timestamp"] >= pd.Timestamp(LATER, tz="UTC")]
    settings = FitSettings(since=SINCE, until=LATER, ridge=8.0)
    right = fidelity(shop.dataset.items, events, settings, later, refits=3, rng=0)
    row = right.table.iloc[0]
    assert row["what"] == "click-through rate" and abs(row["z"]) < 3
    assert abs(right.off) < 0.15
    assert right.table.query("what == 'share of exposure'")["actual"].sum() == pytest.approx(1)
    # In a world where half of the clicks never happened, it is off by as much.
    clicks = later[later["event"] == "click"].iloc[::2]
    fewer = later.drop(index=clicks.index)
    wrong = fidelity(shop.dataset.items, events, settings, fewer, refits=3, rng=0)
    assert wrong.off == pytest.approx(2 * (1 + right.off) - 1, rel=0.05) and wrong.table.iloc[0]["z"] > 3
    assert "intervals hold no difference" in str(wrong)


def test_a_log_of_purchases_alone_gives_attraction_up_to_its_scale(shop: Shop):
    events = shop.dataset.require_events("a test")
    bought = events[events["event"] == "purchase"]
    fitted = FittedEnvironment.fit(shop.dataset.items, bought, FitSettings(since=SINCE, ridge=32.0), rng=0)
    assert not fitted.has_impressions and "assumed" in fitted.describe()["click_model"]
    users, items = bought["user_id"].iloc[:50], bought["item_id"].iloc[:50]
    lists = pd.DataFrame({"request_id": users.to_numpy(), "item_id": items.to_numpy(), "rank": 1})
    scaled = fitted.scaled_to(lists, 0.2)
    chances = scaled.attraction(users, items)
    assert chances.mean() == pytest.approx(0.2, abs=1e-6)
    assert (np.argsort(chances) == np.argsort(fitted.attraction(users, items))).all()
    assert (scaled.purchase_given_click(users, items) == 1).all()


def test_logs_that_tell_nothing_are_refused(shop: Shop):
    items, events = shop.dataset.items, shop.dataset.require_events("a test")
    with pytest.raises(TableError, match="nothing is left that the ranker has not seen"):
        FittedEnvironment.fit(items, events, FitSettings(since="2027-01-01"))
    unclicked = events[events["event"] == "impression"]
    with pytest.raises(TableError, match="none ended in what is to be predicted"):
        FittedEnvironment.fit(items, unclicked, FitSettings(since=SINCE))
    with pytest.raises(TableError, match="lack 'rank'"):
        FittedEnvironment.fit(items, events.drop(columns="rank"), FitSettings(since=SINCE))
    with pytest.raises(TableError, match="fidelity needs impressions"):
        fidelity(items, events[events["event"] == "purchase"], FitSettings(since=SINCE), events)
