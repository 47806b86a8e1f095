import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_effects import effects_table, write_experiment

from ltexpo.data.files import read_json, write_json
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import TableError
from ltexpo.report import write_report
from ltexpo.report.arms_figure import arms_figure
from ltexpo.report.assumed_part import assumed_part
from ltexpo.report.days_figure import days_figure
from ltexpo.report.decision import decision_part
from ltexpo.report.gather import gather
from ltexpo.report.metrics_table import metrics_table
from ltexpo.report.off_policy_part import apart, off_policy_part
from ltexpo.report.power_part import power_part
from ltexpo.report.segments_part import segments_part
from ltexpo.report.simulated import Simulated
from ltexpo.report.simulated_words import simulated_words
from ltexpo.report.validity_part import validity_part
from ltexpo.simulate.behaviour import BehaviourSettings


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


@pytest.fixture(scope="module")
def tested(made_run: Path) -> Simulated:
    found = gather(made_run).experiment
    assert found is not None
    return found


def verdict_of(tested: Simulated, **told: object) -> Simulated:
    held = tested.facts["verdicts"]["treatment"]
    return replace(tested, facts={**tested.facts, "verdicts": {"treatment": {**held, **told}}})


def test_every_row_of_the_table_reads(tested: Simulated) -> None:
    drawn = metrics_table(tested, "treatment")
    text = words(drawn)
    assert "tail share of exposure 0.01% 35.00% +35.0 points +34.2 to +35.8" in text
    assert "clicks per visit 0.7310 0.7280 −0.41% −1.10% to +0.29%" in text
    assert "tail clicks per visit 0 0.1200 +0.120 +0.100 to +0.140" in text
    assert not re.search(r"\d{4,}(\.\d+)?%", text)
    assert "not on this scale" in text
    # Clicks and purchases may be chance in both readings, revenue in the test alone.
    block = drawn[drawn.index("everything else"):]
    assert block.count("track effect sure") == 1
    assert block.count("track effect unsure") == 3
    assert block.count("track test unsure") == 4


def test_hold_says_why_and_what_would_decide(tested: Simulated) -> None:
    text = words(decision_part(tested, "treatment"))
    assert text.startswith("HOLD Tail share of exposure is proven better: +35.0 points")
    assert "Clicks per visit may be up to 5.6% worse, and only 3.0% may be lost." in text
    assert "The test alone would ask for about 240 more users (20 more days)" in text
    # 0.003 are lost of the 0.0219 that may be, so 0.0189 remain, against an error of about 0.0197 with 60 users.
    needed = re.search(r"about ([\d,]+) users in all", text)
    assert needed is not None
    assert int(needed[1].replace(",", "")) == pytest.approx(60 * (2.8 * 0.0197 / 0.0189) ** 2, rel=0.05)
    assert "what the lists do is −0.41% (−1.10% to +0.29%), within the margin" in text


def test_ship_and_stop(tested: Simulated) -> None:
    rail = dict(tested.facts["verdicts"]["treatment"]["guardrails"][0], state="held")
    ship = words(decision_part(verdict_of(tested, decision="SHIP", guardrails=[rail]), "treatment"))
    assert ship.startswith("SHIP Tail share of exposure is proven better")
    assert "The guardrail holds. holds clicks per visit" in ship
    assert "would decide" not in ship
    broken = [dict(rail, state="broken")]
    stop = words(decision_part(verdict_of(tested, decision="STOP", guardrails=broken), "treatment"))
    assert "Clicks per visit loses more than the 3.0% that may be lost." in stop
    worse = words(decision_part(verdict_of(tested, decision="STOP", primary="revenue per visit"), "treatment"))
    assert "Revenue per visit is not proven better" in worse
    uneven = replace(tested, facts={**tested.facts, "sample_ratio": {"ok": False, "p_value": 1e-9}})
    assert "The split of the users is broken" in words(decision_part(uneven, "treatment"))


def test_the_summary_speaks_of_the_lead(tested: Simulated) -> None:
    text = words(simulated_words(tested))
    assert "In a simulated A/B test of 5 days with 60 users, clicks per visit changed by −0.41%" in text
    assert "Beyond chance also fell: revenue per visit (−6.4%)." in text
    assert "A real test of that size would end in HOLD ." in text
    assert "No A/B test was simulated" in simulated_words(None)


