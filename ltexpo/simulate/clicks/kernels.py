"""Slot parameters + attractions + lists → probabilities and clicks of every slot, for all five kinds of model.

Shapes: S surfaces, K slots, R lists, I keys. examination: (S, K, K), after_click and after_skip: (S, K), as in
`ClickParameters`; attraction, satisfaction: (I,); items: (R, n) with n ≤ K and −1 below a list's end.
"""

import numpy as np
from numba import njit

from ltexpo.simulate.clicks.draw import DBN, UBM, draw_clicks


@njit(cache=True, nogil=True)
def conditional(
    kind, examination, after_click, after_skip, attraction, satisfaction, surface, items, clicks, out
):
    """Fill `out` (R, n) with P(click in slot j | the clicks above it); NaN where nothing stands.

    In a walk, P(examined) is filtered: certain after a click, else lowered by Bayes' rule with every skip.
    """
    n = items.shape[1]
    for r in range(items.shape[0]):
        s = surface[r]
        last = 0
        on = 1.0
        for j in range(n):
            if items[r, j] < 0:
                out[r, j] = np.nan
                continue
            a = attraction[items[r, j]]
            if kind <= UBM:
                out[r, j] = examination[s, j, last] * a
                if clicks[r, j] and kind == UBM:
                    last = j + 1
                continue
            out[r, j] = on * a
            if clicks[r, j]:
                on = after_click[s, j]
                if kind == DBN:
                    on *= 1.0 - satisfaction[items[r, j]]
            else:
                left = 1.0 - on * a
                on = on * (1.0 - a) / left * after_skip[s, j] if left > 0.0 else 0.0


@njit(cache=True, nogil=True)
def marginal(kind, examination, after_click, after_skip, attraction, satisfaction, surface, items, out):
    """Fill `out` (R, n) with P(slot j is examined), nothing known of clicks; NaN where nothing stands."""
    n = items.shape[1]
    chance = np.zeros(n + 1)  # of UBM: P(the last click so far was at this rank)
    for r in range(items.shape[0]):
        s = surface[r]
        chance[:] = 0.0
        chance[0] = 1.0
        on = 1.0
        for j in range(n):
            if items[r, j] < 0:
                out[r, j] = np.nan
                continue
            a = attraction[items[r, j]]
            if kind < UBM:
                out[r, j] = examination[s, j, 0]
            elif kind == UBM:
                looks = 0.0
                for last in range(j + 1):
                    reaches = chance[last] * examination[s, j, last]
                    looks += reaches
                    chance[last] -= reaches * a
                chance[j + 1] = looks * a
                out[r, j] = looks
            else:
                out[r, j] = on
                go = after_click[s, j]
                if kind == DBN:
                    go *= 1.0 - satisfaction[items[r, j]]
                on *= a * go + (1.0 - a) * after_skip[s, j]


@njit(cache=True, nogil=True)
def simulate(
    kind, examination, after_click, after_skip, attraction, satisfaction, surface, items, uniforms, clicks
):
    """Fill `clicks` (R, n) with one draw for every list; uniforms (R, 2n) as `draw_clicks` reads them."""
    n = items.shape[1]
    here, pleases = np.empty(n), np.empty(n)
    for r in range(items.shape[0]):
        s = surface[r]
        length = 0
        while length < n and items[r, length] >= 0:
            here[length] = attraction[items[r, length]]
            pleases[length] = satisfaction[items[r, length]]
            length += 1
        clicks[r, length:] = False
        draw_clicks(
            kind, examination[s], after_click[s], after_skip[s], here[:length], pleases[:length],
            uniforms[r, :2 * length], clicks[r, :length],
        )
