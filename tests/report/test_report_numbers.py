import numpy as np
import pandas as pd
import pytest

from ltexpo.metrics.intervals import Ratio
from ltexpo.report.changes import paired_change
from ltexpo.report.drawing import ticks
from ltexpo.report.lorenz_figure import lorenz_start
from ltexpo.report.markup import Html, escape, html, join
from ltexpo.report.words import change, digits_for, number, percent, plural, points


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.75, "0.7500"), (12.3456, "12.35"), (1234.56, "1,235"), (-0.5, "−0.5000"), (3.0, "3"), (0.0, "0"),
        (0.00123456, "0.001235"), (float("nan"), "–"), (None, "–"),
    ],
)
def test_number(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_shares_and_changes() -> None:
    assert percent(0.12345) == "12.3%"
    assert change(-0.0041, digits=2) == "−0.41%"
    assert change(-0.00001) == "0.0%"
    assert points(0.129) == "+12.9 points"
    assert (digits_for(-0.011, 0.003), digits_for(0.5, 0.001), digits_for(0.0)) == (2, 1, 1)
    assert (plural(1, "product"), plural(2_000, "product")) == ("1 product", "2,000 products")


def test_whatever_is_not_html_is_escaped() -> None:
    assert html("<b>{x}</b>", x="<i>'\"&") == "<b>&lt;i&gt;&#x27;&quot;&amp;</b>"
    assert html("<b>{x}</b>", x=html("<i>{y}</i>", y="{z}")) == "<b><i>{z}</i></b>"
    assert join(["<", Html("<br>")], " ") == "&lt; <br>"
    assert escape("a\x00b\x1b") == "a b "


def test_paired_interval_shrinks_with_what_both_arms_share() -> None:
    rng = np.random.default_rng(1)
    before = rng.gamma(2.0, 1.0, 4_000)
    after = before * 1.02
    shift = paired_change(Ratio.mean(before), Ratio.mean(after), level=0.95)
    assert shift.relative == pytest.approx(0.02)
    assert shift.relative_low == pytest.approx(0.02, abs=1e-9)  # every user changed by the same share
    margin = 1.96 * 0.02 * before.std(ddof=1) / np.sqrt(len(before))
    assert shift.high - shift.difference == pytest.approx(margin, rel=0.01)


def test_one_user_has_no_interval() -> None:
    shift = paired_change(Ratio.mean([1.0]), Ratio.mean([2.0]), level=0.95)
    assert shift.difference == 1.0
    assert np.isnan([shift.low, shift.relative_high]).all()


def test_ticks_are_round_and_span_the_range() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.011, 0.06, about=3) == [-0.025, 0.0, 0.025, 0.05, 0.075]


def test_lorenz_axis_starts_where_something_is_held() -> None:
    flat = pd.DataFrame({"item_share": [0.0, 0.65, 1.0], "exposure_share": [0.0, 0.0, 1.0]})
    steep = pd.DataFrame({"item_share": [0.0, 0.991, 1.0], "exposure_share": [0.0, 0.0, 1.0]})
    equal = pd.DataFrame({"item_share": [0.0, 1.0], "exposure_share": [0.0, 1.0]})
    assert lorenz_start(flat, flat) == pytest.approx(0.6)
    assert lorenz_start(steep, steep) == pytest.approx(0.99)
    assert lorenz_start(flat, equal) == 0.0
