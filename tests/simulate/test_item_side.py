"""Item-side designs: merged positions by hand, and each design beside a known total effect."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.data.synthetic.shop import make_shop
from ltexpo.data.tail import TailSpec
from ltexpo.errors import ColumnError, TableError
from ltexpo.simulate import KnownEnvironment
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.designs import ItemSideResult, ItemSideSettings, simulate_item_designs
from ltexpo.simulate.designs.mixed import TwoScores

CALM = BehaviourSettings(visits_per_day=1.0, activity_spread=0.0, fatigue=0.0, return_strength=0.0, leave_per_day=0.0)


def test_merged_rankings_by_hand():
    candidates = pd.DataFrame({"request_id": "u", "item_id": list("abcd"), "score": [0.9, 0.8, 0.7, 0.6]})
    boosts = pd.DataFrame({"item_id": list("cd"), "boost": [0.25, 0.25]})
    scores = TwoScores.of(candidates, boosts)
    # All boosted: c .95, a .9, d .85, b .8; none: a, b, c, d.
    assert scores.lists(scores.order(True), 4)["item_id"].tolist() == ["c", "a", "d", "b"]
    assert scores.lists(scores.order(False), 2)["item_id"].tolist() == ["a", "b"]
    only_d = np.array([False, False, False, True])
    assert scores.lists(scores.naive(only_d), 4)["item_id"].tolist() == ["a", "d", "b", "c"]
    both = np.array([False, False, True, True])
    # d brings rank 3 of the treatment's list and c rank 3 of the control's: d goes first.
    merged = scores.merged(only_d, both)
    order = scores.lists(merged, 4)["item_id"].tolist()
    assert order.index("d") < order.index("c")


def test_where_nothing_is_boosted_every_list_stays():
    rng = np.random.default_rng(0)
    candidates = pd.DataFrame({"request_id": "u", "item_id": [f"i{n}" for n in range(9)], "score": rng.random(9)})
    scores = TwoScores.of(candidates, pd.DataFrame({"item_id": ["i1"], "boost": [0.0]}))
    treated = np.arange(9) % 2 == 0
    plain = scores.order(False)
    assert (scores.naive(treated) == plain).all()
    assert (scores.merged(treated, np.ones(9, dtype=bool)) == plain).all()


def test_merged_rankings_leave_no_gap_where_items_outside_the_experiment_can_fill_it():
    """40 items, a third under experiment: the place that each has is the one of its own world, hardly ever off."""
    rng = np.random.default_rng(1)
    names = [f"i{n:02d}" for n in range(40)]
    candidates = pd.DataFrame([
        {"request_id": f"u{user:03d}", "item_id": item, "score": score + (0.0 if n % 3 else -0.4)}
        for user in range(300) for n, (item, score) in enumerate(zip(names, rng.random(40), strict=True))
    ])
    scores = TwoScores.of(candidates, pd.DataFrame({"item_id": names[::3], "boost": 0.5}))
    eligible = np.arange(40) % 3 == 0
    worth = 1 / np.log2(np.arange(40) + 2) * (np.arange(40) < 10)
    both = [worth[np.argsort(scores.order(of), axis=1)] for of in (False, True)]
    total = (both[1] - both[0])[:, eligible].mean()
    off = []
    for _ in range(20):
        treated = eligible & (rng.random(40) < 0.5)
        untreated = eligible & ~treated
        # Codes of items are in the order of their names, so a column is an item.
        seen = worth[np.argsort(scores.merged(treated, eligible), axis=1)]
        off.append([(seen - both[1])[:, treated].mean(), (seen - both[0])[:, untreated].mean()])
    treated_off, untreated_off = np.mean(off, axis=0) / total
    assert abs(treated_off) < 0.01
    assert abs(untreated_off) < 0.01


@pytest.fixture(scope="module")
def designs() -> ItemSideResult:
    shop = make_shop(n_items=300, n_users=600, n_days=3, rng=0)
    rng = np.random.default_rng(0)
    users = np.unique(shop.truth.users.ids)
    items = shop.dataset.items["item_id"].to_numpy()
    candidates = pd.DataFrame([
        {"request_id": user, "item_id": item, "score": score}
        for user in users
        for item, score in zip(rng.choice(items, 30, replace=False), rng.random(30), strict=True)
    ])
    boosts = pd.DataFrame({"item_id": items[::3], "boost": 0.6})
    tiers = TailSpec().assign(shop.dataset.items, shop.dataset.require_events("a test"))
    return simulate_item_designs(
        candidates, boosts, KnownEnvironment(shop.truth), ItemSideSettings(days=10, behaviour=CALM),
        items=shop.dataset.items, tiers=tiers, rng=0,
    )


def test_the_naive_split_overstates_and_the_others_do_not(designs: ItemSideResult):
    table = designs.table.set_index(["design", "outcome"])
    assert table.loc[("naive item split", "exposure"), "factor"] > 1.3
    assert not table.loc[("naive item split", "exposure"), "covers"]
    for design in ("merged rankings", "budget split"):
        row = table.loc[(design, "exposure")]
        assert row["covers"] or abs(row["factor"] - 1) < 0.02
        assert row["estimate"] > 0
    assert "merged rankings" in str(designs)


def test_bad_input_is_refused():
    candidates = pd.DataFrame({"request_id": "u", "item_id": list("abcd"), "score": [0.9, 0.8, 0.7, 0.6]})
    with pytest.raises(ColumnError, match="boosts lacks 'boost'"):
        TwoScores.of(candidates, pd.DataFrame({"item_id": ["a"]}))
    with pytest.raises(TableError, match="candidates is empty"):
        TwoScores.of(candidates.iloc[:0], pd.DataFrame({"item_id": ["a"], "boost": [1.0]}))
    shop = make_shop(n_items=60, n_users=20, n_days=2, k=5, rng=0)
    with pytest.raises(TableError, match="item-side designs need 4"):
        simulate_item_designs(
            candidates, pd.DataFrame({"item_id": ["a"], "boost": [1.0]}), KnownEnvironment(shop.truth),
            ItemSideSettings(), items=shop.dataset.items,
            tiers=TailSpec().assign(shop.dataset.items, shop.dataset.require_events("a test")),
        )
