"""An effect's row → its change and interval in the unit that reads best: points, percent, or the metric's own."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.report.simulated import Row
from ltexpo.report.words import NONE, change, changes_to, digits_for, number, percent, points, points_to, signed
from ltexpo.simulate.item_readings import COVERAGE, GINI, SELLERS
from ltexpo.simulate.stats.effect import tells_relative

Unit = Literal["points", "percent", "own"]
_SHARES = ("share of", COVERAGE, SELLERS)
_RATES = (*_SHARES, "rate", "retention", "conversion")


@dataclass(frozen=True)
class Shift:
    """Treatment − control of one metric: a difference of shares, a share of the control, or a plain difference."""

    value: float
    low: float
    high: float
    unit: Unit

    @property
    def known(self) -> bool:
        """Whether there is anything to tell."""
        return bool(np.isfinite(self.value))

    @property
    def bounded(self) -> bool:
        """Whether it has an interval."""
        return bool(np.isfinite([self.value, self.low, self.high]).all())

    @property
    def sure(self) -> bool:
        """Whether the interval keeps clear of zero."""
        return self.low > 0 or self.high < 0

    @property
    def told(self) -> str:
        """+9.8 points, −2.5%, or +0.0498."""
        if not self.known:
            return NONE
        if self.unit == "own":
            return plus(self.value)
        digits = digits_for(self.value, self.low, self.high)
        return (points if self.unit == "points" else change)(self.value, digits=digits)

    @property
    def interval(self) -> str:
        """+9.3 to +10.2 points."""
        if not self.bounded:
            return "no interval"
        if self.unit == "own":
            return f"{plus(self.low)} to {plus(self.high)}"
        digits = digits_for(self.value, self.low, self.high)
        return (points_to if self.unit == "points" else changes_to)(self.low, self.high, digits=digits)


def shift_of(row: Row, unit: Unit | None = None) -> Shift:
    """The change of a row of effects, in `unit` or in the one that suits it."""
    chosen = unit or unit_of([row])
    if chosen == "percent":
        return Shift(row["relative"], row["relative_low"], row["relative_high"], chosen)
    return Shift(row["difference"], row["low"], row["high"], chosen)


def unit_of(rows: Iterable[Row]) -> Unit:
    """The unit for several effects on one metric: points for shares; percent, but not of next to nothing."""
    held = list(rows)
    if all(is_share(str(row["metric"])) for row in held):
        return "points"
    if all(row["metric"] == GINI for row in held):
        return "own"
    asked = [row for row in held if np.isfinite(row["difference"])]
    relative = all(tells_relative(row["relative"], row["relative_low"], row["relative_high"]) for row in asked)
    if relative:
        return "percent"
    return "points" if all(is_rate(str(row["metric"])) for row in held) else "own"


def is_share(metric: str) -> bool:
    """Whether a metric is a share of a whole, whose change is a difference in points."""
    return any(words in metric for words in _SHARES)


def is_rate(metric: str) -> bool:
    """Whether a metric's values are written as percentages."""
    return any(words in metric for words in _RATES)


def value_of(metric: str, value: float) -> str:
    """A value of a metric."""
    return percent(value, digits=2) if is_rate(metric) else number(value)


def mark(value: float) -> str:
    """A round number on an axis of differences."""
    return signed(f"{value:+.4g}")


def plus(value: float) -> str:
    """A number with its sign."""
    return f"+{number(value, digits=3)}" if value > 0 else number(value, digits=3)
