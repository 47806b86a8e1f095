"""Curves before and after → figures of the lists: the tail by rank, and what other tail shares would cost."""

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
    ticks,
    whole_ticks,
)
from ltexpo.report.markup import Html, html, join


def rank_figure(shares: pd.DataFrame) -> Html:
    """Share of slots that show the tail at each rank: rank, before, after."""
    ranks = shares["rank"].to_numpy(np.float64)
    top = float(shares[["before", "after"]].to_numpy().max())
    ceiling = ticks(0.0, max(top, 0.01))[-1]
    x = Scale(min(1.0, ranks.min()), max(2.0, ranks.max()), LEFT + 8, WIDTH - RIGHT - 8)
    y = Scale(0.0, min(ceiling, 1.0), HEIGHT - BOTTOM, TOP)
    parts = [axes(
        x, y, "rank in the list", "slots that show the tail", x_marks=whole_ticks(x), x_text="{:.0f}".format,
    )]
    for arm, column in (("control", "before"), ("treatment", "after")):
        curve = (ranks, shares[column].to_numpy(np.float64))
        parts.append(line(arm, path_of(curve, x, y)))
        parts += [
            html('<circle class="{arm}" cx="{x}" cy="{y}" r="3"/>', arm=arm, x=place(x(rank)), y=place(y(share)))
            for rank, share in zip(*curve, strict=True)
        ]
    return drawn("Share of slots that show the tail, by rank, before and after re-ranking", join(parts))


def frontier_figure(points: pd.DataFrame, *, chosen: tuple[float, float], knee: int | None) -> Html:
    """Loss of expected clicks at every tail share: share, loss, loss_low, loss_high, least (the bound).

    `chosen` is (share, loss).
    """
    share = points["share"].to_numpy(np.float64)
    loss, low, high = (points[name].to_numpy(np.float64) for name in ("loss", "loss_low", "loss_high"))
    bottom, top = min(0.0, float(np.nanmin(low))), max(float(np.nanmax(high)), chosen[1], 1e-4)
    x = Scale(min(share[0], chosen[0]), max(share[-1], chosen[0]), LEFT + 8, WIDTH - RIGHT - 8)
    y = Scale(bottom, ticks(0.0, top)[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        axes(x, y, "tail share of exposure", "loss of expected clicks"),
        band(share, low, high, x, y),
        band(share, points["least"].to_numpy(np.float64), loss, x, y, style="bound"),
        line("treatment", path_of((share, loss), x, y)),
        html('<circle class="treatment" cx="{x}" cy="{y}" r="5"/>', x=place(x(chosen[0])), y=place(y(chosen[1]))),
    ]
    if knee is not None:
        parts.append(html(
            '<path class="mark" d="M{x} {y}v-14"/><text class="middle" x="{x}" y="{above}">knee</text>',
            x=place(x(share[knee])), y=place(y(loss[knee]) - 4), above=place(y(loss[knee]) - 23),
        ))
    return drawn("Loss of expected clicks at every tail share", join(parts))
