"""Events become lists; what cannot be used is counted or refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import as_events, make_log

from ltexpo.errors import ColumnError, ConfigError, InputError, SplitError, TableError
from ltexpo.simulate.clicks import PositionBased, Sessions


def row(request: str, item: str, rank: float, event: str = "impression", **more: object) -> dict[str, object]:
    return {"request_id": request, "item_id": item, "rank": rank, "event": event, "user_id": "u" + request} | more


LOG = pd.DataFrame([
    row("r1", "b", 1), row("r1", "a", 2), row("r1", "a", 2, "click"), row("r1", "a", 2, "click"),
    row("r2", "a", 1), row("r2", "c", 2), row("r2", "b", 3), row("r2", "a", 1, "click"), row("r2", "z", 9, "click"),
    row("r3", "a", 1), row("r3", "b", 3),
    row("r4", "a", 1), row("r4", "b", 1),
    row("r5", "a", 1), row("r5", "a", 2), row("r5", "a", 1, "click"),
    row("r6", "c", 1), row("r6", "c", 1), row("r6", "b", 2), row("r6", "b", 2, "purchase"),
    row("r7", "a", np.nan),
])


def test_lists_worked_by_hand() -> None:
    made = Sessions.of(LOG)
    assert made.requests.tolist() == ["r1", "r2", "r6"] and made.keys["item_id"].tolist() == ["a", "b", "c"]
    assert made.items.tolist() == [[1, 0, -1], [0, 2, 1], [2, 1, -1]]
    assert made.clicks.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert made.users is not None and made.users.tolist() == ["ur1", "ur2", "ur6"]
    assert made.left_out == {
        "impressions without request_id or rank": 1, "impressions logged twice": 1,
        "requests with two items at one rank": 1, "requests that show an item twice": 1,
        "requests with holes in their ranks": 1, "clicks without a usable impression": 2,
        "further clicks on an impression": 1,
    }
    assert made.facts()["impressions"] == 7 and "1 requests with holes" in str(made)
    assert made.times is None and made.propensity is None


def test_the_order_of_the_log_does_not_matter() -> None:
    made, mixed = Sessions.of(LOG), Sessions.of(LOG.sample(frac=1, random_state=3))
    assert np.array_equal(made.items, mixed.items) and np.array_equal(made.clicks, mixed.clicks)
    assert made.left_out == mixed.left_out


def test_lists_are_cut_at_k() -> None:
    made = Sessions.of(LOG, k=2)
    assert made.k == 2 and made.left_out["impressions below rank 2"] == 1
    with pytest.raises(ConfigError, match="k is 0"):
        Sessions.of(LOG, k=0)


def test_queries_and_surfaces_tell_keys_apart() -> None:
    log = pd.DataFrame([
        row("r1", "a", 1, query="red", page="home"), row("r1", "b", 2, query="red", page="home"),
        row("r2", "a", 1, query="blue", page="mail"), row("r2", "a", 1, "click", query="blue", page="mail"),
    ])
    assert Sessions.of(log).keys.to_numpy().tolist() == [["blue", "a"], ["red", "a"], ["red", "b"]]
    made = Sessions.of(log, surface="page")
    assert made.surfaces == ("home", "mail") and made.surface.tolist() == [0, 1]
    assert made.facts()["keys are"] == "page × query × item_id"
    with pytest.raises(TableError, match="its request has two values of 'page'"):
        Sessions.of(log.assign(page=["home", "mail", "home", "home"]), surface="page")
    with pytest.raises(ColumnError, match="'page' has 1 gaps"):
        Sessions.of(log.assign(page=["home", None, "home", "home"]), surface="page")
    with pytest.raises(ColumnError, match="lacks 'shelf'"):
        Sessions.of(log, surface="shelf")


def test_a_later_log_takes_over_the_codes() -> None:
    made = Sessions.of(LOG)
    later = Sessions.of(pd.DataFrame([row("r9", "d", 1), row("r9", "b", 2), row("r9", "aa", 3)]), like=made)
    assert later.items.tolist() == [[4, 1, 3]] and later.keys["item_id"].tolist() == ["a", "b", "c", "aa", "d"]
    with pytest.raises(ConfigError, match="tell keys apart by item_id"):
        Sessions.of(pd.DataFrame([row("r9", "d", 1, query="x")]), like=made)


@pytest.mark.parametrize(("log", "error", "says"), [
    (LOG[LOG["event"] != "impression"], TableError, "holds no impression, only 5 click, 1 purchase"),
    (LOG.iloc[:0], TableError, "holds no impression, only no events"),
    (LOG.drop(columns="rank"), ColumnError, "lacks 'rank'"),
    (LOG.drop(columns="request_id"), ColumnError, "lacks 'request_id'"),
    (LOG.assign(rank=LOG["rank"] - 1), ColumnError, r"Ranks count from 1: add 1 to all"),
    (LOG.assign(rank=LOG["rank"] / 2), ColumnError, "whole numbers from 1"),
    (LOG.assign(rank=np.nan), TableError, "none of the 15 impressions has both"),
    (LOG[LOG["request_id"].isin(["r3", "r4"])], TableError, "no list is known from rank 1 to its end"),
    (LOG.assign(propensity=0.0), ColumnError, "'propensity' holds 0"),
    (LOG.assign(propensity=1.5), ColumnError, "'propensity' holds 1.5"),
])
def test_logs_that_cannot_be_used(log: pd.DataFrame, error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says):
        Sessions.of(log)


def test_a_log_survives_the_way_through_events() -> None:
    made = make_log("dcm", lists=500, ragged=True).sessions
    back = Sessions.of(as_events(made), like=made)
    assert np.array_equal(back.items, made.items) and np.array_equal(back.clicks, made.clicks)
    assert back.left_out == {}


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.1, 0.9), seed=st.integers(0, 100))
def test_a_split_is_the_same_for_any_order_and_holds_every_list_once(share: float, seed: int) -> None:
    made = make_log("cm", lists=400, seed=1).sessions
    train, test = made.split(share=share)
    assert sorted([*train.requests, *test.requests]) == sorted(made.requests)
    assert abs(len(test) / 400 - share) < 0.12
    order = np.random.default_rng(seed).permutation(400)
    part = Sessions.of(as_events(made).sample(frac=1, random_state=seed)).rows(np.isin(np.arange(400), order[:200]))
    kept = set(part.requests)
    assert set(part.split(share=share)[1].requests) == set(test.requests) & kept


def test_a_split_by_time() -> None:
    made = Sessions.of(LOG.assign(timestamp=pd.date_range("2026-01-01", periods=21, tz="UTC")))
    train, test = made.split(since="2026-01-10")
    assert train.requests.tolist() == ["r1", "r2"] and test.requests.tolist() == ["r6"]
    with pytest.raises(SplitError, match="one side is empty"):
        made.split(since="2027-01-10")
    with pytest.raises(SplitError, match="no timestamps"):
        Sessions.of(LOG).split(since="2026-01-10")
    with pytest.raises(ConfigError, match="share is 1"):
        made.split(share=1.0)


def test_one_list_is_refused_by_a_fit() -> None:
    with pytest.raises(TableError, match="1 list is too few"):
        PositionBased().fit(Sessions.of(LOG[LOG["request_id"] == "r2"]))
