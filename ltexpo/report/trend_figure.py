"""A number on each day → its line with a band, the level it should keep, and what was decided on which day."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.report.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    Values,
    axes,
    band,
    drawn,
    line,
    path_of,
    place,
    rounded,
    within,
)
from ltexpo.report.markup import Html, html, join

_WIDEST = 5.0
"""A band is cut off at so many times the spread of the line, so that the line can still be seen."""


def trend_figure(
    days: "pd.DatetimeIndex",
    value: Values,
    *,
    title: str,
    label: str,
    low: Values | None = None,
    high: Values | None = None,
    levels: Sequence[tuple[float | Values, str]] = (),
    held: npt.NDArray[np.bool_] | None = None,
    marked: npt.NDArray[np.bool_] | None = None,
    text: Callable[[float], str] | None = None,
) -> Html:
    """`value` (n,) on `days` (n,), NaN where not known, between `low` and `high` (n,).

    `levels`: a number, or one a day, with its style. Days that were `held` (n,) are shaded, those `marked` (n,) have a
    dot. Nothing is drawn where no day is known.
    """
    if not np.isfinite(value).any():
        return Html("")
    at = np.arange(len(days), dtype=np.float64)
    x = Scale(0.0, max(1.0, at[-1]), LEFT + 8, WIDTH - RIGHT)
    lines = [(np.broadcast_to(np.asarray(level, dtype=np.float64), value.shape), style) for level, style in levels]
    y = Scale(*_range(value, low, high, [level for level, _ in lines]), HEIGHT - BOTTOM, TOP)
    inner = []
    if held is not None:
        half = (x(1.0) - x(0.0)) / 2
        inner += [
            html('<rect class="held" x="{x}" y="{top}" width="{width}" height="{height}"/>', x=place(x(day) - half),
                 top=TOP, width=place(2 * half), height=HEIGHT - BOTTOM - TOP)
            for day in np.flatnonzero(held).tolist()
        ]
    if low is not None and high is not None:
        inner += [
            band(at[part], np.maximum(low[part], y.low - 9e9), np.minimum(high[part], y.high + 9e9), x, y)
            for part in _runs(np.isfinite(low) & np.isfinite(high))
        ]
    for level, style in lines:
        inner += [
            html('<path class="{style}" d="{path}"/>', style=style, path=path_of((at[part], level[part]), x, y))
            for part in _runs(np.isfinite(level)) if len(part) > 1
        ]
    runs = _runs(np.isfinite(value))
    inner += [line("treatment", path_of((at[part], value[part]), x, y)) for part in runs if len(part) > 1]
    dots = [(int(part[0]), "treatment") for part in runs if len(part) == 1]
    if marked is not None:
        dots += [(day, "rollback") for day in np.flatnonzero(marked & np.isfinite(value)).tolist()]
    points = join(
        html('<circle class="{style}" cx="{x}" cy="{y}" r="{r}"/>', style=style, x=place(x(day)),
             y=place(y(min(max(value[day], y.low), y.high))), r=4.5 if style == "rollback" else 2.5)
        for day, style in dots
    )
    return drawn(title, join([
        axes(x, y, "day", label, x_marks=_marks(len(days)), x_text=lambda day: f"{days[int(day)]:%-d %b}", y_text=text),
        within(Scale(x.low, x.high, LEFT, WIDTH - RIGHT), y, join(inner)), points,
    ]))


def _range(value: Values, low: Values | None, high: Values | None, levels: Sequence[Values]) -> tuple[float, float]:
    """Where the axis begins and ends: everything, but for bands that are very wide."""
    known = np.concatenate([value, *levels])
    known = known[np.isfinite(known)]
    bottom, top = float(known.min()), float(known.max())
    reach = _WIDEST * max(top - bottom, 1e-9)
    for edge in (low, high):
        if edge is not None:
            seen = edge[np.isfinite(edge)]
            near = seen[(seen > bottom - reach) & (seen < top + reach)]
            if len(near):
                bottom, top = min(bottom, float(near.min())), max(top, float(near.max()))
    return rounded(bottom, top)


def _runs(known: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    """Days that are known, in unbroken runs."""
    places = np.flatnonzero(known)
    return [part for part in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(part)]


def _marks(n: int) -> list[float]:
    """About five days, the first among them."""
    step = max(1, -(-n // 5))
    return [float(day) for day in range(0, n, step)]
