"""Everybody's totals in both arms' worlds → whether this experiment's own tests keep what they promise.

The users of the simulation are taken for the whole population, of whom each run draws a sample (with replacement) and
deals it to the arms anew. So the truth is known, and rejections, intervals, looks and power can be counted on the very
users, metrics and methods that the report speaks of.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri
from scipy.stats import beta

from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.foretold import less_foretold
from ltexpo.simulate.stats import Effect, always_valid, compare
from ltexpo.simulate.stats.power import Baseline, power

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

AA, COVERAGE, SEQUENCE, PEEKING, POWER = (
    "A/A rejections", "coverage of the interval", "false alarms, confidence sequence", "false alarms, plain test daily",
    "power",
)
"""The checks."""
MOST_USERS = 20_000
"""Of more users, so many are drawn as the population."""
_SURE = 0.999
"""A rate is called different from what was asked when its Clopper–Pearson interval of this level leaves that out."""
_POWER_ERROR = 0.02
"""Power may differ from the formula by this beyond chance: an effect also changes how the arms vary."""


@dataclass(frozen=True)
class Population:
    """One metric of N users: numerator and denominator in each world, before the test, and by day under the control."""

    control: tuple[Floats, Floats]
    """(N,) each."""
    treatment: tuple[Floats, Floats]
    before: tuple[Floats, Floats]
    days: tuple[Floats, Floats]
    """(D, N) each: totals up to and including each day."""


def certify(
    populations: Mapping[str, Population], *, share: float, level: float, runs: int, rng: int | np.random.Generator = 0
) -> pd.DataFrame:
    """One row per metric and check: check, metric, asked, got, low, high (of what was got), runs, passed, says.

    A/A: rejections when both arms show the control. Coverage: intervals that hold the effect between the two worlds.
    Peeking: A/A tests that are called different on any day, by the confidence sequence, and by looking at the plain
    interval every day, which must fail: `passed` says whether it does, which a metric of rare events need not show.
    Power: tests that find the effect, beside the formula. Fewer false alarms than asked and a higher coverage pass:
    they cost users, not truth. `share`: of users who are treated.
    """
    generator = np.random.default_rng(rng)
    rows = []
    for metric, population in populations.items():
        rows += _checks(metric, population, share, level, runs, generator)
    return pd.DataFrame(rows)


def _checks(
    metric: str, who: Population, share: float, level: float, runs: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    n = len(who.control[0])
    truth = compare(metric, _ratio(who.treatment, np.arange(n)), _ratio(who.control, np.arange(n)), paired=True,
                    level=level)
    rejected = covered = found = 0
    sequence = plain = 0
    alpha, quantile = 1 - level, float(ndtri(0.5 + level / 2))
    for _ in range(runs):
        drawn = rng.integers(0, n, n)
        treated, untreated = np.split(drawn, [round(share * n)])
        same = _test(metric, who.control, who, treated, untreated, level)
        rejected += bool(same.p_value < alpha)
        tested = _test(metric, who.treatment, who, treated, untreated, level)
        covered += bool(tested.low <= truth.difference <= tested.high)
        found += bool(tested.p_value < alpha)
        differences, errors = _looks(who.days, treated, untreated)
        plain += bool((np.abs(differences) > errors * quantile)[errors > 0].any())
        sequence += bool(always_valid(differences, errors, level=level)[2][-1] < alpha)
    expected = _expected_power(metric, who, truth, share, level, n)
    return [
        _row(AA, metric, alpha, rejected, runs),
        _row(COVERAGE, metric, level, covered, runs),
        _row(SEQUENCE, metric, alpha, sequence, runs),
        _row(PEEKING, metric, alpha, plain, runs),
        _row(POWER, metric, expected, found, runs),
    ]


def _test(
    metric: str, outcome: tuple[Floats, Floats], who: Population, treated: Codes, untreated: Codes, level: float
) -> Effect:
    """The experiment's own test on one sample."""
    arms = _ratio(outcome, treated, first=0), _ratio(who.control, untreated, first=len(treated))
    before = _ratio(who.before, treated), _ratio(who.before, untreated)
    return less_foretold(metric, arms[0], arms[1], before, level=level)


def _ratio(totals: tuple[Floats, Floats], rows: Codes, *, first: int = 0) -> Ratio:
    # A user drawn twice is two users of the sample.
    return Ratio.of(totals[0][rows], totals[1][rows], np.arange(first, first + len(rows)))


def _looks(days: tuple[Floats, Floats], treated: Codes, untreated: Codes) -> tuple[Floats, Floats]:
    """Difference of the ratios and its standard error after each day, (D,) each; 0 where there is nothing yet."""
    values, variances = [], []
    for rows in (treated, untreated):
        above, below = days[0][:, rows], days[1][:, rows]
        total = np.maximum(below.sum(axis=1), 1e-300)
        value = above.sum(axis=1) / total
        influence = (above - value[:, None] * below) / total[:, None]
        values.append(value)
        variances.append(len(rows) / (len(rows) - 1) * np.square(influence).sum(axis=1))
    known = (days[1][:, treated].sum(axis=1) > 0) & (days[1][:, untreated].sum(axis=1) > 0)
    return np.where(known, values[0] - values[1], 0.0), np.where(known, np.sqrt(variances[0] + variances[1]), 0.0)


def _expected_power(metric: str, who: Population, truth: Effect, share: float, level: float, n: int) -> float:
    # What CUPED leaves of each arm's deviation, from one test on everybody.
    everybody = np.arange(n)
    deviations = []
    for outcome in (who.treatment, who.control):
        both = Population(outcome, outcome, who.before, who.days)
        error = _test(metric, outcome, both, everybody, everybody, level).error
        deviations.append(error * np.sqrt(n / 2))
    if min(deviations) == 0:
        return float(truth.difference != 0)
    return float(power(
        Baseline(truth.control, deviations[1]), n, difference=truth.difference, treated=share,
        treatment_deviation=deviations[0], level=level,
    ))


def _row(check: str, metric: str, asked: float, hits: int, runs: int) -> dict[str, object]:
    tail = (1 - _SURE) / 2
    low = float(beta.ppf(tail, hits, runs - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, runs - hits)) if hits < runs else 1.0
    passed = {
        AA: low <= asked, SEQUENCE: low <= asked, COVERAGE: high >= asked, PEEKING: low > asked,
        POWER: low - _POWER_ERROR <= asked <= high + _POWER_ERROR,
    }[check]
    says = "as it must be" if passed else "NOT AS IT MUST BE"
    if check == PEEKING:
        says = "too many, which is why one must not look so" if passed else "not too many here"
    return {"check": check, "metric": metric, "asked": asked, "got": hits / runs, "low": low, "high": high,
            "runs": runs, "passed": passed, "says": says}
