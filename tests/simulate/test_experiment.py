"""The simulated A/B test against the truth it draws from."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from tiny_experiment import ITEMS, TIERS, environment, lists

from ltexpo.config import documented_yaml
from ltexpo.errors import ConfigError, InputError, TableError
from ltexpo.simulate import Experiment, ExperimentResult, ExperimentSettings, KnownEnvironment
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.definitions import DEFINITIONS
from ltexpo.simulate.foretold import LEAST_USERS
from ltexpo.simulate.item_readings import SELLERS
from ltexpo.simulate.readings import METRICS

ALIKE = BehaviourSettings(
    visits_per_day=0.5, activity_spread=0.0, fatigue=0.0, return_strength=0.0, leave_per_day=0.0,
)


def run(control, treatment, seed: int = 1, *, n: int = 1_000, **settings) -> ExperimentResult:
    chosen = ExperimentSettings(**{"behaviour": ALIKE, "days": 30, "before_days": 0} | settings)
    return Experiment(chosen).simulate(control, treatment, environment(n), items=ITEMS, tiers=TIERS, rng=seed)


def rows(result: ExperimentResult, reading: str) -> pd.DataFrame:
    table = result.effects
    return table[(table["reading"] == reading) & (table["by"] == "all")].set_index("metric")


def test_metrics_lie_where_the_truth_puts_them():
    result = run(lists("a", "b"), lists("a", "c"), days=100)
    for reading in ("effect", "test"):
        table = rows(result, reading)
        # Control: 1 · 0.3 + 0.5 · 0.2 = 0.40 clicks a visit; treatment: 0.3 + 0.5 · 0.1 = 0.35.
        assert table.loc["clicks per visit", "control"] == pytest.approx(0.40, abs=0.015)
        assert table.loc["clicks per visit", "treatment"] == pytest.approx(0.35, abs=0.015)
        assert table.loc["click-through rate", "control"] == pytest.approx(0.20, abs=0.008)
        assert table.loc["tail share of exposure", "treatment"] == pytest.approx(0.5 / 1.5)
        assert table.loc["tail share of exposure", "control"] == 0
        assert table.loc["tail clicks per visit", "treatment"] == pytest.approx(0.05, abs=0.006)
        assert table.loc["conversion", "control"] == pytest.approx(0.5, abs=0.02)
        assert table.loc["revenue per visit", "control"] == pytest.approx(0.5 * (0.3 * 10 + 0.1 * 20), abs=0.15)
        assert table.loc["visits per user", "control"] == pytest.approx(50, rel=0.02)
        # A Poisson of 0.5 is above 0 with probability 1 − e^−0.5, whatever happened the day or week before.
        assert table.loc["day-1 retention", "control"] == pytest.approx(1 - np.exp(-0.5), abs=0.01)
        assert table.loc["day-7 retention", "control"] == pytest.approx(1 - np.exp(-0.5), abs=0.01)
        assert table.loc["clicks per visit", "low"] < -0.05 < table.loc["clicks per visit", "high"]
    assert "clicks per visit" in str(result) and "what the lists do" in str(result)


def test_the_same_seed_gives_the_same_tables_and_another_seed_another():
    first, again, other = (run(lists("a", "b"), lists("b", "a"), seed) for seed in (3, 3, 4))
    for name in ("effects", "looks", "days", "items"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
    assert not first.effects.equals(other.effects)


def test_the_order_of_rows_does_not_matter():
    control = lists("a", "b")
    plain = run(control, lists("b", "a"))
    shuffled = run(control.sort_values(["request_id", "rank"], ascending=False), lists("b", "a"))
    pd.testing.assert_frame_equal(plain.effects, shuffled.effects)


def test_intervals_of_the_test_cover_the_effect_that_the_truth_implies():
    covered = sum(
        row["relative_low"] <= -0.125 <= row["relative_high"]
        for seed in range(60)
        for row in [rows(run(lists("a", "b"), lists("a", "c"), seed, days=2), "test").loc["clicks per visit"]]
    )
    assert binomtest(covered, 60, 0.95).pvalue > 0.001


def test_twins_share_chance_so_that_equal_arms_are_equal_and_the_effect_is_sharper_than_the_test():
    same = run(lists("a", "b"), lists("a", "b"))
    assert (rows(same, "effect")["difference"] == 0).all()
    assert (rows(same, "test")["difference"] != 0).any()
    result = run(lists("a", "b"), lists("a", "c"))
    sharper = (rows(result, "test").loc["clicks per visit", "error"]
               / rows(result, "effect").loc["clicks per visit", "error"]) ** 2
    assert sharper > 5


def test_several_arms_and_shares_of_users():
    arms = {"boost": lists("a", "c"), "same": lists("a", "b")}
    result = run(lists("a", "b"), arms, shares={"control": 0.5, "boost": 0.3, "same": 0.2})
    assert list(result.verdicts) == ["boost", "same"]
    assert result.facts["users"]["boost"] == pytest.approx(300, abs=60)
    assert sum(result.facts["users"].values()) == 1_000
    assert result.verdicts["same"]["decision"] != "SHIP"


def test_a_boost_that_loses_too_many_clicks_is_stopped_and_one_that_does_not_ships():
    given = {"guardrails": {"clicks per visit": 0.05}, "days": 60}
    stopped = run(lists("a", "b"), lists("c", "b"), **given).verdicts["treatment"]
    assert stopped["decision"] == "STOP" and "clicks per visit" in stopped["reason"]
    tolerant = run(lists("a", "b"), lists("a", "c"), guardrails={"clicks per visit": 0.3}, days=60)
    assert tolerant.verdicts["treatment"]["decision"] == "SHIP"


def test_item_tables_add_up_to_what_users_saw():
    result = run(lists("a", "b"), lists("a", "c"))
    items = result.items.set_index(["arm", "item_id"])
    assert items.loc[("control", "c"), "impressions"] == 0
    assert items.loc[("treatment", "c"), "impressions"] == items.loc[("treatment", "a"), "impressions"]
    assert items.loc[("treatment", "c"), "exposure"] == items.loc[("treatment", "c"), "impressions"] / 2
    assert items.loc["control", "clicks"].sum() == result.days.query("arm == 'control'")["clicks"].sum()


class Alternating:
    """A recommender that shows what was clicked least so far in second place."""

    def __init__(self) -> None:
        self.logs: list[pd.DataFrame] = []

    def __call__(self, day: int, log: pd.DataFrame | None) -> pd.DataFrame:
        if log is None:
            return lists("a", "b")
        self.logs.append(log)
        clicks = log.groupby("item_id")["clicked"].sum()
        return lists("a", "c" if clicks.get("c", 0) < clicks["b"] else "b")


def test_arms_are_retrained_on_their_own_log_or_on_that_of_all():
    own = Alternating()
    result = run(lists("a", "b"), own, retrain_every=10)
    assert len(own.logs) == 2
    treated = result.items.query("arm == 'treatment'").set_index("item_id")
    assert treated.loc["c", "impressions"] > 0
    # The log of the first ten days is in the log of the first twenty.
    assert own.logs[1]["shown"].sum() > own.logs[0]["shown"].sum()
    shared = Alternating()
    both = run(lists("a", "b"), shared, retrain_every=10, log="shared")
    assert set(both.effects["reading"]) == {"test"}
    assert set(both.effects["reading"]) != set(result.effects["reading"])
    # In one shop with one log, all users together saw as much as the users of one arm in a world of its own.
    assert shared.logs[0]["shown"].sum() == pytest.approx(own.logs[0]["shown"].sum(), rel=0.02)


def test_looks_are_valid_at_every_day_and_wider_than_for_one_look():
    looks = run(lists("a", "b"), lists("a", "c")).looks
    clicks = looks[looks["metric"] == "clicks per visit"]
    assert list(clicks["day"]) == list(range(1, 31))
    assert (clicks["low"] < clicks["fixed_low"]).all() and (clicks["fixed_high"] < clicks["high"]).all()


def test_segments_and_tiers_are_adjusted_as_everybody_is_and_looks_say_which_values_are():
    ids = pd.Index([f"u{n:05}" for n in range(1_000)])
    segments = pd.DataFrame({"whole": "all of them", "part": ["few"] * 60 + ["many"] * 940}, index=ids)
    behaviour = ALIKE.model_copy(update={"activity_spread": 1.0})
    settings = ExperimentSettings(behaviour=behaviour, days=10, before_days=10)
    result = Experiment(settings).simulate(
        lists("a", "b"), lists("a", "c"), environment(1_000), items=ITEMS, tiers=TIERS, segments=segments, rng=1,
    )
    test = result.effects.query("reading == 'test'")
    numbers = ["control", "treatment", "difference", "error", "low", "high", "p_value"]
    whole, everybody = (test[test["by"] == by].set_index("metric")[numbers] for by in ("whole", "all"))
    pd.testing.assert_frame_equal(whole, everybody.loc[whole.index])
    heads = test[(test["by"] == "item tier") & (test["segment"] == "head")].set_index("metric")
    assert "CUPED" in heads.loc["clicks per visit", "method"]
    visits = test[(test["metric"] == "visits per user") & (test["by"] == "part")].set_index("segment")
    assert "CUPED" in visits.loc["many", "method"] and "CUPED" not in visits.loc["few", "method"]
    assert visits.loc["few", ["n_control", "n_treatment"]].min() < LEAST_USERS
    last = result.looks.query("day == 10").set_index("metric")
    for column in ("control", "treatment", "difference"):
        assert last.loc["visits per user", column] == everybody.loc["visits per user", column]
    adjusted = last["treatment_adjusted"] - last["control_adjusted"]
    pd.testing.assert_series_equal(adjusted, last["difference"], check_names=False)
    assert last.loc["visits per user", "control_adjusted"] != last.loc["visits per user", "control"]


def test_unlike_or_unusable_arms_are_refused():
    with pytest.raises(TableError, match=r"treatment: 9.. of 1000 users have no list"):
        run(lists("a", "b"), lists("a", "b", ["u00000"]))
    with pytest.raises(TableError, match="takes no part in the experiment"):
        run(lists("a", "b", ["u00000", "u00001"]), lists("a", "b"))
    deep = pd.DataFrame({"request_id": "u00000", "rank": [1, 2, 3], "item_id": list("abc")})
    with pytest.raises(TableError, match=r"down to rank 3, but the environment knows the examination of 2 slots"):
        run(deep, deep)
    with pytest.raises(TableError, match="'stranger' is unknown"):
        run(lists("a", "b", ["stranger"]), lists("a", "b", ["stranger"]))
    with pytest.raises(TableError, match="none fell into arm"):
        run(lists("a", "b", ["u00000"]), lists("a", "b", ["u00000"]))
    with pytest.raises(TableError, match="item_id 'z' is not in items"):
        run(lists("a", "b"), lists("a", "z"))
    holes = lists("a", "b").assign(rank=lambda frame: frame["rank"] * 2)
    with pytest.raises(TableError, match="holes"):
        run(holes, holes)
    with pytest.raises(ConfigError, match="is no metric that can be"):
        run(lists("a", "b"), lists("a", "b"), primary="happiness")
    with pytest.raises(ConfigError, match="Give every arm one"):
        run(lists("a", "b"), lists("a", "b"), shares={"control": 0.5, "boost": 0.5})


def test_small_segments_are_merged_and_said():
    lists_ = lists("a", "b"), lists("a", "c")
    names = [f"u{number:05d}" for number in range(1_000)]
    tenure = np.where(np.arange(1_000) < 990, "earlier", "new")
    segments = pd.DataFrame({"tenure": tenure, "activity": ["low", "high"] * 500}, index=names)

    def told(**settings) -> ExperimentResult:
        chosen = ExperimentSettings(behaviour=ALIKE, days=5, before_days=0, **settings)
        return Experiment(chosen).simulate(
            *lists_, environment(), items=ITEMS, tiers=TIERS, segments=segments, rng=1
        )

    result = told()
    found = result.effects.groupby("by")["segment"].unique()
    assert list(found["tenure"]) == ["earlier + new"]
    assert sorted(found["activity"]) == ["high", "low"]
    assert result.facts["merged_segments"] == {"tenure": ["earlier", "new"]}
    assert "fewer than 20 users in an arm are merged: tenure: earlier, new." in str(result)
    apart = told(least_users=1)
    assert set(apart.effects.loc[apart.effects["by"] == "tenure", "segment"]) == {"earlier", "new"}
    assert apart.facts["merged_segments"] == {} and "merged" not in str(apart)


def test_what_python_passes_wrongly_is_named_with_its_mend():
    with pytest.raises(ConfigError, match=r"primary: 'click per visit' is no .* Did you mean 'clicks per visit'"):
        ExperimentSettings(primary="click per visit")
    with pytest.raises(ConfigError, match="guardrails: 'joy' is no metric"):
        ExperimentSettings(guardrails={"joy": 0.1})
    known = environment(10)
    assert isinstance(known, KnownEnvironment)
    arms = lists("a", "b", [f"u{n:05}" for n in range(10)])

    def simulate(world: object, **given: object) -> None:
        Experiment(ExperimentSettings(days=1)).simulate(arms, arms, world, items=ITEMS, tiers=TIERS, **given)  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"Give KnownEnvironment\(truth\)"):
        simulate(known.truth)
    with pytest.raises(ConfigError, match="a dict, which lacks examination, clicks"):
        simulate({})
    with pytest.raises(InputError, match=r"shape \(3,\) for 10 users"):
        simulate(known, activity=np.ones(3))
    with pytest.raises(InputError, match="activity in row 4 is -1"):
        simulate(known, activity=np.where(np.arange(10) == 4, -1.0, 1.0))


def test_every_metric_that_is_read_is_defined_once():
    read = set(run(lists("a", "b"), lists("a", "c"), days=9).effects.query("by == 'all'")["metric"])
    assert read <= set(DEFINITIONS) and set(DEFINITIONS) - read <= {SELLERS}  # these items have no sellers
    settings = documented_yaml(ExperimentSettings)
    assert all(f"#   {name}: {metric.meaning}\n" in settings for name, metric in METRICS.items())
    assert all(DEFINITIONS.values())
