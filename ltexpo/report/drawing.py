"""Values → the axes, lines and bands of a small SVG figure whose colours and type come from the page's style."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ltexpo.report.markup import Html, html, join
from ltexpo.report.words import percent

WIDTH, HEIGHT = 440, 325
LEFT, RIGHT, TOP, BOTTOM = 50, 26, 34, 46

Values = npt.NDArray[np.float64]
Curve = tuple[Values, Values]
_TREATMENTS = 4
"""How many treatments have a colour of their own."""


def arm_class(place: int) -> str:
    """The style of the arm at `place`, 0 for the control."""
    return "control" if place == 0 else f"treatment arm-{(place - 1) % _TREATMENTS + 1}"


def ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about `about` of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def rounded(low: float, high: float) -> tuple[float, float]:
    """The round numbers around `low` to `high` that are themselves marks of an axis between them."""
    while True:
        marks = ticks(low, high)
        if len(marks) < 2:
            return low - 1, high + 1
        if (marks[0], marks[-1]) == (low, high):
            return low, high
        low, high = marks[0], marks[-1]


class Scale:
    """Values low..high → pixels start..end."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        """Pixels of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the scale."""
        return [tick for tick in ticks(self.low, self.high) if self.low - 1e-9 <= tick <= self.high + 1e-9]


def axes(
    x: Scale,
    y: Scale,
    x_label: str,
    y_label: str,
    *,
    x_marks: Iterable[float] | None = None,
    x_text: Callable[[float], str] | None = None,
    y_text: Callable[[float], str] | None = None,
) -> Html:
    """Horizontal rules and marks along the bottom with their values (shares unless said otherwise), and what they mean.
    """
    parts = []
    for tick in y.ticks():
        parts.append(html(
            '<path class="rule" d="M{left} {y}H{right}"/>'
            '<text class="end" x="{label}" y="{y}" dy=".34em">{text}</text>',
            left=LEFT, right=WIDTH - RIGHT, y=place(y(tick)), label=LEFT - 7,
            text=y_text(tick) if y_text else _share(tick, y),
        ))
    for tick in x.ticks() if x_marks is None else x_marks:
        parts.append(html(
            '<path class="mark" d="M{x} {y}v5"/><text class="middle" x="{x}" y="{below}">{text}</text>',
            x=place(x(tick)), y=HEIGHT - BOTTOM, below=HEIGHT - BOTTOM + 19,
            text=x_text(tick) if x_text else _share(tick, x),
        ))
    parts.append(html(
        '<text class="label middle" x="{x}" y="{y}">{text}</text>',
        x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text=x_label,
    ))
    parts.append(html('<text class="label" x="0" y="13">{text}</text>', text=y_label))
    return html("<g>{parts}</g>", parts=join(parts))


def whole_ticks(x: Scale) -> list[float]:
    """Whole numbers from one end to the other, about ten."""
    first, last = int(x.low), int(x.high)
    step = max(1, math.ceil((last - first + 1) / 10))
    if step <= 2:
        return [float(rank) for rank in range(first, last + 1, step)]
    return [float(first), *(float(rank) for rank in range(step, last + 1, step))]


def _share(tick: float, scale: Scale) -> str:
    span = scale.high - scale.low
    return percent(tick, digits=0 if span > 0.05 else 1 if span > 0.005 else 2)


def line(style: str, path: Html) -> Html:
    """A curve in the style of an arm."""
    return html('<path class="curve {style}" d="{path}"/>', style=style, path=path)


def path_of(curve: Curve, x: Scale, y: Scale) -> Html:
    """Straight lines through the points of a curve."""
    places = [f"{place(x(a))} {place(y(b))}" for a, b in zip(*curve, strict=True)]
    return Html("M" + "L".join(places))


def place(value: float) -> str:
    """Pixels, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def band(x_values: Values, low: Values, high: Values, x: Scale, y: Scale, *, style: str = "band") -> Html:
    """The area between two curves over the same places."""
    path = path_of((np.r_[x_values, x_values[::-1]], np.r_[low, high[::-1]]), x, y)
    return html('<path class="{style}" d="{path}Z"/>', style=style, path=path)


def within(x: Scale, y: Scale, inner: Html) -> Html:
    """`inner`, cut off at the ends of the axes."""
    left, top, width, height = x.start, y.end, x.end - x.start, y.start - y.end
    return html(
        '<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">'
        "{inner}</svg>",
        left=place(left), top=place(top), width=place(width), height=place(height), inner=inner,
    )


def drawn(title: str, inner: Html) -> Html:
    """The whole figure; `title` says to those who cannot see it what it shows."""
    return html(
        '<svg class="figure" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        "<title>{title}</title>{inner}</svg>",
        width=WIDTH, height=HEIGHT, title=title, inner=inner,
    )
