"""Interactions → training examples: what a user had taken before a day, and what the user took on it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.columns import EventKind
from ltexpo.data.history import EVENT_WEIGHTS, History

Codes = npt.NDArray[np.int64]

CLICK, BUY, QUERY = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Past:
    """The latest N interactions before a moment, of B users: newest first, −1 where there are fewer."""

    items: Codes
    """(B, N) item codes."""
    kinds: Codes
    """(B, N) `CLICK` or `BUY`."""
    ages: npt.NDArray[np.float32]
    """(B, N) days before the moment."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Interactions that may be predicted, one row each, from what the same user did on earlier days."""

    history: History
    first: Codes
    """(N,) first row of the user of each interaction."""
    day_first: Codes
    """(N,) first row of the day of each interaction: its past ends before it."""
    day_end: Codes
    """(N,) the row after that day's last one."""
    kind: Codes
    """(N,) `CLICK` or `BUY`."""

    @classmethod
    def of(cls, history: History) -> "Examples":
        """Every interaction of `history` is a target."""
        date = np.floor(history.day)
        new_user = np.diff(history.user, prepend=-1) != 0
        new_day = new_user | (np.diff(date, prepend=-np.inf) != 0)
        rows = np.arange(len(history.user))
        first = np.maximum.accumulate(np.where(new_user, rows, 0))
        day_first = np.maximum.accumulate(np.where(new_day, rows, 0))
        day_end = np.searchsorted(day_first, day_first, side="right") if len(rows) else rows
        kind = np.where(history.weight > EVENT_WEIGHTS[EventKind.Click], BUY, CLICK)
        return cls(history, first, day_first, day_end, kind)

    def past(
        self, rows: Codes, n: int, *, together: float = 0.0, rng: np.random.Generator | None = None
    ) -> Past:
        """What the users of the interactions `rows` had done before those days.

        Of the share `together` of them, drawn with `rng`, the past also holds some of what the user took on the same
        day, as if that day had been the one before: a basket with a product taken out of it.
        """
        ends, moment = self.day_first[rows], np.floor(self.history.day[rows])
        if rng is None or together == 0:
            return self._before(self.first[rows], ends, moment, n)
        whole = rng.random(len(rows)) < together
        shown = rng.random(len(rows))[:, None] > rng.random((len(rows), n))
        return self._before(
            self.first[rows], np.where(whole, self.day_end[rows], ends), np.where(whole, moment + 1, moment), n,
            hidden=lambda drawn: (drawn >= ends[:, None]) & ((drawn == rows[:, None]) | ~shown),
        )

    def past_of_users(self, users: Codes, n: int, *, now: float) -> Past:
        """What `users` (codes, −1 = unknown) had done before `now` (days)."""
        ends = np.searchsorted(self.history.user, users, side="right")
        starts = np.where(users < 0, ends, np.searchsorted(self.history.user, users, side="left"))
        return self._before(starts, ends, np.full(len(users), now), n)

    def _before(
        self, starts: Codes, ends: Codes, now: npt.NDArray[np.float64], n: int, *,
        hidden: Callable[[Codes], npt.NDArray[np.bool_]] | None = None,
    ) -> Past:
        rows = ends[:, None] - 1 - np.arange(n)[None, :]
        there = rows >= starts[:, None]
        if hidden is not None:
            there &= ~hidden(rows)
            front = np.argsort(~there, axis=1, kind="stable")
            rows, there = np.take_along_axis(rows, front, axis=1), np.take_along_axis(there, front, axis=1)
        rows = np.where(there, rows, 0)
        history = self.history
        if not len(history.item):
            nothing = np.full(rows.shape, -1, np.int64)
            return Past(nothing, np.zeros_like(nothing), np.zeros(rows.shape, np.float32))
        ages = np.maximum(now[:, None] - history.day[rows], 0.0)
        return Past(
            np.where(there, history.item[rows], -1), np.where(there, self.kind[rows], CLICK),
            np.where(there, ages, 0.0).astype(np.float32),
        )
