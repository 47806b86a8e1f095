"""Logs of lists whose click model is known, for the tests of its fit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltexpo.simulate.clicks import (
    Cascade,
    ClickParameters,
    DependentClick,
    DynamicBayesian,
    PositionBased,
    Sessions,
    SlotModel,
    UserBrowsing,
    kernels,
)

K = 6


def browsing(k: int) -> np.ndarray:
    """UBM examination that falls with rank and with the distance to the last click; certain at rank 1."""
    rank, last = np.arange(k)[:, None], np.arange(k)[None, :]
    table = np.tril(np.clip(np.linspace(0.95, 0.4, k)[:, None] - 0.04 * (rank - last), 0.05, 0.95))
    table[0, 0] = 1.0
    return table


MADE: dict[str, tuple[type[SlotModel], Callable[[int], ClickParameters]]] = {
    "pbm": (PositionBased, lambda k: ClickParameters.pbm(1 / np.log2(np.arange(2, k + 2)))),
    "cm": (Cascade, ClickParameters.cm),
    "dcm": (DependentClick, lambda k: ClickParameters.dcm(np.linspace(0.7, 0.4, k))),
    "ubm": (UserBrowsing, lambda k: ClickParameters.ubm(browsing(k))),
    "dbn": (DynamicBayesian, lambda k: ClickParameters.dbn(0.85, k)),
}
NAMES = list(MADE)


@dataclass(frozen=True)
class MadeLog:
    sessions: Sessions
    parameters: ClickParameters
    attraction: np.ndarray
    satisfaction: np.ndarray

    @property
    def slots(self) -> np.ndarray:
        """The true slot parameters, in the order of a fit's."""
        k, made = self.sessions.k, self.parameters
        return {
            "pbm": made.examination[:, 0], "ubm": made.examination[np.tril_indices(k)], "cm": np.zeros(0),
            "dcm": made.after_click, "dbn": made.after_skip[:1],
        }[made.name]

    def conditional(self, sessions: Sessions) -> np.ndarray:
        """What the truth says of every slot."""
        out = np.empty(sessions.items.shape)
        made = self.parameters
        kernels.conditional(
            made.kind, made.examination[None], made.after_click[None], made.after_skip[None], self.attraction,
            self.satisfaction, sessions.surface, sessions.items, sessions.clicks, out,
        )
        return out


def make_log(
    name: str, *, lists: int = 20_000, keys: int = 60, k: int = K, seed: int = 0, ragged: bool = False
) -> MadeLog:
    """Lists drawn by popularity without regard to attraction, so that every key is seen at every rank."""
    rng = np.random.default_rng(seed)
    attraction, satisfaction = rng.beta(3, 9, keys), rng.beta(4, 6, keys)
    popularity = -0.3 * np.log(rng.permutation(keys) + 1)
    items = np.argsort(-(popularity + rng.gumbel(size=(lists, keys))), axis=1)[:, :k].astype(np.int32)
    if ragged:
        items[np.arange(k) >= rng.integers(1, k + 1, lists)[:, None]] = -1
    made = MADE[name][1](k)
    clicks = np.zeros(items.shape, dtype=np.bool_)
    surface = np.zeros(lists, dtype=np.int64)
    kernels.simulate(
        made.kind, made.examination[None], made.after_click[None], made.after_skip[None], attraction, satisfaction,
        surface, items, rng.random((lists, 2 * k)), clicks,
    )
    sessions = Sessions(
        items, clicks, surface, pd.DataFrame({"item_id": [f"i{n:04d}" for n in range(keys)]}), ("all",),
        pd.Index([f"r{n:06d}" for n in range(lists)]), None, None, None, {},
    )
    return MadeLog(sessions, made, attraction, satisfaction)


def as_events(sessions: Sessions) -> pd.DataFrame:
    """The log as an events table, one user per list."""
    request, slot = np.nonzero(sessions.shown)
    item = sessions.keys["item_id"].to_numpy()[sessions.items[request, slot]]
    shown = pd.DataFrame({
        "request_id": sessions.requests[request], "item_id": item,
        "rank": slot + 1, "event": "impression", "clicked": sessions.clicks[request, slot],
    })
    clicked = shown[shown["clicked"]].assign(event="click")
    events = pd.concat([shown, clicked], ignore_index=True).drop(columns="clicked")
    times = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(events.index.to_numpy(), unit="s")
    return events.assign(user_id="u" + events["request_id"].str[1:], timestamp=times)