def test_assumptions_are_sentences_not_settings() -> None:
    usual = words(assumed_part({"behaviour": BehaviourSettings().model_dump()}))
    assert "it attracts her 10% less; a day heals 10% of that" in usual
    # e^(0.1 · 0.5) − 1 = 5.1%, e^(0.1 · 2) − 1 = 22.1%
    assert "she comes 5% more often" in usual and "22% more of those who have a click in ten fewer" in usual
    assert not any(name in usual for name in BehaviourSettings.model_fields if "_" in name)
    other = BehaviourSettings(
        visits_per_day=0.3, fatigue=0, saturation=0.2, novelty=0.5, return_strength=0, leave_per_day=0, budget=100,
        new_users=0.25,
    )
    text = words(assumed_part({"behaviour": other.model_dump() | {"of a later version": 1}}))
    for told in ("0.3 times a day", "however often she has looked", "costs a product 20% of its appeal",
                 "attracts 50% more on the first day", "does not change how often", "Nobody leaves for good",
                 "can spend 100 in 30 days", "25% of the users join"):
        assert told in text
    assert assumed_part({}) == ""
    found = {"users": 5000, "days": 28, "level": 0.95, "low": 0.2, "high": 0.8}
    learnt = words(assumed_part({"behaviour": other.model_dump(), "returning": {"learnt": True, "found": found}}))
    assert "learnt from the log, each of 5,000 users" in learnt and "(95% interval +2% to +8%)" in learnt
    short = {"learnt": False, "reason": "the log spans 3 days"}
    assert "does not tell it: the log spans 3 days." in words(assumed_part({"behaviour": {"fatigue": 0},
                                                                            "returning": short}))


def test_small_segments_are_left_out_and_said(tested: Simulated) -> None:
    drawn = segments_part(tested, "treatment")
    text = words(drawn)
    assert "Left out, for fewer than 20 users in an arm: no event yet (users by tenure; 12 users)." in text
    assert "no event yet" not in text[text.index("Left out") + 60:]
    assert "seen before that 48 +35.0 points" in text
    # Two watched metrics: by tenure one segment, by activity two, three tiers.
    assert drawn.count('class="track ') == 2 * (1 + 2 + 3)
    assert "Share of exposure, products by tier" in text


def test_holm_decides_what_is_solid(tested: Simulated) -> None:
    table = tested.effects.copy()
    assert segments_part(tested, "treatment").count(" sure") == 9  # tail share everywhere, and both metrics of tiers
    table["p_holm"] = 0.2
    assert segments_part(replace(tested, effects=table), "treatment").count(" sure") == 0


def test_power_is_told(tested: Simulated) -> None:
    text = words(power_part(tested, "treatment"))
    assert "With 60 users, a test finds with a chance of 80% a change in tail share of exposure of 8.5 points" in text
    assert "clicks per visit: margin of 3.0% is settled" in text
    assert "tail share of exposure changes +35.0 points 100% under 100 8.5 points" in text


def path_points(drawn: str, style: str) -> list[tuple[float, float]]:
    found = re.search(rf'class="{style}" d="M([^"]+?)Z?"', drawn)
    assert found is not None
    return [(float(x), float(y)) for x, y in (point.split(" ") for point in found[1].split("L"))]


def test_bands_lie_around_the_line() -> None:
    looks = pd.DataFrame({
        "day": [1, 2, 3, 4], "difference": [0.1, 0.0, 0.05, 0.04], "low": [-np.inf, -0.2, -0.05, -0.02],
        "high": [np.inf, 0.2, 0.15, 0.1], "fixed_low": [-0.3, -0.1, 0.0, 0.01], "fixed_high": [0.5, 0.1, 0.1, 0.07],
    })
    drawn = days_figure(looks, title="t", share=True, effect=0.05, margin=-0.03)
    wide, narrow, line = (path_points(drawn, style) for style in ("band", "band inner", "curve treatment"))
    assert len(line) == 3  # the first day has no bounds yet
    assert len(wide) == len(narrow) == 6
    for place, (_, y) in enumerate(line):
        low, high = wide[place][1], wide[-1 - place][1]
        assert high <= narrow[-1 - place][1] <= y <= narrow[place][1] <= low  # pixels count downwards
    assert "+20" in drawn  # points
    assert drawn.count('class="limit"') == 1
    unknown = looks.assign(low=-np.inf)
    assert days_figure(unknown, title="t", share=True) == ""


def test_one_line_for_each_arm() -> None:
    days = pd.RangeIndex(1, 4)
    lasts = {"control": 0.7, "a": 0.6, "b": 0.5}
    arms = {name: pd.Series([0.9, 0.8, value], index=days) for name, value in lasts.items()}
    drawn = arms_figure(arms, title="t", label="share", share=True)
    styles = ("curve control", "curve treatment arm-1", "curve treatment arm-2")
    ends = [path_points(drawn, style)[-1][1] for style in styles]
    assert ends == sorted(ends)
    assert arms_figure({"control": pd.Series([np.nan], index=[1])}, title="t", label="l", share=True) == ""


def test_several_arms(own_run: Path) -> None:
    write_experiment(own_run / "experiment", "gentle", "bold")
    source = write_report(own_run, own_run.parent / "r.html").read_text(encoding="utf-8")
    text = words(source)
    assert "in the arm gentle clicks per visit changed" in text
    assert "gentle against control HOLD" in text
    assert "bold against control HOLD" in text
    assert "bold in detail" in text
    assert source.count("curve treatment arm-2") == 4


def test_a_test_alone(tested: Simulated) -> None:
    """Arms that learn from one log cannot be kept in worlds of their own."""
    effects = tested.effects[tested.effects["reading"] == "test"]
    alone = replace(tested, effects=effects, facts={**tested.facts, "retrain_every": 2, "log": "shared"})
    assert alone.best == "test"
    text = words(metrics_table(alone, "treatment"))
    assert "what the lists do" not in text
    assert "about 240 more users (20 more days) would probably decide" in words(decision_part(alone, "treatment"))


