"""Effective sample size, the weights' tail and the refusals."""

import numpy as np
import pytest
from scipy.stats import genpareto

from ltexpo.metrics.intervals import Estimate
from ltexpo.simulate.ope import OpeResult, OpeSettings, Row, disagreement
from ltexpo.simulate.ope.diagnostics import diagnose, missing_share, refusal
from ltexpo.simulate.ope.pareto import pareto_k

SETTINGS = OpeSettings()


def of(weights: list[float] | np.ndarray, rewarded: float = 1.0, missing: float = 0.4) -> str | None:
    values = np.asarray(weights, dtype=float)
    found = diagnose(values, np.full(len(values), rewarded), np.arange(len(values)), requests=len(values), level=0.95)
    return refusal(found, missing, SETTINGS)


def test_effective_sample_size_by_hand():
    weights = np.array([3.0, 1.0, 0.0, 0.0])
    found = diagnose(weights, np.array([1.0, 0.0, 1.0, 0.0]), np.arange(4), requests=2, level=0.95)
    assert found.effective == pytest.approx(16 / 10 * 2 / 4)
    assert found.rewarded == pytest.approx(1)
    assert found.largest == 3
    assert found.mean_weight.value == 1


@pytest.mark.parametrize("shape", [0.2, 0.7, 1.2])
def test_the_shape_of_a_known_tail_is_found(shape: float):
    draws = np.array([
        pareto_k(1 + genpareto.rvs(shape, size=4000, random_state=np.random.default_rng([seed, 9])))
        for seed in range(20)
    ])
    assert draws.mean() == pytest.approx(shape, abs=0.1)


def test_tails_that_tell_nothing():
    assert np.isnan(pareto_k(np.ones(10)))
    assert pareto_k(np.ones(1000)) == -np.inf
    assert np.isnan(pareto_k(np.zeros(1000)))


def test_each_refusal_has_its_reason():
    rng = np.random.default_rng(0)
    assert of(rng.uniform(0.5, 1.5, 1000)) is None
    assert "effective sample size 90.0, below 100" in str(of(np.ones(90)))
    assert "the weights' mean is 0.50 (" in str(of(np.linspace(0, 1, 1000)))
    assert "40.0% of it was never shown at that rank" in str(of(np.linspace(0, 1, 1000)))
    nearly_all = str(of(np.linspace(0, 1, 1000), missing=0.0))
    assert "its propensities are wrong, or there are users to whom" in nearly_all and "0.0%" not in nearly_all
    heavy = np.quantile(genpareto(0.8).rvs(10**6, random_state=rng), (np.arange(20_000) + 0.5) / 20_000)
    assert "too heavy: Pareto k 0." in str(of(heavy / heavy.mean()))
    assert "0.0 effective rewarded slots, below 10" in str(of(rng.uniform(0.5, 1.5, 1000), rewarded=0.0))


def test_missing_share_by_hand():
    # two groups of one rank: the first shows a seen item always, the second half of the time
    got = missing_share(
        np.array([True, True, False]), np.array([1.0, 0.5, 0.5]), np.array([0, 1, 3]), np.array([[1.0], [3.0]])
    )
    assert got == pytest.approx(3 / 4 * 0.5)


def result(*rows: Row) -> OpeResult:
    return OpeResult(rows, Estimate(1.0, 0.1, 0.8, 1.2, 9, 9), 0.0, 9, 9, False, 0.95, "click")


def row(name: str, value: float, half: float, verdict: str = "ok") -> Row:
    found = Estimate(value, half / 1.96, value - half, value + half, 9, 9)
    return Row(name, "its own item", found, found, None, verdict)


def test_disagreement_needs_more_than_both_intervals():
    simulated = Estimate(1.0, 0.1, 0.7, 1.3, 9, 9)  # half 0.3; with 0.4 the joint half is 0.5
    assert disagreement(simulated, result(row("dr", 1.49, 0.4))) is None
    said = str(disagreement(simulated, result(row("dr", 1.51, 0.4), row("ips", 1.0, 0.4))))
    assert "simulated 1 (0.7 to 1.3), off-policy dr 1.51 (1.11 to 1.91); 1 of 2" in said
    assert disagreement(simulated, result(row("dr", 9.0, 0.4, "cannot say: why"))) is None


def test_a_reason_is_printed_once_and_refused_numbers_are_not():
    shown = result(row("ips", 123.0, 1, "cannot say: why"), row("dr", 2, 9), row("dm", 456.0, 1, "cannot say: why"))
    assert shown.refused == {"why": ["ips", "dm"]}
    lines = str(shown).split("\n")
    assert lines[-1] == "ips, dm cannot say: why"
    assert "← stands for the whole" in lines[2]
    assert "123" not in str(shown) and "456" not in str(shown)
    nobody = str(result(row("ips", 123.0, 1, "cannot say: why")))
    assert nobody.split("\n") == ["clicks per list, 9 lists; the log's own: 1 (0.8 to 1.2)", "ips cannot say: why"]


def test_the_headline_is_fixed_beforehand():
    assert result(row("ips", 1, 1), row("dr", 2, 9)).headline.estimator == "dr"
    assert result(row("ips", 1, 1), row("dr", 2, 9, "cannot say: why")).headline.estimator == "ips"
    assert result(row("dm", 1, 1)).headline is None
