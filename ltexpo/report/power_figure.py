"""Numbers of users and the chance to find something → a figure of the power of a test."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ltexpo.report.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, axes, drawn, line, path_of, place
from ltexpo.report.markup import Html, html, join
from ltexpo.report.words import count

Floats = npt.NDArray[np.float64]


def power_figure(users: Floats, curves: Mapping[str, Floats], *, here: int, aim: float, title: str) -> Html:
    """`curves`: style of a line → chance at each number of `users`. `here`: users of this test; `aim`: the chance that
    one plans for."""
    x = Scale(0.0, float(users[-1]), LEFT, WIDTH - RIGHT)
    y = Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    at = place(x(here))
    side = "end" if x(here) > (LEFT + WIDTH) / 2 else "start"
    return drawn(title, join([
        axes(x, y, "users in both arms together", "chance", x_text=_thousands),
        html('<path class="equal" d="M{left} {y}H{right}"/>', left=LEFT, right=WIDTH - RIGHT, y=place(y(aim))),
        html('<path class="limit" d="M{x} {bottom}V{top}"/><text class="{side}" x="{x}" dx="{dx}" y="{label}">this test'
             "</text>", x=at, bottom=HEIGHT - BOTTOM, top=TOP, side=side, dx=-5 if side == "end" else 5, label=TOP - 6),
        *(line(style, path_of((users, chance), x, y)) for style, chance in curves.items()),
    ]))


def _thousands(users: float) -> str:
    """12k, 1.5M: room for few digits."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if users >= size:
            return f"{users / size:g}{letter}"
    return count(users)
