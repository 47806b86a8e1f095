"""Logged impressions → what each user was shown, how likely it was looked at, and whether it was clicked."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.history import History
from ltexpo.metrics.attention import attention_weights
from ltexpo.ranking.asked import cleaned, typed_in

_LEAST = 1e-6


@dataclass(frozen=True)
class Shown:
    """n impressions: one product in one slot of one list."""

    user: npt.NDArray[np.int64]
    """(n,) codes of a history."""
    item: npt.NDArray[np.int64]
    """(n,) codes of its catalogue."""
    clicked: npt.NDArray[np.bool_]
    examined: npt.NDArray[np.float64]
    """(n,) probability that the slot was looked at, in (0, 1]."""
    propensity: npt.NDArray[np.float64] | None
    """(n,) probability that this product was shown there; None where an impression lacks it, as a part of them would
    stand for an unknown part."""
    query: npt.NDArray[np.object_] | None = None
    """(n,) what was typed for the list, '' where nothing; None where the log has no queries."""

    @classmethod
    def of(
        cls, events: pd.DataFrame, history: History, attention: str | tuple[float, ...]
    ) -> "Shown | None":
        """Impressions with request and rank among `events`, of users and items of `history`; None without any."""
        if Columns.Rank not in events.columns or Columns.Request not in events.columns:
            return None
        placed = events[Columns.Rank].notna() & events[Columns.Request].notna()
        shown = events[(events[Columns.Event] == EventKind.Impression) & placed]
        shown = shown[shown[Columns.User].isin(history.user_ids.ids)].drop_duplicates([Columns.Request, Columns.Item])
        if shown.empty:
            return None
        pair = [Columns.Request, Columns.Item]
        clicks = events.loc[events[Columns.Event] == EventKind.Click, pair]
        clicked = pd.MultiIndex.from_frame(shown[pair]).isin(pd.MultiIndex.from_frame(clicks))
        rank = shown[Columns.Rank].to_numpy(dtype=np.int64)
        curve = attention_weights(attention, int(rank.max()))
        propensity = None
        if Columns.Propensity in shown.columns:
            given = shown[Columns.Propensity].to_numpy(dtype=np.float64)
            propensity = given if bool((given > 0).all()) else None
        return cls(
            history.user_ids.codes(shown[Columns.User]), history.item_ids.codes(shown[Columns.Item]),
            np.asarray(clicked), np.maximum(curve[rank - 1], _LEAST), propensity, _typed(events, shown),
        )

    def of_users(self, users: npt.NDArray[np.int64]) -> "Shown":
        """The impressions of `users` (codes)."""
        return self.rows(np.isin(self.user, users))

    def rows(self, kept: npt.NDArray[np.bool_]) -> "Shown":
        """The impressions marked in `kept` (n,)."""
        return Shown(
            self.user[kept], self.item[kept], self.clicked[kept], self.examined[kept],
            None if self.propensity is None else self.propensity[kept],
            None if self.query is None else self.query[kept],
        )


def _typed(events: pd.DataFrame, shown: pd.DataFrame) -> npt.NDArray[np.object_] | None:
    """(n,) what was typed for the list of each of `shown`, on whichever of its events it was logged."""
    if not typed_in(events):
        return None
    text = pd.Series(cleaned(events[Columns.Query]), index=events.index)
    known = events.loc[(text != "") & events[Columns.Request].notna(), [Columns.Request]].assign(text=text)
    of_list = known.drop_duplicates(Columns.Request).set_index(Columns.Request)["text"]
    return cleaned(shown[Columns.Request].map(of_list))
