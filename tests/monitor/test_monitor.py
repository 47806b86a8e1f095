"""A day judged against three quiet weeks: nothing fires, and each incident fires its own alarm."""

import json
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from test_prometheus import parse
from tiny_log import FIRST, day_name, day_of, items, log, published

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, ConfigError
from ltexpo.monitor import Events, Monitored, MonitorSettings, Published, monitor
from ltexpo.monitor.alarms import KINDS
from ltexpo.monitor.result import HELP

DAYS = 21
CALM = MonitorSettings(now=(FIRST + pd.Timedelta(days=60)).to_pydatetime(), pictures=False)
Log = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def before() -> Monitored:
    """The last of three quiet weeks, with two days of history of everything that only history knows."""
    events = log(DAYS)
    day = day_of(DAYS - 1)
    return monitor(items(), Events(events), CALM, day=day_name(DAYS - 1), published=published(day))


def judge(before: Monitored, today: pd.DataFrame, *, catalogue: pd.DataFrame | None = None, **how: object) -> Monitored:
    told = how.pop("told", None) or published(today[today["item_id"].isin(items()["item_id"])])
    return monitor(
        items() if catalogue is None else catalogue, Events(today), how.pop("settings", CALM),
        day=day_name(DAYS), published=told, metrics=before.metrics, decisions=before.decisions, **how,
    )


def fired(result: Monitored) -> set[tuple[str, str]]:
    return {(alarm.metric, alarm.group) for alarm in result.alarms}


def test_a_quiet_day_raises_nothing_and_moves_nothing(before: Monitored):
    result = judge(before, day_of(DAYS))
    assert not before.alarms and not result.alarms
    assert not result.breached and result.action == "keep"
    assert result.prices["price"].tolist() == [0.1]
    assert set(result.metrics["day"]) == {day_name(n) for n in range(DAYS + 1)}
    assert not result.metrics["alarm"].any()
    known = result.today.set_index(["metric", "group"])["value"]
    assert known["requests", "all"] == day_of(DAYS)["request_id"].nunique()
    assert known["exposure", "tail min_share"] == pytest.approx(0.5, abs=0.05)
    assert known["clicks per request", "all"] == pytest.approx(1.5, rel=0.15)
    assert np.isfinite(known["calibration", "all"])


def half(change: Log) -> Log:
    def wrong(events: pd.DataFrame) -> pd.DataFrame:
        hit = np.arange(len(events)) % 4 == 0
        return pd.concat([events[~hit], change(events[hit])], ignore_index=True)
    return wrong


def early(events: pd.DataFrame) -> pd.DataFrame:
    click = events["event"] == "click"
    return events.assign(timestamp=events["timestamp"].where(~click, events["timestamp"] - pd.Timedelta(minutes=1)))


