"""Training events → an earlier part to fit on and a later part to choose weights and calibrate on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import SplitError

_ENOUGH_USERS = 200
_ITEM_SHARE = 0.2


@dataclass(frozen=True)
class Holdout:
    """Two disjoint parts of the training events; `note` says how they were cut."""

    earlier: pd.DataFrame
    later: pd.DataFrame
    note: str


def hold_out(
    events: pd.DataFrame, event_weights: Mapping[str, float], *, days: int | None, rng: np.random.Generator
) -> Holdout:
    """The last `days` days are held out; with None the fewest of 1, 2, 4 … in which 200 earlier users come back.

    Where events have no usable times (one day in all, or too few users come back in the later half of the days), a
    fifth of each user's items is held out at random. Raises `SplitError` when nothing can be held out, or when `days`
    leaves nothing before or in the period.
    """
    dates = events[Columns.Timestamp].dt.floor("D")
    last = dates.max()
    acted = events[Columns.Event].isin([kind for kind, weight in event_weights.items() if weight > 0])
    if days is not None:
        found = _by_days(events, dates, acted, last, days)
        if not _returning(found, acted):
            raise SplitError(
                f"validation_days is {days}, but no user with earlier events acts in that period; events run from "
                f"{dates.min():%Y-%m-%d} to {last:%Y-%m-%d}. Choose another number or leave it null."
            )
        return found
    span = int((last - dates.min()) / pd.Timedelta(days=1)) + 1
    tried = 1
    best: Holdout | None = None
    while tried <= span // 2:
        best = _by_days(events, dates, acted, last, tried)
        if _returning(best, acted) >= _ENOUGH_USERS:
            return best
        tried *= 2
    if best is not None and _returning(best, acted) >= _ENOUGH_USERS // 10:
        return best
    return _by_items(events, acted, rng)


def _by_days(
    events: pd.DataFrame, dates: "pd.Series[pd.Timestamp]", acted: "pd.Series[bool]", last: pd.Timestamp, days: int
) -> Holdout:
    late = dates > last - pd.Timedelta(days=days)
    plural = "" if days == 1 else "s"
    return Holdout(events[~late], events[late], f"the last {days} day{plural} of training, to {last:%Y-%m-%d}")


def _returning(holdout: Holdout, acted: "pd.Series[bool]") -> int:
    """Users who act in both parts."""
    earlier, later = (part.loc[acted[part.index], Columns.User] for part in (holdout.earlier, holdout.later))
    return int(later[later.isin(earlier)].nunique())


def _by_items(events: pd.DataFrame, acted: "pd.Series[bool]", rng: np.random.Generator) -> Holdout:
    """Whole user–item pairs are held out, so that no held-out item is also in the user's earlier part."""
    pairs = events.loc[acted, [Columns.User, Columns.Item]].drop_duplicates()
    pairs = pairs.sort_values([Columns.User, Columns.Item], kind="stable")
    drawn = pairs.assign(draw=rng.random(len(pairs))).sort_values([Columns.User, "draw"], kind="stable")
    size = drawn.groupby(Columns.User)[Columns.Item].transform("size")
    place = drawn.groupby(Columns.User).cumcount()
    held = drawn[place < np.floor(size * _ITEM_SHARE + 0.5)]
    if held.empty or len(held) == len(pairs):
        raise SplitError("no user has three items, so nothing can be held out to choose weights. Give 'weights'.")
    inside = pd.MultiIndex.from_frame(events[[Columns.User, Columns.Item]]).isin(pd.MultiIndex.from_frame(
        held[[Columns.User, Columns.Item]]
    ))
    return Holdout(events[~inside], events[inside], f"{_ITEM_SHARE:.0%} of each user's items, drawn at random")
