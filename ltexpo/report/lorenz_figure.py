"""Lorenz curves of several arms → one figure of how evenly exposure is spread."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ltexpo.report.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Curve,
    Scale,
    arm_class,
    axes,
    drawn,
    line,
    path_of,
)
from ltexpo.report.markup import Html, html, join


def lorenz_figure(arms: Sequence[pd.DataFrame], *, title: str) -> Html:
    """Share of exposure held by the least-shown share of products: item_share, exposure_share of each arm.

    The control comes first. When most products hold next to nothing, the axis starts where the first of the curves
    leaves the ground.
    """
    start = lorenz_start(*arms)
    x = Scale(start, 1.0, LEFT, WIDTH - RIGHT)
    y = Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    ends = np.array([start, 1.0])
    equal = html('<path class="equal" d="{path}"/>', path=path_of((ends, ends), x, y))
    curves = [
        line(arm_class(place), path_of(_from(_curve(arm), start), x, y)) for place, arm in enumerate(arms)
    ]
    return drawn(
        title, join([axes(x, y, "products, from least to most shown", "share of all exposure"), equal, *curves])
    )


def lorenz_start(*curves: pd.DataFrame) -> float:
    """The largest round share of products that hold less than 1% of the exposure in every curve."""
    starts = np.concatenate([np.arange(1, 10) / 10, [0.95, 0.98, 0.99, 0.995, 0.998, 0.999]])
    held = [np.interp(starts, curve["item_share"], curve["exposure_share"]) for curve in curves]
    return float(starts[np.max(held, axis=0) < 0.01].max(initial=0.0))


def _curve(arm: pd.DataFrame) -> Curve:
    return arm["item_share"].to_numpy(np.float64), arm["exposure_share"].to_numpy(np.float64)


def _from(curve: Curve, start: float) -> Curve:
    """The part of a rising curve right of `start`, with a point at `start`."""
    shares, held = curve
    inside = shares > start
    first = float(np.interp(start, shares, held))
    return np.concatenate([[start], shares[inside]]), np.concatenate([[first], held[inside]])
