import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltexpo.monitor.controller import Breach, decide, empty_decisions
from ltexpo.monitor.settings import ControllerSettings

SPREAD = 0.2
DUAL = ControllerSettings(method="dual", step=0.5, most_step=0.25, most_price=5.0, most_jump=1.0, ignored_errors=1.0)
PID = DUAL.model_copy(update={"method": "pid", "ki": 0.4, "kp": 0.3, "kd": 0.1})


def goals(achieved: list[float], error: float = 0.0) -> pd.DataFrame:
    """A floor of 20% for the tail and a cap of 10% for shoes."""
    return pd.DataFrame({
        "group": ["tail", "category"], "value": [None, "shoes"], "kind": ["min_share", "max_share"], "sign": [1, -1],
        "target": [0.2, 0.1], "achieved": achieved, "error": error,
    })


def prices(tail: float, shoes: float) -> pd.DataFrame:
    return pd.DataFrame({
        "group": ["tail", "category"], "value": [None, "shoes"], "kind": ["min_share", "max_share"],
        "price": [tail, shoes],
    })


def after(decided: pd.DataFrame) -> list[float]:
    return decided["price_after"].tolist()


def run_days(days: list[dict], settings: ControllerSettings = DUAL) -> pd.DataFrame:
    """Each day is served by what was decided the day before, unless it says otherwise."""
    log, served = empty_decisions(), prices(0.05, -0.02)
    for n, day in enumerate(days):
        given_ = dict(day)
        served = given_.pop("prices", served)
        decided = decide(
            goals(given_.pop("achieved", [0.2, 0.1]), given_.pop("error", 0.0)), served, log, settings,
            day=str((pd.Timestamp("2026-03-02") + pd.Timedelta(days=n)).date()), spread=SPREAD, **given_,
        )
        log = pd.concat([log, decided], ignore_index=True) if len(log) else decided
        served = prices(*after(decided))
    return log


def of_day(log: pd.DataFrame, n: int) -> pd.DataFrame:
    return log[log["day"] == sorted(log["day"].unique())[n]]


def test_dual_step_by_hand():
    decided = run_days([{"achieved": [0.18, 0.12]}])
    # 10% of the tail's target is missing, shoes have 20% too much; a step is 0.5 spreads for all of it
    assert after(decided) == pytest.approx([0.05 + 0.5 * SPREAD * 0.1, -0.02 - 0.5 * SPREAD * 0.2])
    assert decided["action"].tolist() == ["step", "step"]
    assert decided["good"].all()
    assert decided["reason"].tolist() == ["exposure -10.0% from target", "exposure +20.0% from target"]


def test_what_noise_explains_moves_nothing():
    decided = run_days([{"achieved": [0.18, 0.1], "error": 0.03}])
    assert after(decided) == [0.05, -0.02]
    assert decided["action"].tolist() == ["keep", "keep"]
    assert "noise" in decided["reason"].iloc[0]


def test_a_price_that_cannot_move_is_kept():
    decided = decide(
        goals([0.22, 0.05]), prices(0.0, 0.0), empty_decisions(), DUAL, day="2026-03-02", spread=SPREAD
    )
    assert after(decided) == [0.0, 0.0] and decided["action"].tolist() == ["keep", "keep"]
    assert decided["reason"].iloc[0] == "exposure +10.0% from target, kept without a price"
    at_the_end = decide(
        goals([0.1, 0.1]), prices(5 * SPREAD, -0.02), empty_decisions(), DUAL, day="2026-03-02", spread=SPREAD
    )
    assert at_the_end["action"].tolist() == ["keep", "keep"] and "allowed range" in at_the_end["reason"].iloc[0]
    assert at_the_end["good"].all()  # judged, other than a day that is held


def test_a_day_that_moved_nothing_is_remembered_by_the_pid():
    log = run_days([{"achieved": [0.2, 0.1]}, {"achieved": [0.18, 0.1]}], PID)
    assert log["action"].tolist() == ["keep", "keep", "step", "keep"]
    assert after(of_day(log, 1))[0] == pytest.approx(0.05 + SPREAD * (0.4 * 0.1 + 0.3 * 0.1))


def test_pid_by_hand():
    log = run_days([{"achieved": [0.18, 0.1]}, {"achieved": [0.19, 0.1]}, {"achieved": [0.20, 0.1]}], PID)
    first = 0.05 + SPREAD * 0.4 * 0.1
    second = first + SPREAD * (0.4 * 0.05 + 0.3 * (0.05 - 0.1))
    third = second + SPREAD * (0.0 + 0.3 * (0 - 0.05) + 0.1 * (0 - 2 * 0.05 + 0.1))
    assert log.loc[log["group"] == "tail", "price_after"].tolist() == pytest.approx([first, second, third])


def test_steps_are_bounded_and_stop_at_the_box():
    log = run_days([{"achieved": [0.0, 0.0]}] * 40)
    tail = log.loc[log["group"] == "tail", ["price_before", "price_after"]].to_numpy(float)
    assert (tail[:, 1] - tail[:, 0] <= 0.25 * SPREAD + 1e-12).all()
    assert tail[-1, 1] == pytest.approx(5.0 * SPREAD)
    shoes = log.loc[log["group"] == "category", "price_after"]
    assert shoes.iloc[-1] == 0.0
    assert "allowed range" in of_day(log, 39)["reason"].iloc[0]


def test_no_windup_at_the_box():
    # ten days at the limit, then too much: the price falls at once
    log = run_days([{"achieved": [0.0, 0.1]}] * 40 + [{"achieved": [0.24, 0.1]}], PID)
    tail = log.loc[log["group"] == "tail", "price_after"].to_numpy(float)
    assert tail[-1] < tail[-2]


