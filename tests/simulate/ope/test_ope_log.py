"""Events → the log as arrays: by hand, and what is refused or left out."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.data import Dataset
from ltexpo.errors import ColumnError, TableError
from ltexpo.simulate.ope import LogSettings, read_log
from ltexpo.simulate.ope.propensities import availability, frequencies

ITEMS = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "title": "x"})


def events(rows: list[tuple[object, ...]], **more: object) -> pd.DataFrame:
    """Rows (request, rank, item, propensity, event); users by request's first letter."""
    frame = pd.DataFrame(rows, columns=["request_id", "rank", "item_id", "propensity", "event"])
    frame["user_id"] = frame["request_id"].fillna("z").str[:1]
    frame["timestamp"] = pd.Timestamp("2024-01-01", tz="UTC")
    frame["rank"] = frame["rank"].astype("Int32")
    return frame.assign(**more)


LISTS = [
    ("u1", 1, "a", 0.5, "impression"), ("u1", 2, "b", 0.4, "impression"),
    ("v1", 2, "a", 0.2, "impression"), ("v1", 1, "c", 0.25, "impression"), ("v1", 3, "b", 1.0, "impression"),
    ("u1", 2, "b", 0.4, "click"), ("v1", None, "b", None, "click"), ("v1", None, "b", None, "click"),
]


def test_lists_by_hand():
    log = read_log(Dataset.of(ITEMS, events(LISTS)))
    assert log.request_ids.tolist() == ["u1", "v1"]
    assert log.user_ids[log.users].tolist() == ["u", "v"]
    assert log.item_map.ids.tolist() == ["a", "b", "c"]
    assert log.items.tolist() == [[0, 1, -1], [2, 0, 1]]
    assert log.rewards.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert log.propensities.tolist() == [[0.5, 0.4, 1.0], [0.25, 0.2, 1.0]]
    assert (log.kind, log.single, log.repeats, log.left_out) == ("conditional", False, False, {})


