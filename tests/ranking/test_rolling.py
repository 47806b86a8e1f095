"""Label days are made from the days before them, and learn what the made shop's users do."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns
from ltexpo.data.history import EVENT_WEIGHTS
from ltexpo.data.synthetic import Shop, make_shop
from ltexpo.data.tail import TailSpec
from ltexpo.errors import SplitError
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.components import ComponentSettings, components_named
from ltexpo.ranking.demand import DemandSettings, DemandTrees
from ltexpo.ranking.features import FeatureSettings
from ltexpo.ranking.pool import PoolSettings
from ltexpo.ranking.rolling import LabelDay, Rolled, RollingSettings, label_dates, roll

TREES = DemandTrees(
    bags=2, max_rounds=30, patience=10, learning_rate=0.2, leaves=15, min_rows=60, l2=10.0, feature_share=0.4
)
SETTINGS = RollingSettings(
    days=2, min_users=20, min_clicks=10**6, max_users=150, max_baskets=80, demand=DemandSettings(trees=TREES)
)
FEATURES = FeatureSettings(pool=PoolSettings(best=40, demanded=20))
COLUMNS = [Columns.Item, Columns.Title, "brand", "category"]


def _blend() -> Blend:
    scorers = components_named(ComponentSettings(), ("popularity", "cooccurrence", "taste"))
    return Blend(scorers, {scorer.name: 1 / 3 for scorer in scorers}, pool=60)


def _rolled(shop: Shop, events: pd.DataFrame, settings: RollingSettings = SETTINGS) -> Rolled:
    return roll(
        shop.dataset.items[COLUMNS], events, _blend, features=FEATURES, settings=settings,
        event_weights=dict(EVENT_WEIGHTS), tail=TailSpec(), rng=0,
    )


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(n_items=600, n_users=500, n_days=6, rng=0)


@pytest.fixture(scope="module")
def rolled(shop: Shop) -> Rolled:
    return _rolled(shop, shop.dataset.events)


def test_what_happened_on_a_label_day_or_later_is_not_in_its_features(shop: Shop, rolled: Rolled):
    first = rolled.days[0]
    events = shop.dataset.events
    acted = events[events[Columns.Event] != "impression"]
    on_day = acted[acted[Columns.Timestamp].dt.floor("D") == first.day]
    # The day's users took quite other items, in a shop that is the same before it.
    swapped = events.copy()
    rows = swapped.index.isin(on_day.index)
    swapped.loc[rows, Columns.Item] = np.random.default_rng(1).permutation(swapped.loc[rows, Columns.Item].to_numpy())
    other = _rolled(shop, swapped).days[0]
    assert (other.user_ids == first.user_ids).all()
    mine, theirs = (
        day.candidates.features.drop(columns=["i_demand", "r_alike"]).assign(
            user=day.candidates.user, item=day.candidates.item
        ) for day in (first, other)
    )
    # Demand, learnt from the label days as a whole, may bring other candidates; what is known of shared ones is equal.
    shared = mine.merge(theirs[["user", "item"]], on=["user", "item"])
    assert len(shared) > 0.5 * len(mine)
    again = theirs.merge(mine[["user", "item"]], on=["user", "item"])
    pd.testing.assert_frame_equal(shared, again)


def test_outcomes_are_what_users_took_on_the_day(shop: Shop, rolled: Rolled):
    for one in rolled.days:
        taken = one.wanted.toarray() > 0
        pool = one.candidates
        assert (one.outcome == taken[pool.user, pool.item]).all()
        acted = shop.dataset.events[(shop.dataset.events[Columns.Event] != "impression")
                            & (shop.dataset.events[Columns.Timestamp].dt.floor("D") == one.day)]
        assert taken.sum() <= len(acted.drop_duplicates([Columns.User, Columns.Item]))
        assert 0 < one.outcome.sum() <= taken.sum()
        assert len(one.user_ids) <= SETTINGS.max_users
    assert rolled.days[0].day < rolled.days[1].day


def test_expected_demand_tells_which_items_are_taken(shop: Shop, rolled: Rolled):
    last = rolled.days[-1]
    table = last.candidates.features.assign(item=last.candidates.item).drop_duplicates("item")
    taken = np.asarray(last.wanted.sum(axis=0)).ravel()[table["item"]]
    assert table["i_demand"].corr(pd.Series(taken, index=table.index), method="spearman") > 0.2


def test_same_seed_same_bytes(shop: Shop, rolled: Rolled):
    again = _rolled(shop, shop.dataset.events)
    for one, other in zip(rolled.days, again.days, strict=True):
        pd.testing.assert_frame_equal(one.candidates.features, other.candidates.features)


def test_too_few_returning_users_are_refused(shop: Shop):
    with pytest.raises(SplitError, match=r"60 users come back, fewer than rolling\.min_users = 501"):
        _rolled(shop, shop.dataset.events, SETTINGS.model_copy(update={"min_users": 501}))


def test_where_impressions_are_logged_rows_are_what_was_shown(shop: Shop):
    days = _rolled(shop, shop.dataset.events, SETTINGS.model_copy(update={"min_clicks": 20})).days
    curve = 1 / np.log2(np.arange(2, 12))
    events = shop.dataset.events
    for one in days:
        on_day = events[(events[Columns.Timestamp].dt.floor("D") == one.day) & (events[Columns.Event] == "impression")]
        pairs = on_day.groupby([Columns.User, Columns.Item])[Columns.Rank].agg(list)
        ids = shop.dataset.items[Columns.Item].sort_values().to_numpy()
        mine = pd.MultiIndex.from_arrays([one.group, ids[one.candidates.item]])
        assert mine.isin(pairs.index).all() and mine.is_unique
        expected = [1 - np.prod(1 - curve[np.array(ranks) - 1]) for ranks in pairs[mine]]
        assert one.examined == pytest.approx(np.array(expected))
        # One by one they are all of these, and say the same as the row.
        looks = one.looks
        assert looks is not None
        assert np.bincount(looks.row).tolist() == [len(ranks) for ranks in pairs[mine]]
        unseen = np.ones(len(expected))
        np.multiply.at(unseen, looks.row, 1 - looks.examined)
        assert 1 - unseen == pytest.approx(np.array(expected))
        assert (np.bincount(looks.row, weights=looks.clicked) > 0).tolist() == (one.outcome > 0).tolist()
        assert 0 < one.outcome.sum() < 0.2 * len(one.outcome)
        known = events[events[Columns.Timestamp].dt.floor("D") < one.day][Columns.User]
        assert not set(one.user_ids) <= set(known)  # newcomers are among them
    with pytest.raises(SplitError, match="fewer than"):
        label_dates(events, SETTINGS.model_copy(update={"min_users": 501}), dict(EVENT_WEIGHTS))


def test_products_met_as_new_have_no_past(shop: Shop):
    settings = SETTINGS.model_copy(update={"min_clicks": 50, "max_users": 10**6, "as_new": 0.3})
    asked = []

    def read(ids: np.ndarray) -> tuple[None, None]:
        asked.append(set(ids))
        return None, None

    plain = _rolled(shop, shop.dataset.events, settings)
    assert plain.as_new == []
    found = roll(
        shop.dataset.items[COLUMNS], shop.dataset.events, _blend, features=FEATURES, settings=settings,
        event_weights=dict(EVENT_WEIGHTS), tail=TailSpec(), read_as_new=read, rng=0,
    )
    (drawn,) = asked
    assert 0.2 < len(drawn) / 600 < 0.4
    ids = np.sort(shop.dataset.items[Columns.Item].to_numpy(dtype=object))
    for day, as_was, before in zip(found.as_new, found.days, plain.days, strict=True):
        # The days themselves are the same bytes, whatever is learnt beside them.
        pd.testing.assert_frame_equal(as_was.candidates.features, before.candidates.features)
        features = day.candidates.features
        assert set(ids[day.candidates.item]) <= drawn and len(features) > 50
        assert (day.tier[day.candidates.item] == "new").all() and (features["i_new"] == 1).all()
        assert (features[["i_count", "i_heat", "i_looked", "s_cooccurrence", "p_same"]] == 0).all(axis=None)
        assert features["i_rate"].nunique() == 1
        # What was shown and clicked on the day is as it was.
        def pairs(one: LabelDay) -> pd.Series:
            user, item = one.user_ids[one.candidates.user], ids[one.candidates.item]
            return pd.Series(one.outcome, index=pd.MultiIndex.from_arrays([user, item])).sort_index()

        expected = pairs(as_was)
        expected = expected[expected.index.get_level_values(1).isin(drawn)]
        pd.testing.assert_series_equal(pairs(day), expected)
