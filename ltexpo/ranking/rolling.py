"""Training events → past days, each with the candidates, features and outcomes that the ranker learns from.

For each of the last days, everything is made from the days before it alone, as on the day that is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.history import History
from ltexpo.data.tail import TailSpec
from ltexpo.errors import SplitError
from ltexpo.progress import track
from ltexpo.ranking.baskets import cut_baskets
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.demand import DemandDay, DemandSettings, fit_demand
from ltexpo.ranking.features import CandidateFeatures, Candidates, FeatureSettings, Vectors
from ltexpo.ranking.gbm import Gbm
from ltexpo.ranking.item_features import item_features
from ltexpo.sparse import Csr, csr


class RollingSettings(Settings):
    """Which past days the ranker learns from."""

    days: int = Field(3, ge=1)
    """The last so many days; fewer where too few users come back."""
    min_users: int = Field(100, ge=1)
    """A day with fewer returning users is left out, and so is what lies before it."""
    max_users: int = Field(5000, ge=1)
    """At most this many users of a day are drawn."""
    max_baskets: int = Field(3000, ge=0)
    """At most this many baskets of a day are cut in two to learn from; 0: none."""
    family_column: str | None = None
    """Column of items whose holders are told apart only by colour or size: demand is never learnt from one for
    another; null: each item is its own family."""
    demand: DemandSettings = DemandSettings()
    """Expected demand of an item."""


@dataclass(frozen=True)
class LabelDay:
    """One past day: candidates of its users, from the days before it, and what they took on it."""

    day: pd.Timestamp
    user_ids: "pd.Index[Any]"
    """(B,)"""
    candidates: Candidates
    outcome: npt.NDArray[np.int8]
    """(n,) 1 where the user took the candidate."""
    wanted: Csr
    """(B, I): all that the users took, candidates or not."""
    tier: npt.NDArray[np.object_]
    """(I,) before the day."""

    @property
    def group(self) -> npt.NDArray[np.object_]:
        """(n,) user_id of each candidate."""
        return np.asarray(self.user_ids.to_numpy(dtype=object)[self.candidates.user])

    @property
    def in_tail(self) -> npt.NDArray[np.bool_]:
        """(n,) tail and new items that are not among the user's latest: see `Ranker.score`."""
        return self.candidates.in_tail(self.tier)


@dataclass(frozen=True)
class Rolled:
    """The past days, what they say about demand, and the features as of now."""

    days: list[LabelDay]
    """Users who came back, oldest day first."""
    baskets: list[LabelDay]
    """Users whose basket of the day was cut in two (see `baskets`)."""
    demand: Gbm
    now: CandidateFeatures
    """Fitted on all training events."""


@dataclass(frozen=True)
class _Past:
    day: pd.Timestamp
    history: History
    on_day: pd.DataFrame
    tier: npt.NDArray[np.object_]
    known: pd.DataFrame
    taken: npt.NDArray[np.int64]


