"""Curves before and after → small SVG figures whose colours and type come from the page's style."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.report.markup import Html, html, join
from ltexpo.report.words import percent

WIDTH, HEIGHT = 440, 325
LEFT, RIGHT, TOP, BOTTOM = 50, 26, 34, 46

Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def lorenz_figure(before: pd.DataFrame, after: pd.DataFrame) -> Html:
    """Share of exposure held by the least-shown share of products: item_share, exposure_share of each arm.

    When most products hold next to nothing, the axis starts where the first of the curves leaves the ground.
    """
    first, second = (
        (curve["item_share"].to_numpy(np.float64), curve["exposure_share"].to_numpy(np.float64))
        for curve in (before, after)
    )
    start = lorenz_start(before, after)
    x = _Scale(start, 1.0, LEFT, WIDTH - RIGHT)
    y = _Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    equal = html('<path class="equal" d="{path}"/>', path=_path((np.array([start, 1.0]), np.array([start, 1.0])), x, y))
    return _figure(
        "Lorenz curve of exposure before and after re-ranking",
        join([
            _axes(x, y, "products, from least to most shown", "share of all exposure"),
            equal,
            _line("control", _path(_from(first, start), x, y)),
            _line("treatment", _path(_from(second, start), x, y)),
        ]),
    )


def lorenz_start(*curves: pd.DataFrame) -> float:
    """The largest round share of products that hold less than 1% of the exposure in every curve."""
    starts = np.concatenate([np.arange(1, 10) / 10, [0.95, 0.98, 0.99, 0.995, 0.998, 0.999]])
    held = [np.interp(starts, curve["item_share"], curve["exposure_share"]) for curve in curves]
    return float(starts[np.max(held, axis=0) < 0.01].max(initial=0.0))


def rank_figure(shares: pd.DataFrame) -> Html:
    """Share of slots that show the tail at each rank: rank, before, after."""
    ranks = shares["rank"].to_numpy(np.float64)
    top = float(shares[["before", "after"]].to_numpy().max())
    ceiling = ticks(0.0, max(top, 0.01))[-1]
    x = _Scale(min(1.0, ranks.min()), max(2.0, ranks.max()), LEFT + 8, WIDTH - RIGHT - 8)
    y = _Scale(0.0, min(ceiling, 1.0), HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, "rank in the list", "slots that show the tail", whole=True)]
    for arm, column in (("control", "before"), ("treatment", "after")):
        curve = (ranks, shares[column].to_numpy(np.float64))
        parts.append(_line(arm, _path(curve, x, y)))
        parts += [
            html('<circle class="{arm}" cx="{x}" cy="{y}" r="3"/>', arm=arm, x=_place(x(rank)), y=_place(y(share)))
            for rank, share in zip(*curve, strict=True)
        ]
    return _figure("Share of slots that show the tail, by rank, before and after re-ranking", join(parts))


def frontier_figure(points: pd.DataFrame, *, chosen: tuple[float, float], knee: int | None) -> Html:
    """Loss of expected clicks at every tail share: share, loss, loss_low, loss_high, least (the bound).

    `chosen` is (share, loss).
    """
    share = points["share"].to_numpy(np.float64)
    loss, low, high = (points[name].to_numpy(np.float64) for name in ("loss", "loss_low", "loss_high"))
    bottom, top = min(0.0, float(np.nanmin(low))), max(float(np.nanmax(high)), chosen[1], 1e-4)
    x = _Scale(min(share[0], chosen[0]), max(share[-1], chosen[0]), LEFT + 8, WIDTH - RIGHT - 8)
    y = _Scale(bottom, ticks(0.0, top)[-1], HEIGHT - BOTTOM, TOP)
    band = _path((np.r_[share, share[::-1]], np.r_[low, high[::-1]]), x, y)
    bound = _path((np.r_[share, share[::-1]], np.r_[points["least"].to_numpy(np.float64), loss[::-1]]), x, y)
    parts = [
        _axes(x, y, "tail share of exposure", "loss of expected clicks"),
        html('<path class="band" d="{path}Z"/>', path=band),
        html('<path class="bound" d="{path}Z"/>', path=bound),
        _line("treatment", _path((share, loss), x, y)),
        html('<circle class="treatment" cx="{x}" cy="{y}" r="5"/>', x=_place(x(chosen[0])), y=_place(y(chosen[1]))),
    ]
    if knee is not None:
        parts.append(html(
            '<path class="mark" d="M{x} {y}v-14"/><text class="middle" x="{x}" y="{above}">knee</text>',
            x=_place(x(share[knee])), y=_place(y(loss[knee]) - 4), above=_place(y(loss[knee]) - 23),
        ))
    return _figure("Loss of expected clicks at every tail share", join(parts))


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


class _Scale:
    """Values low..high → pixels start..end."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [tick for tick in ticks(self.low, self.high) if self.low - 1e-9 <= tick <= self.high + 1e-9]


def _axes(x: _Scale, y: _Scale, x_label: str, y_label: str, *, whole: bool = False) -> Html:
    """Horizontal rules with their shares, marks along the bottom (shares, or whole ranks), and what they mean."""
    parts = []
    for tick in y.ticks():
        parts.append(html(
            '<path class="rule" d="M{left} {y}H{right}"/>'
            '<text class="end" x="{label}" y="{y}" dy=".34em">{text}</text>',
            left=LEFT, right=WIDTH - RIGHT, y=_place(y(tick)), label=LEFT - 7, text=_share(tick, y),
        ))
    marks = _whole_ticks(x) if whole else x.ticks()
    for tick in marks:
        parts.append(html(
            '<path class="mark" d="M{x} {y}v5"/><text class="middle" x="{x}" y="{below}">{text}</text>',
            x=_place(x(tick)), y=HEIGHT - BOTTOM, below=HEIGHT - BOTTOM + 19,
            text=f"{tick:.0f}" if whole else _share(tick, x),
        ))
    parts.append(html(
        '<text class="label middle" x="{x}" y="{y}">{text}</text>',
        x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text=x_label,
    ))
    parts.append(html('<text class="label" x="0" y="13">{text}</text>', text=y_label))
    return html("<g>{parts}</g>", parts=join(parts))


def _whole_ticks(x: _Scale) -> list[float]:
    first, last = int(x.low), int(x.high)
    step = max(1, math.ceil((last - first + 1) / 10))
    if step <= 2:
        return [float(rank) for rank in range(first, last + 1, step)]
    return [float(first), *(float(rank) for rank in range(step, last + 1, step))]


def _share(tick: float, scale: _Scale) -> str:
    span = scale.high - scale.low
    return percent(tick, digits=0 if span > 0.05 else 1 if span > 0.005 else 2)


def _line(arm: str, path: Html) -> Html:
    return html('<path class="curve {arm}" d="{path}"/>', arm=arm, path=path)


def _path(curve: Curve, x: _Scale, y: _Scale) -> Html:
    places = [f"{_place(x(a))} {_place(y(b))}" for a, b in zip(*curve, strict=True)]
    return Html("M" + "L".join(places))


def _place(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _figure(title: str, inner: Html) -> Html:
    return html(
        '<svg class="figure" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        "<title>{title}</title>{inner}</svg>",
        width=WIDTH, height=HEIGHT, title=title, inner=inner,
    )


def _from(curve: Curve, start: float) -> Curve:
    """The part of a rising curve right of `start`, with a point at `start`."""
    shares, held = curve
    inside = shares > start
    first = float(np.interp(start, shares, held))
    return np.concatenate([[start], shares[inside]]), np.concatenate([[first], held[inside]])
