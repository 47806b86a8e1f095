"""The simulated A/B test against the truth it draws from."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from ltexpo.data import IdMap
from ltexpo.data.synthetic.truth import Truth
from ltexpo.errors import TableError
from ltexpo.simulate import SimulateSettings, simulate

USERS = [f"u{n:04d}" for n in range(1_000)]
ATTRACTION = {"a": 0.30, "b": 0.20, "c": 0.10}
ITEMS = pd.DataFrame({"item_id": list("abc"), "title": list("ABC"), "price": [10.0, 20.0, 30.0]})
TIERS = pd.DataFrame({"item_id": list("abc"), "tier": ["head", "head", "new"]})


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Every user alike; slot 1 always examined, slot 2 half the time; half of the clicks end in a purchase."""
    return Truth(
        users=IdMap.of(USERS), items=IdMap.of(ATTRACTION), user_factors=np.zeros((len(USERS), 1), np.float32),
        item_factors=np.zeros((3, 1), np.float32), item_bias=logit(np.array(list(ATTRACTION.values()))),
        cart_bias=np.full(3, 40.0), cart_slope=0.0, purchase_given_cart=0.5, examination=np.array([1.0, 0.5]),
    )


def lists(first: str, second: str, users: list[str] = USERS) -> pd.DataFrame:
    return pd.DataFrame({
        "request_id": np.repeat(users, 2), "rank": [1, 2] * len(users), "item_id": [first, second] * len(users),
    })


def run(control: pd.DataFrame, treatment: pd.DataFrame, truth: Truth, seed: int = 1, days: int = 100):
    return simulate(control, treatment, truth, ITEMS, TIERS, SimulateSettings(days=days), rng=seed)


def test_metrics_lie_where_the_truth_puts_them(truth: Truth):
    experiment = run(lists("a", "b"), lists("a", "c"), truth)
    table = experiment.metrics.set_index("metric")
    # Control: 1 · 0.3 + 0.5 · 0.2 = 0.40 clicks a visit; treatment: 0.3 + 0.5 · 0.1 = 0.35.
    assert table.loc["clicks per visit", "control"] == pytest.approx(0.40, abs=0.015)
    assert table.loc["clicks per visit", "treatment"] == pytest.approx(0.35, abs=0.015)
    assert table.loc["click-through rate", "control"] == pytest.approx(0.20, abs=0.008)
    assert table.loc["tail share of exposure", "treatment"] == pytest.approx(0.5 / 1.5)
    assert table.loc["tail share of exposure", "control"] == 0
    assert table.loc["tail clicks per visit", "treatment"] == pytest.approx(0.05, abs=0.006)
    assert table.loc["purchases per visit", "control"] == pytest.approx(0.20, abs=0.01)
    assert table.loc["revenue per visit", "control"] == pytest.approx(0.5 * (0.3 * 10 + 0.1 * 20), abs=0.15)
    assert table.loc["clicks per visit", "low"] < -0.05 < table.loc["clicks per visit", "high"]
    assert experiment.facts["expected_clicks_per_visit"] == {
        "control": pytest.approx(0.40), "treatment": pytest.approx(0.35),
    }
    assert experiment.facts["expected_relative_clicks"] == pytest.approx(-0.125)
    assert "clicks per visit" in str(experiment)


def test_the_same_seed_gives_the_same_table_and_another_seed_another(truth: Truth):
    first, again, other = (run(lists("a", "b"), lists("b", "a"), truth, seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.metrics, again.metrics)
    assert not first.metrics.equals(other.metrics)


def test_the_order_of_rows_does_not_matter(truth: Truth):
    control = lists("a", "b")
    plain = run(control, lists("b", "a"), truth)
    shuffled = run(control.sort_values(["request_id", "rank"], ascending=False), lists("b", "a"), truth)
    pd.testing.assert_frame_equal(plain.metrics, shuffled.metrics)


def test_intervals_cover_the_effect_that_the_truth_implies(truth: Truth):
    covered = [
        row["relative_low"] <= -0.125 <= row["relative_high"]
        for seed in range(200)
        for row in [run(lists("a", "b"), lists("a", "c"), truth, seed, days=10).metrics.iloc[0]]
    ]
    # 200 runs: the standard error of a 95% rate is 1.5 points.
    assert np.mean(covered) > 0.90


def test_unlike_or_unusable_arms_are_refused(truth: Truth):
    with pytest.raises(TableError, match="hold different users: 'u0001' is in one only"):
        run(lists("a", "b"), lists("a", "b", ["u0000"]), truth)
    deep = pd.DataFrame({"request_id": "u0000", "rank": [1, 2, 3], "item_id": list("abc")})
    with pytest.raises(TableError, match=r"down to rank 3, but the truth knows the examination of 2 slots"):
        run(deep, deep, truth)
    with pytest.raises(TableError, match="'stranger' is unknown"):
        run(lists("a", "b", ["stranger"]), lists("a", "b", ["stranger"]), truth)
    with pytest.raises(TableError, match="fell into one arm"):
        run(lists("a", "b", ["u0000"]), lists("a", "b", ["u0000"]), truth)
