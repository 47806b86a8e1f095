"""What every arm's users did on each day → one line for each arm."""

from collections.abc import Mapping

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
    arm_class,
    axes,
    drawn,
    line,
    path_of,
    rounded,
    whole_ticks,
)
from ltexpo.report.markup import Html, join


def arms_figure(arms: Mapping[str, pd.Series], *, title: str, label: str, share: bool) -> Html:
    """Arm → values by day (the index), the control first. The axis starts where the values do, not at 0."""
    values = np.concatenate([series.to_numpy(np.float64) for series in arms.values()])
    held = values[np.isfinite(values)]
    if not len(held):
        return Html("")
    days = next(iter(arms.values())).index.to_numpy(np.float64)
    low, high = float(held.min()), float(held.max())
    room = max(0.15 * (high - low), 0.01 * abs(high), 1e-9)
    top = min(high + room, 1.0) if share else high + room
    bottom, top = rounded(max(low - room, 0.0), max(top, high))
    x = Scale(min(1.0, days[0]), max(2.0, days[-1]), LEFT + 8, WIDTH - RIGHT)
    y = Scale(bottom, min(top, 1.0) if share else top, HEIGHT - BOTTOM, TOP)
    lines = []
    for place, series in enumerate(arms.values()):
        known = series.dropna()
        curve = (known.index.to_numpy(np.float64), known.to_numpy(np.float64))
        lines.append(line(arm_class(place), path_of(curve, x, y)))
    return drawn(title, join([
        axes(x, y, "day of the test", label, x_marks=whole_ticks(x), x_text="{:.0f}".format,
             y_text=None if share else "{:,.4g}".format),
        *lines,
    ]))