WRONG: dict[str, tuple[Log, tuple[str, str]]] = {
    "half of the traffic": (
        lambda events: events[events["request_id"].str[-1].isin(list("01234"))], ("events", "impression")
    ),
    "twice": (half(lambda hit: pd.concat([hit, hit])), ("duplicate events", "all")),
    "unknown items": (half(lambda hit: hit.assign(item_id="x" + hit["item_id"])), ("events of unknown items", "all")),
    "no rank": (half(lambda hit: hit.assign(rank=pd.NA)), ("events without a value", "impression.rank")),
    "no column": (lambda events: events.drop(columns="rank"), ("events without a value", "impression.rank")),
    "early clicks": (early, ("clicks before their impression", "all")),
    "future": (
        half(lambda hit: hit.assign(timestamp=hit["timestamp"] + pd.Timedelta(days=400))),
        ("events from the future", "all"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_log_at_fault_fires_and_prices_hold(before: Monitored, name: str):
    change, alarm = WRONG[name]
    today = change(day_of(DAYS))
    result = judge(before, today, told=published(day_of(DAYS)))
    assert alarm in fired(result)
    assert result.action == "hold"
    assert result.prices["price"].tolist() == [0.1]
    assert not result.breached
    # the limit and the reason are written, too
    row = result.today[(result.today["metric"] == alarm[0]) & (result.today["group"] == alarm[1])].iloc[0]
    assert row["alarm"]
    assert result.decided["reason"].iloc[0] != ""


def test_a_day_without_events_is_an_alarm_and_holds(before: Monitored):
    result = judge(before, day_of(DAYS).iloc[:0], told=published(day_of(DAYS)))
    assert {("events", "impression"), ("events", "click")} == fired(result)
    assert result.decided["reason"].tolist() == ["no events on this day: held"]


def test_an_unreadable_log_is_an_alarm_and_holds(before: Monitored):
    result = monitor(
        items(), Events(day_of(DAYS).iloc[:0], trouble="events.parquet: is not readable Parquet."), CALM,
        day=day_name(DAYS), published=published(day_of(DAYS)), metrics=before.metrics, decisions=before.decisions,
    )
    assert ("unreadable log", "all") in fired(result)
    assert result.action == "hold" and "cannot be read" in result.decided["reason"].iloc[0]


def test_lists_of_another_day_fire(before: Monitored):
    result = judge(before, day_of(DAYS), told=published(day_of(DAYS, seed=5)))
    assert fired(result) == {("slots not as published", "all")}
    assert result.alarms[0].words.endswith("%, where 0.0% is usual; were these the lists that were served?")
    assert "clicks per request" in set(result.today["metric"])
    assert {"calibration", "exposure", "demand"}.isdisjoint(result.today["metric"])
    assert "the lists shown are not those published, so clicks are judged" in result.notes[-1]
    assert result.action == "hold" and result.prices["price"].tolist() == [0.1]


def test_without_earlier_days_nothing_is_usual():
    today = day_of(0)
    result = monitor(items(), Events(today), CALM, day=day_name(0), published=published(day_of(0, seed=5)))
    told = [alarm.words for alarm in result.alarms]
    assert len(told) == 1 and told[0].startswith("slots not as published: ")
    assert told[0].endswith("%, where 1.0% is borne; were these the lists that were served?")


def test_fewer_clicks_of_other_lists_break_the_guardrail_and_prices_hold(before: Monitored):
    """The breach is found behind the fault, prices hold on such days, and go back on the first sound day."""
    result = before
    good = float(before.prices["price"].iloc[0])
    for n in range(DAYS, DAYS + 6):
        today = day_of(n, chance=0.18)
        elsewhere = n < DAYS + 5
        result = monitor(
            items(), Events(today), CALM, day=day_name(n), metrics=result.metrics, decisions=result.decisions,
            published=published(day_of(n, seed=5) if elsewhere else today, price=good + 0.01),
        )
        if elsewhere:
            assert ("slots not as published", "all") in fired(result)
            assert result.action == "hold" and result.prices["price"].tolist() == [good + 0.01]
            proven = result.breached
    assert proven and result.breached
    held = result.decisions[result.decisions["day"] == day_name(DAYS + 4)]
    assert held["reason"].iloc[0].startswith("guardrail broken (clicks per request changed by")
    assert "slots not as published" in held["reason"].iloc[0]
    assert result.action == "rollback" and result.prices["price"].tolist() == [good]


def test_a_log_at_fault_otherwise_judges_no_clicks(before: Monitored):
    twice = pd.concat([day_of(DAYS, chance=0.05)] * 2, ignore_index=True)
    result = judge(before, twice, told=published(day_of(DAYS, seed=5)))
    assert {("slots not as published", "all"), ("duplicate events", "all")} <= fired(result)
    assert "clicks per request" not in set(result.today["metric"])


def test_new_products_that_nobody_was_shown_yet_are_told_in_words():
    """A median that is not known yet is no number anywhere; the words say how many were shown."""
    begin = FIRST + pd.Timedelta(days=DAYS)
    arrived = {"p90": begin, "p91": begin, "p92": begin}
    fresh = pd.DataFrame({"item_id": list(arrived), "title": "new", "category": "bags", "price": 5.0, "tier": "new"})
    old = items().assign(created_at=FIRST - pd.Timedelta(days=90))
    shop = pd.concat([old, fresh.assign(created_at=list(arrived.values()))], ignore_index=True)
    today = day_of(DAYS)
    one = today.iloc[:1].assign(item_id="p90", request_id="x")
    some = pd.concat([today, one], ignore_index=True)
    for shown, how_many in ((today, "none"), (some, "1")):
        result = monitor(shop, Events(pd.concat([log(DAYS), shown])), CALM, day=day_name(DAYS))
        words = f"days to first exposure: not known yet, with {how_many} of 3 new products shown so far."
        assert words in result.notes and words in str(result)
        assert "inf" not in str(result) and "Inf" not in result.to_prometheus()
        assert "ltexpo_days_to_first_exposure" not in {name for name, _, _ in parse(result.to_prometheus())}


def test_every_number_has_its_own_help(before: Monitored):
    """Shares say that they are shares; a number without a help text is a mistake."""
    results = [before, judge(before, early(day_of(DAYS)), told=published(day_of(DAYS)))]
    carts = pd.concat([day_of(DAYS), day_of(DAYS).query("event == 'click'").assign(event="cart")])
    bought = day_of(DAYS).query("event == 'click'").assign(event="purchase")
    results.append(judge(before, pd.concat([carts, bought]), told=published(day_of(DAYS), price=3.0)))
    results.append(judge(before, day_of(DAYS, chance=0.01)))
    results.append(monitor(items(), Events(log(0 + 1).iloc[:0], trouble="x"), CALM, day=day_name(0)))
    helps = {}
    for result in results:
        assert set(result.today["metric"]) - {"scores"} <= set(HELP)
        helps |= dict(re.findall(r"^# HELP (\S+) (.*)$", result.to_prometheus(), flags=re.MULTILINE))
    for share in ("events_of_unknown_items", "duplicate_events", "slots_not_as_published", "events_from_the_future"):
        assert helps[f"ltexpo_{share}"].startswith("Share of the ")


def test_fewer_clicks_break_the_guardrail_within_days(before: Monitored):
    result, found = before, None
    for n in range(DAYS, DAYS + 5):
        today = day_of(n, chance=0.18)
        result = monitor(
            items(), Events(today), CALM, day=day_name(n), metrics=result.metrics, decisions=result.decisions,
            published=published(today, price=float(result.prices["price"].iloc[0])),
        )
        if result.breached:
            found = n
            break
    assert found is not None
    alarm = next(alarm for alarm in result.alarms if alarm.kind == "clicks")
    assert alarm.metric == "change of clicks per request" and "5% is borne" in alarm.words
    assert result.action in ("hold", "rollback")


def test_a_guardrail_that_the_certificate_breaks_is_a_breach(before: Monitored):
    told = published(day_of(DAYS), guardrails=[{"kind": "max_click_loss", "value": 0.1, "kept": False}])
    result = judge(before, day_of(DAYS), told=told)
    assert result.breached and result.action == "hold"
    assert "max_click_loss" in result.alarms[-1].words


def test_a_goal_that_is_missed_fires_and_its_price_rises(before: Monitored):
    result = judge(before, day_of(DAYS, tail=0.3))
    assert ("exposure", "tail min_share") in fired(result)
    assert result.prices["price"].iloc[0] > 0.1


def test_another_demand_drifts(before: Monitored):
    today = day_of(DAYS)
    click = today["event"] == "click"
    shoes = today["item_id"].str[1:].astype(int) % 2 == 1
    moved = today[~click | shoes]
    assert ("demand drift", "category") in fired(judge(before, moved, told=published(today)))


def test_another_catalogue_drifts_and_gaps_fire(before: Monitored):
    dear = items().assign(price=500.0)
    assert ("catalogue drift", "price") in fired(judge(before, day_of(DAYS), catalogue=dear))
    gaps = items().assign(category=items()["category"].where(np.arange(40) % 3 > 0))
    assert ("items without a value", "category") in fired(judge(before, day_of(DAYS), catalogue=gaps))
    gone = items().drop(columns="title")
    assert ("items without a value", "title") in fired(judge(before, day_of(DAYS), catalogue=gone))


def test_other_scores_drift_and_are_off(before: Monitored):
    result = before
    for n in range(DAYS, DAYS + 15):
        today = day_of(n)
        result = monitor(
            items(), Events(today), CALM, day=day_name(n), metrics=result.metrics, decisions=result.decisions,
            published=published(today, price=float(result.prices["price"].iloc[0])),
        )
        assert not result.alarms
    today = day_of(DAYS + 15)
    result = monitor(
        items(), Events(today), CALM, day=day_name(DAYS + 15), metrics=result.metrics, decisions=result.decisions,
        published=published(today, score=0.6, price=float(result.prices["price"].iloc[0])),
    )
    assert {("scores drift", "score"), ("change of calibration", "all")} <= fired(result)


def test_wrong_prices_fire_and_go_back(before: Monitored):
    result = judge(before, day_of(DAYS), told=published(day_of(DAYS), price=3.0))
    assert ("wrong prices", "all") in fired(result)
    assert result.action == "rollback" and result.prices["price"].tolist() == [0.1]
    other = published(day_of(DAYS))
    strange = other.prices.assign(group="head")
    result = judge(before, day_of(DAYS), told=Published(other.certificate, strange, other.rankings))
    assert result.action == "rollback" and result.prices["price"].tolist() == [0.1]
    result = judge(before, day_of(DAYS), told=Published(other.certificate, None, other.rankings))
    assert result.action == "rollback" and result.prices["price"].tolist() == [0.1]


def test_purchases_alone_hold_and_say_so_in_one_line(before: Monitored):
    bought = log(DAYS + 1)
    bought = bought[bought["event"] == "click"].assign(event="purchase").drop(columns=["rank", "request_id"])
    result = monitor(items(), Events(bought), CALM, day=day_name(DAYS), published=published(day_of(DAYS)))
    assert result.action == "hold" and result.prices["price"].tolist() == [0.1]
    assert [note for note in result.notes if note.startswith("exposure shown is not known")]
    assert "\n" not in result.notes[0]
    assert "demand drift" in set(result.today["metric"])
    assert not result.alarms


def test_without_a_rerank_the_rest_is_judged():
    result = monitor(items(), Events(log(DAYS)), CALM, day=day_name(DAYS - 1))
    assert result.prices.empty and result.decisions.empty and result.action == "none"
    assert "no --rankings" in result.notes[-1]
    assert "clicks per request" in set(result.today["metric"])


def test_few_users_are_not_told_apart():
    few = CALM.model_copy(update={"least_users": 60})
    rare = items().assign(category=np.where(np.arange(40) == 7, "rare", items()["category"]))
    goals = [
        {"group": "tail", "value": None, "kind": "min_share", "target": 0.5},
        {"group": "category", "value": "rare", "kind": "min_share", "target": 0.01},
    ]
    today = day_of(DAYS)
    told = published(today, goals=goals)
    prices = pd.concat([told.prices, told.prices.assign(group="category", value="rare", price=0.0)])
    told = Published(told.certificate, prices, told.rankings)
    result = monitor(rare, Events(today), few, day=day_name(DAYS), published=told)
    shown = result.today[result.today["metric"] == "exposure"].set_index("group")
    assert shown.index.tolist() == ["tail min_share", "others"]
    # one goal under another name would be told all the same
    assert np.isnan(shown.loc["others", ["value", "low", "high", "target"]].astype(float)).all()
    assert shown.loc["others", "n"] == 1
    assert not any("rare" in group for group in result.today.loc[result.today["metric"] == "demand", "group"])
    told_of = [line for line in result.to_prometheus().splitlines() if "rare" in line]
    assert all(line.startswith(("ltexpo_catalogue", "ltexpo_price")) for line in told_of)  # nothing that users did
    decided = result.decided.set_index("group")
    assert np.isnan(decided.loc["category", "achieved"]) and np.isfinite(decided.loc["tail", "achieved"])
    assert "fewer than 60 users" in decided.loc["category", "reason"]
    alone = monitor(rare, Events(today[today["user_id"].isin([f"u{n}" for n in range(9)])]), few,
                    day=day_name(DAYS), published=told)
    assert {"clicks per request", "demand", "exposure"}.isdisjoint(alone.today["metric"])
    assert alone.action == "hold"


def test_it_renders(before: Monitored):
    text = str(before)
    assert text.startswith(f"{before.day}: no alarms") and "prices: 1 keep" in text
    samples = parse(before.to_prometheus())
    names = {name for name, _, _ in samples}
    assert {"ltexpo_clicks_per_request", "ltexpo_exposure_target", "ltexpo_price", "ltexpo_alarms"} <= names
    assert ("ltexpo_guardrail_breached", {}, 0.0) in samples
    told = json.loads(json.dumps(before.to_dict()))
    assert ("ltexpo_decisions", {"action": "keep"}, 1.0) in samples
    assert ("ltexpo_decisions", {"action": "step"}, 0.0) in samples
    assert told["decision"]["action"] == "keep" and told["alarms"] == [] and not told["breached"]


def test_the_same_day_again_gives_the_same(before: Monitored):
    first, second = judge(before, day_of(DAYS)), judge(before, day_of(DAYS))
    pd.testing.assert_frame_equal(first.metrics, second.metrics)
    again = monitor(
        items(), Events(day_of(DAYS)), CALM, day=day_name(DAYS), published=published(day_of(DAYS)),
        metrics=first.metrics, decisions=first.decisions,
    )
    pd.testing.assert_frame_equal(again.metrics, first.metrics)
    pd.testing.assert_frame_equal(again.decisions, first.decisions)


def test_refusals(before: Monitored):
    with pytest.raises(ConfigError, match="write it like"):
        monitor(items(), Events(day_of(0)), CALM, day="2026-3-2")
    with pytest.raises(ColumnError, match="lacks 'metric'"):
        monitor(items(), Events(day_of(0)), CALM, day=day_name(1), metrics=pd.DataFrame({"day": [day_name(0)]}))


def test_the_budget_is_divided(before: Monitored):
    from ltexpo.monitor.alarms import Judge
    from ltexpo.monitor.rows import Past

    judged = Judge(CALM, Past.of(before.metrics, before=day_name(DAYS), days=30), day_name(DAYS))
    assert judged.chance(4) * 4 * len(KINDS) == pytest.approx(CALM.false_alarms)
    assert Columns.Tier in CALM.drift_by
