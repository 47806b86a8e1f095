import numpy as np
import pandas as pd
import pytest
from tiny_log import day_of, items, published

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError
from ltexpo.metrics.intervals import ratio_estimate
from ltexpo.monitor.achieved import achieved, goal_members
from ltexpo.monitor.published import Published
from ltexpo.monitor.shown import scored, shown_lists

GOALS = [
    {"group": "tail", "value": None, "kind": "min_share", "target": 0.5, "where": None},
    {"group": "category", "value": "shoes", "kind": "max_share", "target": 0.4, "where": {"tier": "head"}},
    {"group": "item_id", "value": "p07", "kind": "min_exposure", "target": 30.0, "where": None},
    {"group": "category", "value": "hats", "kind": "min_share", "target": 0.1, "where": None},
]


def test_like_a_loop_with_the_ratio_of_each_goal():
    events = day_of(0)
    told = published(events, goals=GOALS, attention="log2")
    found = achieved(shown_lists(events), told, items())
    seen = events[events["event"] == "impression"].merge(items(), on=Columns.Item)
    weight = 1 / np.log2(seen["rank"] + 1)
    meant = [
        seen["tier"] == "tail", (seen["category"] == "shoes") & (seen["tier"] == "head"), seen["item_id"] == "p07",
    ]
    for g, inside in enumerate(meant):
        due = ratio_estimate(weight * inside, weight, seen["user_id"].to_numpy())
        row = found.iloc[g]
        assert row["achieved"] == pytest.approx(due.value)
        assert row["error"] == pytest.approx(due.error)
        assert (row["low"], row["high"]) == pytest.approx((due.low, due.high))
        assert row["users"] == seen.loc[inside, "user_id"].nunique()
    assert found["sign"].tolist() == [1, -1, 1, 1]
    # 30 of the exposure that was planned, as a share
    assert found["target"].iloc[2] == pytest.approx(30 / len(seen))
    assert np.isnan(found["achieved"].iloc[3])


def test_slots_below_the_lists_do_not_count():
    events = day_of(0)
    told = published(events, k=3)
    deep = events[(events["event"] == "impression") & (events["rank"] <= 3)]
    a = achieved(shown_lists(events), told, items())["achieved"].iloc[0]
    b = achieved(shown_lists(deep), told, items())["achieved"].iloc[0]
    assert a == pytest.approx(b)


def test_a_slot_logged_twice_counts_once():
    events = day_of(0)
    once, twice = shown_lists(events), shown_lists(pd.concat([events, events.iloc[:500]], ignore_index=True))
    assert len(once) == len(twice) and once.clicked.sum() == twice.clicked.sum()


def test_a_missing_column_is_named():
    with pytest.raises(ColumnError, match=r"'category'.*found item_id"):
        goal_members(pd.DataFrame(GOALS), items().drop(columns="category"))


def test_scores_are_found_by_request_or_by_user():
    events = day_of(0)
    told = published(events)
    shown = shown_lists(events)
    by_request = scored(events, shown, told)
    assert by_request.by == "request_id" and by_request.found.all()
    lists = told.rankings.drop_duplicates([Columns.User, Columns.Item]).assign(request_id=lambda f: f[Columns.User])
    by_user = scored(events, shown, Published(told.certificate, told.prices, lists))
    assert by_user.by == "user_id" and by_user.found.all()
    other = lists.assign(request_id="x", user_id="nobody")
    assert scored(events, shown, Published(told.certificate, told.prices, other)) is None
    half = told.rankings[told.rankings[Columns.Item] < "p20"]
    part = scored(events, shown, Published(told.certificate, told.prices, half))
    assert (part.found == (shown.item < "p20")).all()


def test_events_without_lists_show_nothing():
    events = day_of(0)
    assert shown_lists(events.drop(columns="rank")) is None
    assert shown_lists(events[events["event"] == "click"]) is None
