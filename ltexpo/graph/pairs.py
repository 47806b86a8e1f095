"""Timed interactions → decayed counts of the items that one user, or one session, took near each other."""

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.sparse import Csr, csr


class PairSettings(Settings):
    """Which interactions make a pair, and how much it counts."""

    window_positions: int = Field(100, ge=1)
    """Two interactions of a user form a pair when they are at most this many apart in the user's history."""
    window_days: float | None = Field(30.0, gt=0)
    """… and at most this many days apart; null: any."""
    gap_half_life: float | None = Field(7.0, gt=0)
    """Days between the two after which a pair counts half; null: all count alike."""
    half_life: float | None = Field(60.0, gt=0)
    """Days before the end of training after which a pair counts half; null: all count alike."""
    user_damping: float = Field(0.75, ge=0, le=1)
    """A user with n interactions contributes each pair divided by n to this power."""


def interaction_weights(
    owner: npt.NDArray[np.int64], day: npt.NDArray[np.float64], settings: PairSettings, *, now: float
) -> npt.NDArray[np.float64]:
    """What each interaction (N,) counts: decayed by its age in days before `now`, damped for owners with many."""
    size = np.bincount(owner) if len(owner) else np.zeros(0)
    decay = np.ones(len(day)) if settings.half_life is None else 0.5 ** ((now - day) / settings.half_life)
    return np.asarray(decay / np.maximum(size[owner], 1) ** settings.user_damping)


def count_pairs(
    owner: npt.NDArray[np.int64], item: npt.NDArray[np.int64], day: npt.NDArray[np.float64],
    settings: PairSettings, *, n_items: int, now: float,
) -> Csr:
    """Decayed pairs of different items in the window, both directions: CSR (I, I).

    Rows (N,) are sorted by owner (user or session), then by time; `day` and `now` in days.
    """
    weight = interaction_weights(owner, day, settings, now=now)
    shape = (n_items, n_items)
    pairs = csr(shape)
    for apart in range(1, settings.window_positions + 1):
        first = np.flatnonzero(owner[:-apart] == owner[apart:])
        if not len(first):
            break
        second = first + apart
        gap = day[second] - day[first]
        near = item[first] != item[second]
        if settings.window_days is not None:
            near &= gap <= settings.window_days
        first, second, gap = first[near], second[near], gap[near]
        # A pair is as old as its later half.
        value = weight[second]
        if settings.gap_half_life is not None:
            value = value * 0.5 ** (gap / settings.gap_half_life)
        pairs = pairs + csr((value, (item[first], item[second])), shape=shape)
    return csr(pairs + pairs.T)