def test_validity(tested: Simulated) -> None:
    assert validity_part(tested) == ""
    checks = pd.DataFrame([
        ("treatment", "A/A rejections", "clicks per visit", 0.05, 0.048, 0.03, 0.07, 1000, True),
        ("treatment", "false alarms, plain test daily", "clicks per visit", 0.05, 0.29, 0.25, 0.33, 1000, True),
        ("treatment", "power", "clicks per visit", 0.8, 0.5, 0.45, 0.55, 1000, False),
    ], columns=["arm", "check", "metric", "asked", "got", "low", "high", "runs", "passed"])
    text = words(validity_part(replace(tested, validity=checks)))
    assert "1 of 2 checks failed" in text
    assert "misled in 29.0% of the runs (clicks per visit)" in text
    assert "clicks per visit: A/A rejections 5.0% 4.8% 3.0% to 7.0% passed" in text
    assert "clicks per visit: power 80.0% 50.0% 45.0% to 55.0% failed" in text


def ope(value: float) -> dict[str, object]:
    said = {"value": value, "low": value - 0.02, "high": value + 0.02, "effective_sample_size": 812.3,
            "largest_weight": 9.31, "verdict": "ok"}
    refused = {"value": None, "low": None, "high": None, "effective_sample_size": None, "largest_weight": None,
               "verdict": "cannot say: effective sample size 3.0, below 50"}
    return {"policy": "run/rankings/rankings.parquet",
            "reward": "click", "per": "list", "level": 0.95, "requests": 1_000, "on_policy":
            {"value": 0.7, "low": 0.68, "high": 0.72}, "estimators": {"cascade_dr": said, "ips": refused}}


def test_the_log_beside_the_simulation(tested: Simulated) -> None:
    assert off_policy_part({}, tested) == ""
    fits = words(off_policy_part(ope(0.73), tested))
    assert "fits that of every estimator that can say" in fits
    assert "cascade DR 0.7300 0.7100 to 0.7500 812 9.31" in fits
    assert "IPS : effective sample size 3.0, below 50" in fits
    assert "The simulation and the log disagree" in words(off_policy_part(ope(0.5), tested))
    other = words(off_policy_part(ope(0.5) | {"policy": "other.parquet"}, tested))
    assert "disagree" not in other and "simulated" not in other
    nobody = ope(0.5)
    nobody["estimators"] = {"ips": nobody["estimators"]["ips"]}  # type: ignore[index]
    assert "No estimator can say" in off_policy_part(nobody, tested)


def test_apart_beyond_both_intervals() -> None:
    # Half-widths 0.02 and 0.03: √(0.0004 + 0.0009) = 0.0361.
    assert apart(ope(0.5), (0.535, 0.505, 0.565)) == []
    assert apart(ope(0.5), (0.537, 0.507, 0.567)) == ["cascade_dr"]


def test_a_broken_folder_is_refused(own_run: Path) -> None:
    (own_run / "experiment" / "looks.parquet").unlink()
    with pytest.raises(TableError, match=r"lacks looks\.parquet.*ltexpo simulate"):
        gather(own_run)


def test_no_effect_is_refused(own_run: Path) -> None:
    write_frame(effects_table("treatment").iloc[:0], own_run / "experiment" / "experiment.parquet")
    with pytest.raises(TableError, match="holds no effect"):
        gather(own_run)


def test_a_fitted_environment_is_told(own_run: Path) -> None:
    path = own_run / "experiment" / "experiment.json"
    write_json({
        **read_json(path), "environment": "fitted", "from": "2026-01-17T00:06:18+00:00", "to": "2026-01-18T23:47:17",
        "fitted_impressions": 70_510, "fitted_clicks": 4_128, "fitted_purchases": 547, "attraction_rows": 1_000,
        "attraction_taken": 500, "attraction_held_out_log_loss": 0.6,
        "fidelity": {"clicks_off": -0.097, "intervals_that_hold": 0.5, "level": 0.95},
    }, path)
    write_frame(pd.DataFrame({
        "what": ["click-through rate"] * 2, "by": ["all", "rank"], "group": [0, 1], "impressions": [10, 10],
        "predicted": [0.05, 0.06], "actual": [0.06, 0.06], "difference": [-0.01, 0.0], "low": [-0.02, -0.01],
        "high": [-0.001, 0.01], "z": [-2.1, 0.0],
    }), own_run / "experiment" / "fidelity.parquet")
    text = words(write_report(own_run, own_run.parent / "r.html").read_text(encoding="utf-8"))
    assert "from 2026-01-17 to 2026-01-18, which the ranker has not seen (70,510 impressions, 4,128 clicks" in text
    assert "its log loss is 0.6000, where saying the mean of everything loses 0.6931" in text  # ln 2
    assert "it predicts 9.7% fewer clicks than there were, and 50% of its 2 intervals hold what happened" in text


def test_tables_are_read_as_they_were_written(made_run: Path) -> None:
    table = read_frame(made_run / "experiment" / "experiment.parquet")
    assert set(table["reading"]) == {"effect", "test"}