def test_the_order_of_rows_does_not_matter():
    one, other = (read_log(Dataset.of(ITEMS, frame)) for frame in (events(LISTS), events(LISTS[::-1])))
    for name in ("items", "rewards", "propensities", "users"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_what_is_left_out_is_counted():
    rows = [
        *LISTS, ("u2", 1, "a", 0.5, "impression"), ("u2", 3, "b", 0.4, "impression"),
        (None, 1, "a", 0.5, "impression"), ("v1", 1, "c", 0.25, "impression"),
        ("u1", 1, "d", None, "click"), ("x9", None, "a", None, "click"), ("u1", 1, "b", None, "click"),
    ]
    log = read_log(Dataset.of(ITEMS, events(rows)))
    assert log.request_ids.tolist() == ["u1", "v1"]
    assert log.rewards.sum() == 2
    assert log.left_out == {
        "impressions without request_id or rank": 1, "impressions logged twice": 1,
        "clicks on nothing that was shown in their request": 3, "requests whose ranks have holes": 1,
    }


def test_single_slots_keep_their_rank():
    rows = [("u1", 3, "a", 0.5, "impression"), ("u2", 1, "b", 0.5, "impression"), ("u1", 3, "a", 0.5, "click")]
    log = read_log(Dataset.of(ITEMS, events(rows)))
    assert log.single
    assert log.items.tolist() == [[-1, -1, 0], [1, -1, -1]]
    assert log.rewards.tolist() == [[0, 0, 1], [0, 0, 0]]


def test_revenue_adds_up_the_prices_of_purchases():
    rows = [
        ("u1", 1, "a", 0.5, "impression"), ("u2", 1, "b", 0.5, "impression"), ("u1", 1, "a", None, "purchase"),
        ("u1", 1, "a", None, "purchase"), ("u2", 1, "b", None, "purchase"),
    ]
    frame = events(rows, price=[None, None, 3.0, 4.5, None])
    log = read_log(Dataset.of(ITEMS, frame), LogSettings(reward="revenue"))
    assert log.rewards.tolist() == [[7.5], [0.0]]
    assert log.left_out == {"purchases without a price, counted as 0": 1}
    assert read_log(Dataset.of(ITEMS, frame), LogSettings(reward="purchase")).rewards.tolist() == [[1], [1]]
    with pytest.raises(ColumnError, match="lacks 'price'"):
        read_log(Dataset.of(ITEMS, events(rows)), LogSettings(reward="revenue"))


def test_context_comes_from_events_or_users():
    users = pd.DataFrame({"user_id": ["u", "v"], "segment": ["old", None]})
    data = Dataset.of(ITEMS, events(LISTS, device="phone"), users)
    log = read_log(data, LogSettings(segment=("segment",)), context=["device"])
    assert log.context["device"].tolist() == ["phone", "phone"]
    assert len(set(log.segments)) == 2
    with pytest.raises(ColumnError, match="'colour' is not a column of events or users"):
        read_log(data, context=["colour"])


BAD = [
    ([("u1", 1, "a", None, "impression"), ("u2", 1, "a", 0.5, "impression"), ("u3", 1, "a", None, "impression")],
     "'propensity' is missing in 2 of 3 impressions, first in row .*, at rank 1.*propensities: estimated"),
    ([("u1", 1, "a", 0.0, "impression"), ("u2", 1, "a", 0.5, "impression")], "'propensity' row 0 is 0.0"),
    ([("u1", 1, "a", 0.5, "impression"), ("u2", 1, "a", 1.5, "impression")], "'propensity' row 1 is 1.5"),
]


@pytest.mark.parametrize(("rows", "message"), BAD, ids=["missing", "zero", "above one"])
def test_bad_propensities_are_counted_and_the_first_is_named(rows: list[tuple[object, ...]], message: str):
    with pytest.raises(ColumnError, match=message):
        read_log(Dataset.of(ITEMS, events(rows)))


def test_propensities_are_checked_without_the_contract_too():
    frame = events(LISTS)
    frame.loc[0, "propensity"] = 0.0
    with pytest.raises(ColumnError, match=r"0 or less in 1 of 5 impressions, first in row .*, at rank 1"):
        read_log(Dataset(ITEMS, frame))
    with pytest.raises(ColumnError, match="lacks 'propensity'"):
        read_log(Dataset(ITEMS, frame.drop(columns="propensity")))


def test_logs_that_say_nothing_are_refused():
    with pytest.raises(TableError, match="holds no impressions, only click"):
        read_log(Dataset.of(ITEMS, events(LISTS[5:])))
    with pytest.raises(ColumnError, match="lacks 'rank'"):
        read_log(Dataset.of(ITEMS, events(LISTS).drop(columns="rank")))
    with pytest.raises(TableError, match=r"shows 'a' and 'd' at rank 1 \(1 such slots\)"):
        read_log(Dataset.of(ITEMS, events([*LISTS, ("u1", 1, "d", 0.5, "impression")])))
    with pytest.raises(TableError, match="none of the 1 requests has the ranks 1, 2"):
        read_log(Dataset.of(ITEMS, events([("u1", 1, "a", 1, "impression"), ("u1", 3, "b", 1, "impression")])))
    with pytest.raises(TableError, match="events"):
        read_log(Dataset.of(ITEMS))


def test_estimated_propensities_are_smoothed_frequencies():
    items = np.array([[0, 1], [0, 2], [1, 0], [0, -1]])
    got = frequencies(items, np.zeros(4, dtype=np.int64), smoothing=2.0)
    # item 0 is 4 of 7 slots and 3 of 4 at rank 1
    assert got[0, 0] == pytest.approx((3 + 2 * 4 / 7) / (4 + 2))
    assert got[0, 1] == pytest.approx((1 + 2 * 2 / 7) / (3 + 2))
    assert got[3, 1] == 1
    by_segment = frequencies(items, np.array([0, 0, 1, 1]), smoothing=2.0)
    assert by_segment[0, 0] == pytest.approx((2 + 2 * got[0, 0]) / (2 + 2))


def test_estimated_propensities_need_none_logged():
    frame = events(LISTS).drop(columns="propensity")
    log = read_log(Dataset.of(ITEMS, frame), LogSettings(propensities="estimated"))
    assert log.estimated
    assert log.kind == "marginal"
    assert np.array_equal(log.propensities, frequencies(log.items, log.segments, smoothing=10.0))


def test_availability_by_hand():
    items = np.array([[0, 1, 2], [1, 0, 2], [0, 2, -1], [3, 0, 1]])
    got = availability(items, np.zeros(4, dtype=np.int64), smoothing=10.0)
    # item 2 never stands above rank 3 in the three lists that reach it; item 1 stands at rank 1 once in four
    assert got[0].tolist() == [1.0, 1 - 1 / 4, 1.0]
    assert got[3].tolist() == [1.0, 1 - 2 / 4, 1 - 2 / 3]