def roll(
    items: pd.DataFrame, events: pd.DataFrame, make_blend: Callable[[], Blend], *, features: FeatureSettings,
    settings: RollingSettings, event_weights: dict[str, float], tail: TailSpec, vectors: Vectors | None = None,
    exclude_seen: bool = False, rng: int | np.random.Generator = 0,
) -> Rolled:
    """Make label days from `events` (training events only), learn demand from them, and fit the features as of now.

    `make_blend` gives a new blend for each fit; `vectors` (name → (I, d)) are in the order of sorted item ids, which
    is that of every history's item codes. Raises `SplitError` when no day has `min_users` returning users.
    """
    rng = np.random.default_rng(rng)
    acted = events[events[Columns.Event].map(event_weights).fillna(0.0) > 0]
    past = _past_days(items, acted, features, settings, event_weights, tail, vectors)
    now = History.of(items, acted, event_weights=event_weights)
    items = now.in_code_order(items)
    family = _family(items, settings.family_column)
    demand = fit_demand([DemandDay(one.known, one.taken.astype(float)) for one in past], family, settings.demand, rng)
    days, baskets = [], []
    for one in track(past, "label days", total=len(past)):
        made = CandidateFeatures(make_blend(), features, vectors=vectors).fit(
            one.history, items, one.tier, known=one.known, demand=demand.score_unseen(one.known, family)
        )
        days.append(_label_day(one, made, settings.max_users, exclude_seen, rng))
        cut = cut_baskets(one.history, one.on_day, max_users=settings.max_baskets, rng=rng)
        if cut is not None and settings.max_baskets:
            baskets.append(_labelled(one, made.adopt(cut.history), np.arange(cut.history.n_users), cut.wanted,
                                     cut.history, exclude_seen))
    known = item_features(now, items, features.item, vectors=vectors)
    tier = tail.assign(items, acted)[Columns.Tier].to_numpy(dtype=object)
    latest = CandidateFeatures(make_blend(), features, vectors=vectors).fit(
        now, items, tier, known=known, demand=demand.score(known)
    )
    return Rolled(days, baskets, demand, latest)


def _past_days(
    items: pd.DataFrame, acted: pd.DataFrame, features: FeatureSettings, settings: RollingSettings,
    event_weights: dict[str, float], tail: TailSpec, vectors: Vectors | None,
) -> list[_Past]:
    dates = acted[Columns.Timestamp].dt.floor("D")
    past: list[_Past] = []
    for day in sorted(dates.unique(), reverse=True)[: settings.days]:
        earlier, on_day = acted[dates < day], acted[dates == day]
        later = on_day[on_day[Columns.User].isin(earlier[Columns.User])]
        if later[Columns.User].nunique() < settings.min_users:
            break
        history = History.of(items, earlier, event_weights=event_weights)
        ordered = history.in_code_order(items)
        pairs = on_day.drop_duplicates([Columns.User, Columns.Item])
        past.append(_Past(
            day, history, on_day, tail.assign(ordered, earlier)[Columns.Tier].to_numpy(dtype=object),
            item_features(history, ordered, features.item, vectors=vectors),
            np.bincount(history.item_ids.codes(pairs[Columns.Item]), minlength=history.n_items),
        ))
    if not past:
        raise SplitError(
            f"on the last day of training fewer than {settings.min_users} users come back, so the ranker has nothing "
            "to learn from. Lower rolling.min_users or use the blend."
        )
    return past[::-1]


def _label_day(
    past: _Past, made: CandidateFeatures, max_users: int, exclude_seen: bool, rng: np.random.Generator
) -> LabelDay:
    history = past.history
    user = history.user_ids.codes_or_missing(past.on_day[Columns.User])
    item = history.item_ids.codes(past.on_day[Columns.Item])
    users = np.unique(user[user >= 0])
    if len(users) > max_users:
        users = np.sort(rng.choice(users, max_users, replace=False))
    inside = np.isin(user, users)
    wanted = csr(
        (np.ones(int(inside.sum()), dtype=np.float32), (np.searchsorted(users, user[inside]), item[inside])),
        shape=(len(users), history.n_items),
    )
    return _labelled(past, made, users, wanted, history, exclude_seen)


def _labelled(
    past: _Past, made: CandidateFeatures, users: npt.NDArray[np.int64], wanted: Csr, asked: History, exclude_seen: bool
) -> LabelDay:
    skip = asked.seen()[users] if exclude_seen else None
    if skip is not None:
        wanted = csr(wanted - wanted.multiply(skip > 0))
        wanted.eliminate_zeros()
    candidates = made.table(users, skip=skip)
    return LabelDay(
        past.day, asked.user_ids.ids[users], candidates, candidates.outcome(wanted), wanted, past.tier
    )


def _family(items: pd.DataFrame, column: str | None) -> npt.NDArray[np.int64]:
    if column is None:
        return np.arange(len(items))
    codes = pd.factorize(items[column])[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes
