import numpy as np
import pytest

from ltexpo.simulate.stats import Effects
from ltexpo.simulate.stats.effect import Spread, cannot_say, effect
from ltexpo.simulate.stats.power import Baseline, detectable, power
from ltexpo.simulate.stats.verdict import verdict
from ltexpo.simulate.stats.words import change, p_told, plus

COUNTS = (2_000, 2_000)
SPREAD = Spread(0.001**2, 0.0001**2, 0.0, 1e6)


def test_next_to_nothing_is_told_as_a_difference() -> None:
    rare = effect("tail share", 0.098, 0.0002, Spread(0.001**2, 0.00002**2, 0.0, 1e6), counts=COUNTS, level=0.95,
                  method="m")
    assert rare.relative == pytest.approx(489)
    assert np.isfinite([rare.relative_low, rare.relative_high]).all()
    assert not rare.tells_relative
    assert "%" not in str(rare)
    assert "(+0.0978, +0.0958 to +0.0998)" in verdict(rare).reason
    usual = effect("clicks", 1.1, 1.0, Spread(0.01**2, 0.01**2, 0.0, 1e6), counts=COUNTS, level=0.95, method="m")
    assert usual.tells_relative
    assert "+10.00%" in str(usual)


def test_columns_stay_apart() -> None:
    effects = Effects((
        effect("value per user", 123456.5, 98765.5, Spread(9000.0**2, 8000.0**2, 0.0, 1e6), counts=COUNTS, level=0.95,
               method="m"),
        effect("tail share", 0.098, 0.0, SPREAD, counts=COUNTS, level=0.95, method="m"),
        cannot_say("conversion", "nobody clicked", counts=COUNTS, level=0.95, method="m"),
    ))
    head, first, second, third, key = str(effects).split("\n")
    starts = [head.index(name) + len(name) for name in ("control", "treatment", "change, %")]
    for line in (first, second):
        for end in starts:
            assert line[end - 1] != " "
            assert line[end] == " "
        assert line.index(" to ") > starts[-1]
    assert third == "conversion      cannot say: nobody clicked"
    assert "98,766" in first and "+25.00%" in first and second.endswith("<0.001")
    # the one change that is no percentage is marked, and the mark explained
    assert "+0.098*" in second and "%" not in second and key.startswith("* treatment − control")


def test_no_minus_zero_and_no_p_of_zero() -> None:
    assert [change(value) for value in (-1e-6, 0.0, -0.0001, 0.025)] == ["0.00%", "0.00%", "-0.01%", "+2.50%"]
    assert [plus(value) for value in (-0.0, -1e-9, 0.5)] == ["0", "-1e-09", "+0.5"]
    assert [p_told(value) for value in (0.0, 1e-103, 0.00099, 0.001, 0.0537, 1.0, float("nan"))] == [
        "<0.001", "<0.001", "<0.001", "0.001", "0.054", "1.000", "",
    ]


@pytest.mark.parametrize("users", [60, 4_000, 1_000_000])
def test_a_detectable_effect_is_found_as_often_as_asked(users: int) -> None:
    baseline = Baseline(0.1, 0.5)
    difference, relative = detectable(baseline, users)
    assert float(power(baseline, users, difference=difference)) == pytest.approx(0.8, abs=1e-6)
    assert relative == pytest.approx(difference / 0.1)


def test_power_of_large_effects_is_a_number() -> None:
    found = power(Baseline(0.1, 0.5), 4_000, difference=np.linspace(0.05, 0.8, 50))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-12).all()
