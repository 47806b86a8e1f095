"""The test after each day → the difference of a metric with its always-valid band, and what it settles at."""

import numpy as np
import pandas as pd

from ltexpo.report.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    axes,
    band,
    drawn,
    line,
    path_of,
    place,
    rounded,
    whole_ticks,
    within,
)
from ltexpo.report.markup import Html, html, join
from ltexpo.report.shifts import mark

_WIDEST = 8.0
"""The first days' bands are cut off at so many half-widths of the last one, so that the last can still be seen."""


def days_figure(
    looks: pd.DataFrame, *, title: str, share: bool, effect: float | None = None, margin: float | None = None
) -> Html:
    """`looks` of one arm and metric, by day: difference, low, high, fixed_low, fixed_high.

    `effect`: what the lists do, known far more exactly than the test tells it. `margin`: the difference at which the
    metric's guardrail breaks. `share`: differences are of shares, in points.
    """
    days = looks["day"].to_numpy(np.float64)
    value, low, high, first, last = (
        looks[name].to_numpy(np.float64) for name in ("difference", "low", "high", "fixed_low", "fixed_high")
    )
    known = np.isfinite(np.stack([value, low, high, first, last])).all(axis=0)
    if not known.any():
        return Html("")
    days, value, low, high, first, last = (part[known] for part in (days, value, low, high, first, last))
    x = Scale(min(1.0, days[0]), max(2.0, days[-1]), LEFT + 8, WIDTH - RIGHT)
    levels = [level for level in (0.0, effect, margin) if level is not None]
    reach = _WIDEST * max((high[-1] - low[-1]) / 2, 1e-12)
    bottom = min(*levels, *np.maximum(low, value[-1] - reach), *first)
    top = max(*levels, *np.minimum(high, value[-1] + reach), *last)
    y = Scale(*rounded(bottom, top), HEIGHT - BOTTOM, TOP)
    inner = [band(days, low, high, x, y), band(days, first, last, x, y, style="band inner")]
    for level, style in ((0.0, "zero"), (effect, "equal"), (margin, "limit")):
        if level is not None:
            inner.append(html('<path class="{style}" d="M{left} {y}H{right}"/>', style=style, left=LEFT,
                              right=WIDTH - RIGHT, y=place(y(level))))
    inner.append(line("treatment", path_of((days, value), x, y)))

    return drawn(title, join([
        axes(x, y, "days of the test so far", "difference, in points" if share else "difference",
             x_marks=whole_ticks(x), x_text="{:.0f}".format, y_text=lambda tick: mark(100 * tick if share else tick)),
        within(Scale(x.low, x.high, LEFT, WIDTH - RIGHT), y, join(inner)),
        html('<circle class="treatment" cx="{x}" cy="{y}" r="4"/>', x=place(x(days[-1])), y=place(y(value[-1]))),
    ]))
