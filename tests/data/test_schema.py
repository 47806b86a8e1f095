"""Contracts convert what is sound, count what they tolerate, and name column, row and mend of what they refuse."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.data.schema import CANDIDATES, EVENTS, ITEMS, RANKINGS, Checked, check_table, require_known_ids
from ltexpo.errors import ColumnError, TableError


def events(**changes: object) -> pd.DataFrame:
    columns: dict[str, object] = {
        "user_id": ["u1", "u2"], "item_id": ["a", "b"], "event": ["click", "purchase"],
        "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
    }
    return pd.DataFrame(columns | changes)


def test_a_sound_table_passes_unchanged_and_silent():
    checked = check_table(events(), EVENTS)
    assert checked.notes == {}
    assert checked.frame["timestamp"].dtype == "datetime64[us, UTC]"
    pd.testing.assert_frame_equal(check_table(checked.frame, EVENTS).frame, checked.frame)


def test_attribute_columns_pass_through():
    frame = pd.DataFrame({"item_id": ["a"], "title": ["A"], "colour": ["red"], "weight": [1.5]})
    assert list(check_table(frame, ITEMS).frame.columns) == ["item_id", "title", "colour", "weight"]


def test_integer_ids_become_strings_and_are_counted():
    checked = check_table(events(user_id=[7, 8]), EVENTS)
    assert list(checked.frame["user_id"]) == ["7", "8"]
    assert checked.integer_ids == {"user_id"}
    assert checked.notes == {"user_id: integers read as strings": 2}


def test_times_in_the_future_are_counted():
    soon, late = pd.Timestamp.now("UTC") + pd.Timedelta(hours=2), pd.Timestamp.now("UTC") + pd.Timedelta(days=400)
    checked = check_table(events(timestamp=[soon, late]), EVENTS)
    assert checked.notes == {"timestamp: times in the future": 1}


def test_times_without_a_zone_are_read_as_utc_and_counted():
    checked = check_table(events(timestamp=["2024-01-01", "2024-01-02 10:00:00"]), EVENTS)
    assert checked.frame["timestamp"].iloc[1] == pd.Timestamp("2024-01-02 10:00", tz="UTC")
    assert checked.notes == {"timestamp: times without a zone read as UTC": 2}


def test_times_of_one_zone_are_converted():
    checked = check_table(events(timestamp=["2024-01-01T01:00:00+01:00", "2024-01-01T02:00:00+01:00"]), EVENTS)
    assert checked.frame["timestamp"].iloc[0] == pd.Timestamp("2024-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_id": [1.5, 2.5]}, "'user_id' holds float64 values such as 1.5, expected strings"),
        ({"user_id": ["u1", None]}, "'user_id' row 1 is .*, a gap"),
        ({"user_id": ["u1", ""]}, "'user_id' row 1 is '', an empty id"),
        ({"item_id": pd.Series(["a", 7], dtype=object)}, "'item_id' row 1 is 7, not a string"),
        ({"event": ["click", "hug"]}, "'event' row 1 is 'hug', not a known event.*impression, click"),
        ({"timestamp": [1, 2]}, "'timestamp' holds int64.*unit='s'"),
        ({"timestamp": ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"]}, "mixes time zones: row 0 has .00:00, row 1"),
        ({"timestamp": ["2024-01-01", "yesterday"]}, "'timestamp' row 1 is 'yesterday', not an ISO 8601 time"),
        ({"rank": [1, 0]}, "'rank' row 1 is 0, not a rank"),
        ({"rank": [1, 1.5]}, "'rank' row 1 is 1.5, not a rank"),
        ({"propensity": [0.5, 0.0]}, "'propensity' row 1 is 0.0, not a probability"),
        ({"propensity": [0.5, 1.5]}, "'propensity' row 1 is 1.5, not a probability"),
        ({"price": [1.0, -2.0]}, "'price' row 1 is -2.0, negative"),
        ({"price": ["1", "2"]}, "'price' holds str.* values such as '1', expected numbers"),
    ],
)
def test_refusals_name_column_row_and_mend(changes: dict[str, object], message: str):
    with pytest.raises(ColumnError, match=message):
        check_table(events(**changes), EVENTS)


def test_missing_columns_are_named_with_what_was_found_and_the_mend():
    wanted = r"candidates lacks 'score'; found request_id, item_id. Run 'ltexpo recommend'"
    with pytest.raises(ColumnError, match=wanted):
        check_table(pd.DataFrame({"request_id": ["r"], "item_id": ["a"]}), CANDIDATES)


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(score: float):
    frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"], "score": [0.5, score]})
    with pytest.raises(ColumnError, match="'score' row 1"):
        check_table(frame, CANDIDATES)


def test_empty_and_repeated_rows_are_refused():
    with pytest.raises(TableError, match="events is empty"):
        check_table(events().iloc[:0], EVENTS)
    with pytest.raises(TableError, match=r"row 1: item_id 'a' stands there twice \(1 repeated rows\)"):
        check_table(pd.DataFrame({"item_id": ["a", "a"], "title": ["A", "B"]}), ITEMS)


@pytest.mark.parametrize("ranks", [[1, 3], [2, 3], [1, 1]])
def test_ranks_must_run_without_holes(ranks: list[int]):
    frame = pd.DataFrame({"request_id": ["r", "r"], "rank": ranks, "item_id": ["a", "b"]})
    with pytest.raises(TableError, match=f"the request of row 0 has ranks {ranks[0]}, {ranks[1]}, expected 1 to 2"):
        check_table(frame, RANKINGS)


def test_ids_of_different_kind_or_unknown_ids_are_refused():
    items = check_table(pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"]}), ITEMS)
    numbers = check_table(events(item_id=[1, 2]), EVENTS)
    with pytest.raises(ColumnError, match="'item_id' holds numbers in events and strings in items"):
        require_known_ids(numbers, items, "item_id", left_name="events", right_name="items")
    with pytest.raises(TableError, match=r"events row 1: item_id 'z' is not in items \(1 such rows\)"):
        require_known_ids(
            Checked(events(item_id=["a", "z"])), items, "item_id", left_name="events", right_name="items"
        )
