"""Checked events → coded, timed interactions that every baseline is fitted on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.ids import IdMap
from ltexpo.errors import TableError
from ltexpo.sparse import Csr, csr

EVENT_WEIGHTS: Mapping[str, float] = {
    EventKind.Click: 1.0, EventKind.Cart: 2.0, EventKind.Purchase: 3.0, EventKind.Rating: 3.0,
}

_DAY = 86_400_000_000


@dataclass(frozen=True)
class History:
    """Interactions (N rows) sorted by user, time, item: one row per user, item and day; `now` is their latest time."""

    user_ids: IdMap
    item_ids: IdMap
    """The full catalogue: items without any interaction have codes too."""
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    day: npt.NDArray[np.float64]
    """Days since 1970-01-01 (UTC)."""
    weight: npt.NDArray[np.float64]
    now: float

    @classmethod
    def of(
        cls, items: pd.DataFrame, events: pd.DataFrame, *, event_weights: Mapping[str, float] = EVENT_WEIGHTS
    ) -> "History":
        """Interactions among `events`; of several on one day by one user with one item, the heaviest counts.

        Raises `TableError` when there is none.
        """
        weight = events[Columns.Event].map(event_weights).to_numpy(dtype=float, na_value=0.0)
        acted = events[weight > 0]
        if acted.empty:
            kinds = ", ".join(sorted(event_weights))
            raise TableError(f"events holds no interaction to learn from. Give events of kind {kinds}.")
        item_ids = IdMap.of(items[Columns.Item])
        user_ids = IdMap.of(acted[Columns.User])
        stamps = acted[Columns.Timestamp].to_numpy(dtype="datetime64[us]").astype(np.int64)
        frame = pd.DataFrame({
            "user": user_ids.codes(acted[Columns.User]),
            "item": item_ids.codes(acted[Columns.Item], what="events: item_id"),
            "date": stamps // _DAY,
            "day": stamps / _DAY,
            "weight": weight[weight > 0],
        })
        frame = frame.groupby(["user", "item", "date"], as_index=False, sort=False).max()
        frame = frame.sort_values(["user", "day", "item"], kind="stable")
        return cls(
            user_ids, item_ids, frame["user"].to_numpy(), frame["item"].to_numpy(), frame["day"].to_numpy(),
            frame["weight"].to_numpy(), float(frame["day"].max()),
        )

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """I, the full catalogue."""
        return len(self.item_ids)

    def decay(self, half_life: float | None) -> npt.NDArray[np.float64]:
        """0.5 ** (age / half_life) of each row (N,), age in days before `now`; ones when there is no half-life."""
        if half_life is None:
            return np.ones(len(self.day))
        return np.asarray(0.5 ** ((self.now - self.day) / half_life))

    def matrix(self, values: npt.NDArray[np.float64]) -> Csr:
        """CSR (U, I) with the sum of `values` (N,) over each user's rows with each item."""
        return csr((values, (self.user, self.item)), shape=(self.n_users, self.n_items))

    def profiles(self, half_life: float | None) -> Csr:
        """CSR (U, I): each user's interactions, decayed by their age before that user's latest one, summing to 1."""
        latest = np.full(self.n_users, -np.inf)
        np.maximum.at(latest, self.user, self.day)
        age = latest[self.user] - self.day
        values = self.weight * (1.0 if half_life is None else 0.5 ** (age / half_life))
        total = np.bincount(self.user, weights=values, minlength=self.n_users)
        return self.matrix(values / total[self.user])

    def counts(self) -> npt.NDArray[np.int64]:
        """Interactions of each item (I,)."""
        return np.bincount(self.item, minlength=self.n_items)

    def rows(self, keep: npt.NDArray[np.bool_]) -> "History":
        """The same users and items with only the rows marked in `keep` (N,)."""
        return replace(
            self, user=self.user[keep], item=self.item[keep], day=self.day[keep], weight=self.weight[keep]
        )

    def also(self, user_ids: Iterable[str]) -> "History":
        """The same rows with further users, who have none."""
        every = IdMap.of([*self.user_ids.ids, *user_ids])
        return replace(self, user_ids=every, user=every.codes(self.user_ids.ids)[self.user])

    def seen(self) -> Csr:
        """CSR (U, I): 1 where the user interacted with the item."""
        return self.matrix(np.ones(len(self.item)))

    def in_code_order(self, items: pd.DataFrame) -> pd.DataFrame:
        """The catalogue `items` with row i for item code i."""
        codes = self.item_ids.codes(items[Columns.Item])
        return items.iloc[np.argsort(codes, kind="stable")].reset_index(drop=True)
