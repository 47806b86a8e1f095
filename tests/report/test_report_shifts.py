import numpy as np
import pytest
from tiny_effects import effect_row

from ltexpo.report.shifts import Shift, shift_of, unit_of, value_of
from ltexpo.simulate.item_readings import GINI


def row(metric: str, control: float, treatment: float, error: float) -> dict[str, object]:
    return effect_row("treatment", "effect", "all", "all", metric, (control, treatment, error, error), 60)


@pytest.mark.parametrize(
    ("metric", "numbers", "told", "interval"),
    [
        # A share tells its difference, however small the control is.
        ("tail share of exposure", (0.0001, 0.0979, 0.0025), "+9.8 points", "+9.3 to +10.3 points"),
        ("tail share of exposure", (0.20, 0.35, 0.01), "+15.0 points", "+13.0 to +17.0 points"),
        ("coverage of the catalogue", (0.05, 0.20, 0.01), "+15.0 points", "+13.0 to +17.0 points"),
        # A rate and a count tell their relative change while there is something to relate to.
        ("clicks per visit", (1.0, 0.9, 0.01), "−10.0%", "−11.8% to −8.1%"),
        ("click-through rate", (0.1, 0.09, 0.001), "−10.0%", "−11.8% to −8.1%"),
        # Next to nothing before: a difference; of rates in points, of others in their own unit.
        ("tail clicks per visit", (0.0, 0.05, 0.01), "+0.0500", "+0.0304 to +0.0696"),
        ("tail clicks per visit", (0.001, 0.05, 0.0001), "+0.0490", "+0.0488 to +0.0492"),
        ("conversion", (0.0, 0.05, 0.01), "+5.0 points", "+3.0 to +7.0 points"),
        (GINI, (0.99, 0.98, 0.001), "−0.0100", "−0.0120 to −0.00804"),
    ],
)
def test_units(metric: str, numbers: tuple[float, float, float], told: str, interval: str) -> None:
    shift = shift_of(row(metric, *numbers))
    assert (shift.told, shift.interval) == (told, interval)


def test_two_readings_of_a_metric_share_a_unit() -> None:
    sharp, blunt = row("value per user", 1.0, 1.1, 0.01), row("value per user", 0.0, 1.1, 0.5)
    assert unit_of([sharp]) == "percent"
    assert unit_of([sharp, blunt]) == "own"


def test_what_is_not_known() -> None:
    nothing = Shift(np.nan, np.nan, np.nan, "percent")
    assert (nothing.told, nothing.interval, nothing.known, nothing.sure) == ("–", "no interval", False, False)
    unbounded = Shift(0.5, -np.inf, np.inf, "percent")
    assert (unbounded.known, unbounded.bounded, unbounded.interval) == (True, False, "no interval")


def test_values() -> None:
    assert value_of("day-7 retention", 0.28994) == "28.99%"
    assert value_of("clicks per visit", 1.0961787) == "1.096"
