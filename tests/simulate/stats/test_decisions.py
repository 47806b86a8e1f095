"""Sample ratio, corrections for many tests, guardrails and the verdict."""

import dataclasses

import numpy as np
import pytest
import tea_tasting as tt
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import (
    benjamini_hochberg,
    compare,
    guard,
    holm,
    sample_ratio,
    sample_ratio_sequence,
    verdict,
)
from ltexpo.simulate.stats.effect import Effect


def made(relative: float, half: float, metric: str = "clicks", n: int = 1000) -> Effect:
    """An effect on a control of 2 with a given relative interval, ± `half`, symmetric for the sake of the hand."""
    error = 2 * half / 1.96
    return Effect(
        metric, 2.0, 2 * (1 + relative), error / 2**0.5, error / 2**0.5, 2 * relative, error, 2 * (relative - half),
        2 * (relative + half), relative, relative - half, relative + half,
        float(2 * stats.norm.sf(abs(2 * relative) / error)), n, n, 0.95, "by hand",
    )


def test_the_sample_ratio_is_pearsons_and_tea_tastings():
    found = sample_ratio({"control": 5050, "treatment": 4950})
    assert found.p_value == pytest.approx(stats.chi2.sf(2 * 50**2 / 5000, 1))
    assert found.ok
    data = {"variant": np.repeat([0, 1], [5050, 4750])}
    import pyarrow as pa

    theirs = tt.Experiment(srm=tt.SampleRatio(method="norm", correction=False)).analyze(pa.table(data))
    assert sample_ratio({"a": 5050, "b": 4750}).p_value == pytest.approx(theirs["srm"].pvalue)


def test_any_number_of_arms_with_their_shares():
    counts, shares = {"a": 800, "b": 110, "c": 90}, {"a": 0.8, "b": 0.1, "c": 0.1}
    assert sample_ratio(counts, shares).p_value == pytest.approx(stats.chi2.sf(100 / 100 + 100 / 100, 2))
    broken = sample_ratio({"a": 1000, "b": 0})
    assert not broken.ok
    assert "BROKEN" in str(broken)
    assert list(broken.to_pandas()["expected"]) == [500, 500]


def test_the_split_is_accused_rarely_and_a_mismatch_found():
    rng = np.random.default_rng(0)
    sound = rng.binomial(1_000_000, 0.5, 3_000)
    accused = np.mean([not sample_ratio({"a": int(n), "b": 1_000_000 - int(n)}).ok for n in sound])
    assert accused <= 0.0033
    tilted = rng.binomial(1_000_000, 0.505, 500)
    assert all(not sample_ratio({"a": int(n), "b": 1_000_000 - int(n)}).ok for n in tilted)


def test_the_running_sample_ratio_stays_valid_and_finds_a_mismatch():
    rng = np.random.default_rng(1)

    def ever(share: float) -> float:
        count = rng.binomial(2_000, share, (1_000, 50)).cumsum(axis=1)
        total = 2_000 * np.arange(1, 51)
        return np.mean([sample_ratio_sequence(np.stack([n, total - n], 1))[-1] < 0.05 for n in count])

    assert ever(0.5) <= 0.05
    assert ever(0.51) > 0.95


def test_the_running_sample_ratio_is_the_dirichlet_bayes_factor():
    # One user in arm a, Dirichlet(2, 2): the predictive chance of a is 1/2, that of the null 1/2, so the factor is 1;
    # after a second one in a: 1/2 · 3/5 against 1/4.
    p = sample_ratio_sequence([[1, 0], [2, 0]], concentration=4.0)
    assert p == pytest.approx([1.0, 0.25 / 0.3])


@pytest.mark.parametrize(("counts", "shares", "error", "says"), [
    ({"a": 5}, None, ConfigError, "at least two arms; found a"),
    ({"a": 0, "b": 0}, None, TableError, "Count the users"),
    ({"a": 5, "b": 5}, {"a": 0.5, "c": 0.5}, ConfigError, "shares are of a, c, users of a, b"),
    ({"a": 5, "b": 5}, {"a": 0.5, "b": 0.6}, ConfigError, "add up to 1"),
])
def test_bad_splits_are_refused(counts: dict, shares: dict, error: type, says: str):
    with pytest.raises(error, match=says):
        sample_ratio(counts, shares)


@pytest.mark.parametrize("seed", range(5))
def test_corrections_are_statsmodels(seed: int):
    p = np.random.default_rng(seed).random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])


def test_what_could_not_be_tested_is_not_counted():
    p = [0.01, np.nan, 0.04]
    assert holm(p) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert benjamini_hochberg(p) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert np.isnan(benjamini_hochberg([np.nan])).all()
    with pytest.raises(TableError, match="0 to 1"):
        holm([0.2, 1.2])