@pytest.mark.parametrize("why", [{"missing": "no events on this day: held"}])
def test_hold_changes_nothing(why: dict):
    log = run_days([{"achieved": [0.15, 0.1]}, {"achieved": [np.nan, np.nan], **why}])
    held = of_day(log, 1)
    assert held["price_after"].tolist() == held["price_before"].tolist() == after(of_day(log, 0))
    assert held["action"].tolist() == ["hold", "hold"]
    assert not held["good"].any()
    assert held["reason"].iloc[0] == "no events on this day: held"


@pytest.mark.parametrize(("wrong", "words"), [
    (prices(np.nan, -0.02), "not finite"),
    (prices(np.inf, -0.02), "not finite"),
    (prices(-0.05, -0.02), "wrong sign"),
    (prices(0.05, 0.02), "wrong sign"),
    (prices(2.0, -0.02), "beyond 5 spreads"),
    (prices(0.6, -0.02), "where 0.05 was decided"),
    (prices(0.05, -0.02).iloc[:1], "lacks 1 of 2 goals"),
    (None, "missing or cannot be read"),
])
def test_wrong_price_files_are_taken_back(wrong: pd.DataFrame | None, words: str):
    log = run_days([{"achieved": [0.2, 0.1]}, {"achieved": [0.2, 0.1]}, {"prices": wrong}, {}])
    rolled = of_day(log, 2)
    assert rolled["action"].tolist() == ["rollback", "rollback"]
    assert words in rolled["reason"].iloc[0]
    assert rolled["price_after"].tolist() == of_day(log, 1)["price_before"].tolist()
    assert of_day(log, 3)["action"].tolist() == ["keep", "keep"]


def test_prices_of_strangers_are_taken_back():
    log = run_days([{}, {"strangers": True}])
    assert "another set of goals" in of_day(log, 1)["reason"].iloc[0]
    assert after(of_day(log, 1)) == of_day(log, 0)["price_before"].tolist()


def test_solved_prices_may_jump():
    log = run_days([{}, {"prices": prices(0.9, -0.02), "solved": True, "achieved": [0.2, 0.1]}])
    assert of_day(log, 1)["action"].tolist() == ["keep", "keep"]
    assert after(of_day(log, 1)) == [0.9, -0.02]


def test_a_wrong_file_with_no_good_day_gives_no_price():
    assert after(run_days([{"prices": prices(np.nan, 0.0)}])) == [0.0, 0.0]


def test_a_breach_after_a_change_takes_back_and_then_holds():
    day = ["2026-03-02", "2026-03-03", "2026-03-04"]
    breach = Breach(since=day[2], words="guardrail broken")
    log = run_days([
        {"achieved": [0.18, 0.1]}, {"achieved": [0.18, 0.1]}, {"achieved": [0.18, 0.1]},
        {"breach": breach}, {"breach": Breach(since=day[2], words="guardrail broken", standing=True)}, {},
    ])
    rolled = of_day(log, 3)
    assert rolled["action"].tolist() == ["rollback", "rollback"]
    # the last day before the proof begins
    assert after(rolled) == of_day(log, 1)["price_before"].tolist()
    held = of_day(log, 4)
    assert held["action"].tolist() == ["hold", "hold"] and after(held) == after(rolled)
    assert of_day(log, 5)["action"].tolist() == ["keep", "keep"]


def test_a_breach_without_a_change_holds():
    log = run_days([{}, {}, {"breach": Breach(since="2026-03-04", words="guardrail broken")}])
    assert of_day(log, 2)["action"].tolist() == ["hold", "hold"]
    assert after(of_day(log, 2)) == after(of_day(log, 1))


def test_a_rollback_that_was_not_served_is_decided_again():
    breach = Breach(since="2026-03-03", words="guardrail broken")
    log = run_days([
        {"achieved": [0.18, 0.1]}, {"achieved": [0.18, 0.1]}, {"breach": breach},
        {"breach": Breach(since="2026-03-03", words="guardrail broken", standing=True), "prices": prices(0.09, -0.02)},
    ])
    assert of_day(log, 3)["action"].iloc[0] == "rollback"
    assert after(of_day(log, 3)) == after(of_day(log, 2))


DAY = st.fixed_dictionaries({
    "achieved": st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), min_size=2, max_size=2),
    "error": st.one_of(st.floats(0, 0.1), st.just(np.nan)),
}, optional={
    "missing": st.just("held"),
    "breach": st.builds(Breach, since=st.sampled_from(["2026-03-02", "2026-03-05"]), words=st.just("guardrail broken"),
                        standing=st.booleans()),
    "prices": st.one_of(st.none(), st.builds(prices, st.floats(), st.floats())),
    "strangers": st.booleans(),
})


@settings(max_examples=150, deadline=None)
@given(st.lists(DAY, min_size=1, max_size=8), st.sampled_from([DUAL, PID]))
def test_whatever_happens_prices_stay_in_the_box(days: list[dict], chosen: ControllerSettings):
    log = run_days(days, chosen)
    tail, shoes = (log.loc[log["group"] == name, "price_after"].to_numpy(float) for name in ("tail", "category"))
    top = chosen.most_price * SPREAD + 1e-6
    assert ((tail >= 0) & (tail <= top)).all()
    assert ((shoes <= 0) & (shoes >= -top)).all()
    held = log[log["action"] == "hold"]
    assert (held["price_after"].to_numpy(float) == held["price_before"].to_numpy(float)).all()
    steps = log[log["action"] == "step"]
    moved = (steps["price_after"] - steps["price_before"]).abs().to_numpy(float)
    assert (moved <= chosen.most_step * SPREAD + 1e-9).all()
    assert (log["reason"] != "").all()
