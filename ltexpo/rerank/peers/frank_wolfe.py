"""A concave welfare of exposure → lists, by Frank–Wolfe: every step is one sort of each list by its gradient."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ltexpo.rerank.peers.greedy import tilted_slots
from ltexpo.rerank.peers.peer import Floats, Market, Slots

GOLDEN = 0.6180339887498949


class State(NamedTuple):
    """What the randomised policy gives: exposure and clicks of groups (P,), clicks of lists (R,)."""

    exposure: Floats
    clicks: Floats
    list_clicks: Floats


class Tilt(NamedTuple):
    """Gradient per unit of attention: list_factor (R,) × factor (P,) × score + boost (P,); None = 1, 1, 0."""

    factor: Floats | None = None
    boost: Floats | None = None
    list_factor: Floats | None = None


def frank_wolfe(market: Market, gradient: Callable[[State, int], Tilt], n_steps: int) -> Slots:
    """Lists drawn from the policy after `n_steps` steps from the plain lists (Frank & Wolfe 1956; γ_t = 2 / (t + 2)).

    The policy mixes the lists of all steps; Do & Usunier draw a request's list from the mixture. Which step a list is
    drawn from is fixed beforehand by a golden-ratio sequence over lists, so the draws are spread evenly, the same every
    time, and no step's lists need be kept.
    """
    weight = np.ones(n_steps + 1)
    for t in range(1, n_steps + 1):
        weight[:t] *= 1.0 - 2.0 / (t + 2)
        weight[t] = 2.0 / (t + 2)
    spread = (0.5 + GOLDEN * np.arange(market.n_lists)) % 1.0
    drawn = np.minimum(np.searchsorted(np.cumsum(weight), spread, side="right"), n_steps)
    step_slots = tilted_slots(market)
    chosen = step_slots.copy()
    state = _state(market, step_slots)
    for t in range(1, n_steps + 1):
        tilt = gradient(state, t)
        factor = None if tilt.factor is None else np.where(market.group >= 0, market.per_item(tilt.factor), 1.0)
        boost = None if tilt.boost is None else market.per_item(tilt.boost)
        step_slots = tilted_slots(market, factor=factor, boost=boost, list_factor=tilt.list_factor)
        chosen[drawn == t] = step_slots[drawn == t]
        now = _state(market, step_slots)
        rate = 2.0 / (t + 2)
        state = State(*[(1.0 - rate) * old + rate * new for old, new in zip(state, now, strict=True)])
    return chosen


def _state(market: Market, slots: Slots) -> State:
    shown = slots >= 0
    seen = np.where(shown, market.attention, 0.0)
    if not len(market.items):
        return State(np.zeros(market.n_groups), np.zeros(market.n_groups), np.zeros(market.n_lists))
    at: npt.NDArray[np.int64] = np.where(shown, market.indptr[:-1, None] + slots, 0)
    clicks = seen * market.scores[at]
    group = market.group[market.items[at]]
    counted = shown & (group >= 0)
    return State(
        np.bincount(group[counted], seen[counted], market.n_groups).astype(np.float64),
        np.bincount(group[counted], clicks[counted], market.n_groups).astype(np.float64),
        clicks.sum(axis=1),
    )