@pytest.mark.parametrize(("relative", "half", "higher", "state"), [
    (0.00, 0.005, True, "held"), (-0.004, 0.005, True, "held"), (-0.007, 0.005, True, "open"),
    (-0.02, 0.005, True, "broken"), (0.02, 0.005, False, "broken"), (0.02, 0.005, True, "held"),
    (0.02, 0.015, False, "open"),
])
def test_a_guardrail_is_judged_by_the_bound_on_its_bad_side(relative: float, half: float, higher: bool, state: str):
    assert guard(made(relative, half), margin=0.01, higher_is_better=higher).state == state


def test_a_guardrail_on_its_margin_is_passed_at_most_by_chance():
    # True loss of exactly the margin: one-sided 2.5%.
    rng = np.random.default_rng(0)
    users, held = np.arange(400), []
    for _ in range(2_000):
        values = rng.gamma(2, 1, 400) * np.where(users < 200, 0.9, 1.0)
        effect = compare("m", Ratio.mean(values[:200], users[:200]), Ratio.mean(values[200:], users[200:]))
        held.append(guard(effect, margin=0.1).state == "held")
    # The standard error of 2.5% is 0.35 points.
    assert 0.015 < np.mean(held) < 0.035


def test_an_unknown_guardrail_is_open_and_says_why():
    empty = compare("ctr", Ratio.of([0.0], [0.0], np.array(["a"])), Ratio.mean([1.0, 2.0], np.array(["b", "c"])))
    rail = guard(empty, margin=0.01)
    assert rail.state == "open"
    assert "nothing to divide by" in rail.reason
    with pytest.raises(ConfigError, match="relative loss"):
        guard(empty, margin=1.5)


def test_ship_needs_a_gain_proven_and_every_guardrail_held():
    rails = [guard(made(0.0, 0.005, "retention"), margin=0.01)]
    split = sample_ratio({"a": 1000, "b": 1000})
    found = verdict(made(0.05, 0.02), rails, split)
    assert str(found) == (
        "SHIP: clicks (+5.00%, +3.00% to +7.00%) is proven better, every guardrail holds."
    )
    assert verdict(made(-0.05, 0.02), rails, split, higher_is_better=False).decision == "SHIP"


def test_stop_for_a_broken_split_a_broken_guardrail_or_a_proven_loss():
    gain = made(0.05, 0.02)
    split = verdict(gain, [], sample_ratio({"a": 1000, "b": 1200}))
    assert split.decision == "STOP"
    assert "the split is broken" in split.reason
    rail = verdict(gain, [guard(made(-0.05, 0.01, "retention"), margin=0.01)])
    assert rail.decision == "STOP"
    assert rail.reason.startswith("retention is worse by more than its margin of 1.00%")
    loss = verdict(made(-0.05, 0.02), [])
    assert (loss.decision, "proven worse" in loss.reason) == ("STOP", True)


def test_hold_says_how_many_more_users_would_decide():
    # Seen +1% ± 2%: to be proven with chance 80%, (1.96 + 0.8416)² / 1.96² · (2% / 1%)² = 8.173 times as many.
    found = verdict(made(0.01, 0.02), days=10)
    assert found.decision == "HOLD"
    times = ((1.96 + stats.norm.ppf(0.8)) * (0.02 / 1.96) / 0.01) ** 2
    assert found.more_users == int(np.ceil((times - 1) * 2000))
    assert found.more_days == int(np.ceil((times - 1) * 10))
    assert f"about {found.more_users:,} more users ({found.more_days} days) would decide" in found.reason


def test_hold_at_the_number_said_decides_as_often_as_said():
    found = verdict(made(0.02, 0.02 * 1.2), days=10)
    times = 1 + found.more_users / 2000
    error = 0.02 * 1.2 / 1.96 / times**0.5
    assert stats.norm.sf(1.96 - 0.02 / error) == pytest.approx(0.8, abs=0.005)


def test_hold_for_a_guardrail_that_is_open_counts_its_users():
    gain, rail = made(0.05, 0.02), guard(made(0.0, 0.02, "retention"), margin=0.01)
    found = verdict(gain, [rail])
    times = ((1.96 + stats.norm.ppf(0.8)) * (0.02 / 1.96) / 0.01) ** 2
    assert found.decision == "HOLD"
    assert found.more_users == int(np.ceil((times - 1) * 2000))


def test_hold_without_an_effect_has_no_number():
    found = verdict(made(-0.001, 0.02))
    assert (found.decision, found.more_users) == ("HOLD", None)
    assert "no affordable number of users" in found.reason
    planned = verdict(made(-0.001, 0.02), worth=0.02)
    assert planned.more_users is not None


def test_an_unknown_primary_metric_holds():
    unknown = dataclasses.replace(made(0.0, 0.1), difference=np.nan, low=np.nan, high=np.nan, note="no impressions")
    found = verdict(unknown)
    assert found.decision == "HOLD"
    assert "no impressions" in found.reason
