"""Tiers and splits on cases worked by hand, and what no split may do."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltexpo.data.split import leave_last_out, refuse_leak, time_split
from ltexpo.data.tail import TailSpec, tier_summary
from ltexpo.errors import ColumnError, SplitError

DAY = pd.Timestamp("2024-01-01", tz="UTC")


def make_events(counts: dict[str, int], event: str = "click") -> pd.DataFrame:
    items = [item for item, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"user_id": "u", "item_id": items, "event": event, "timestamp": DAY})


def make_items(ids: str) -> pd.DataFrame:
    return pd.DataFrame({"item_id": list(ids), "title": list(ids)})


def test_the_head_is_the_smallest_set_that_holds_the_share():
    # 5 + 3 = 8 of 10 interactions reach 80%; c and d share the rest; e has none.
    tiers = TailSpec().assign(make_items("edcba"), make_events({"a": 5, "b": 3, "c": 1, "d": 1}))
    assert dict(zip(tiers["item_id"], tiers["tier"], strict=True)) == {
        "a": "head", "b": "head", "c": "tail", "d": "tail", "e": "new",
    }
    summary = tier_summary(tiers).set_index("tier")
    assert summary.loc["head", "interaction_share"] == 0.8
    assert summary.loc["new", "items"] == 1


def test_ties_at_the_edge_break_by_item_id():
    tiers = TailSpec(head_share=0.5).assign(make_items("dcba"), make_events(dict.fromkeys("dcba", 1)))
    assert set(tiers.loc[tiers["tier"] == "head", "item_id"]) == {"a", "b"}


def test_impressions_do_not_count_unless_asked():
    events = make_events({"a": 5}, event="impression")
    assert set(TailSpec().assign(make_items("ab"), events)["tier"]) == {"new"}
    assert list(TailSpec(events=("impression",)).assign(make_items("ab"), events)["tier"]) == ["head", "new"]


def test_an_explicit_column_decides():
    items = make_items("ab").assign(group=["tail", "head"])
    assert list(TailSpec(column="group").assign(items, make_events({"a": 9}))["tier"]) == ["tail", "head"]
    with pytest.raises(ColumnError, match="row 0 is 'x', expected one of head, tail, new"):
        TailSpec(column="group").assign(items.assign(group="x"), make_events({"a": 9}))
    with pytest.raises(ColumnError, match="'nope' is not in items"):
        TailSpec(column="nope").assign(items, make_events({"a": 9}))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.floats(0.05, 0.95))
def test_the_head_is_minimal_and_enough(counts: list[int], share: float):
    ids = [f"i{n:02d}" for n in range(len(counts))]
    items = pd.DataFrame({"item_id": ids, "title": ids})
    tiers = TailSpec(head_share=share).assign(items, make_events(dict(zip(ids, counts, strict=True))))
    head = sorted(tiers.loc[tiers["tier"] == "head", "interactions"], reverse=True)
    total = sum(counts)
    if total == 0:
        assert set(tiers["tier"]) == {"new"}
        return
    assert sum(head) >= share * total - 1e-9
    assert sum(head[:-1]) < share * total + 1e-9
    assert min(head) >= max([0, *tiers.loc[tiers["tier"] == "tail", "interactions"]])


def daily(days: int) -> pd.DataFrame:
    return pd.DataFrame({
        "user_id": ["u", "v"] * days, "item_id": "a", "event": "click",
        "timestamp": [DAY + pd.Timedelta(days=day) for day in range(days) for _ in range(2)],
    })


def test_a_time_split_cuts_at_midnight_utc():
    split = time_split(daily(4), "2024-01-03", "2024-01-04")
    assert (len(split.train), len(split.test)) == (4, 2)
    assert split.train["timestamp"].max() < split.test["timestamp"].min()


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("2024-01-01", None, "no event before 2024-01-01"),
        ("2024-02-01", None, "no event from 2024-02-01"),
        ("2024-01-03", "2024-01-02", "ends .* before it begins"),
        ("soon", None, "'soon' is not a date"),
    ],
)
def test_impossible_splits_are_refused(since: str, until: str | None, message: str):
    with pytest.raises(SplitError, match=message):
        time_split(daily(4), since, until)


def test_a_leak_is_refused():
    events = daily(4)
    with pytest.raises(SplitError, match="the future leaks into training"):
        refuse_leak(events, events)


def test_leave_last_out_takes_each_users_last_and_nothing_after_it():
    events = pd.DataFrame({
        "user_id": ["u", "u", "u", "v"], "item_id": ["a", "b", "c", "a"],
        "event": ["click", "click", "impression", "click"],
        "timestamp": [DAY, DAY + pd.Timedelta(days=1), DAY + pd.Timedelta(days=2), DAY],
    })
    split = leave_last_out(events)
    assert list(split.test["item_id"]) == ["b"]
    assert list(split.train["item_id"]) == ["a", "a"]
    with pytest.raises(SplitError, match="no user has two interactions"):
        leave_last_out(events.iloc[[3]])
