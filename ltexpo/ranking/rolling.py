"""Training events → past days, each with the candidates, features and outcomes that the ranker learns from.

For each of the last days, everything is made from the days before it alone, as on the day that is asked for. Where
impressions are logged, the outcomes are those of what was shown; else of candidates, which users took or did not take.
"""

from collections.abc import Callable, Mapping, Sequence
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
from ltexpo.ranking.asked import Asked, Texts, askers, cleaned
from ltexpo.ranking.baskets import cut_baskets
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.demand import DemandDay, DemandSettings, fit_demand
from ltexpo.ranking.features import CandidateFeatures, Candidates, FeatureSettings, Vectors
from ltexpo.ranking.gbm import Gbm
from ltexpo.ranking.item_features import item_features
from ltexpo.ranking.looks import looks
from ltexpo.ranking.matching import Matcher
from ltexpo.ranking.shown import Shown
from ltexpo.sparse import Csr, csr


class RollingSettings(Settings):
    """Which past days the ranker learns from."""

    days: int = Field(3, ge=1)
    """The last so many days; fewer where too few users come back."""
    min_users: int = Field(100, ge=1)
    """A day with fewer returning users is left out, and so is what lies before it."""
    min_clicks: int = Field(500, ge=1)
    """With so many clicks on impressions of these days, the ranker learns from impressions."""
    max_users: int = Field(5000, ge=1)
    """At most this many users of a day are drawn."""
    max_baskets: int = Field(3000, ge=0)
    """At most this many baskets of a day are cut in two to learn from; 0: none."""
    as_new: float = Field(0.2, ge=0, lt=1)
    """Where impressions are learnt from: this share of the products is met a second time, with all its past taken away,
    so that the ranker learns what products are worth that nobody was shown yet; 0: none."""
    family_column: str | None = None
    """Column of items whose holders are told apart only by colour or size: demand is never learnt from one for
    another; null: each item is its own family."""
    demand: DemandSettings = DemandSettings()
    """Expected demand of an item."""


@dataclass(frozen=True)
class Looks:
    """m impressions of a day, one by one."""

    row: npt.NDArray[np.int64]
    """(m,) the candidate that was shown."""
    examined: npt.NDArray[np.float64]
    """(m,)"""
    clicked: npt.NDArray[np.bool_]
    """(m,)"""


@dataclass(frozen=True)
class LabelDay:
    """One past day: candidates of its users, from the days before it, and what they took on it."""

    day: pd.Timestamp
    user_ids: "pd.Index[Any]"
    """(B,) one for each user; for each user and query where queries are read"""
    candidates: Candidates
    outcome: npt.NDArray[np.int8]
    """(n,) 1 where the user took the candidate."""
    wanted: Csr
    """(B, I): all that the users took, candidates or not."""
    tier: npt.NDArray[np.object_]
    """(I,) before the day."""
    examined: npt.NDArray[np.float64] | None = None
    """(n,) where candidates are what was shown: the probability that the user looked at it on that day."""
    propensity: npt.NDArray[np.float64] | None = None
    """(n,) where it was logged: of having been shown where it was."""
    looks: Looks | None = None
    """Where candidates are what was shown: every impression by itself."""
    queries: Texts | None = None
    """(B,) what was typed, '' where nothing; a user is there once for each query. None where none is read."""

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
    """The past days, and what they say about demand."""

    days: list[LabelDay]
    """Users who came back, oldest day first."""
    baskets: list[LabelDay]
    """Users whose basket of the day was cut in two (see `baskets`)."""
    demand: Gbm
    as_new: list[LabelDay]
    """Impressions of products whose past was taken away; see `RollingSettings.as_new`."""


@dataclass(frozen=True)
class _Past:
    day: pd.Timestamp
    history: History
    on_day: pd.DataFrame
    visited: History
    """The same with everybody who was shown something on the day."""
    shown: Shown | None
    tier: npt.NDArray[np.object_]
    known: pd.DataFrame
    taken: npt.NDArray[np.int64]
    looked: pd.DataFrame | None
    """See `looks`; None where no impression has a rank."""


def label_dates(
    events: pd.DataFrame, settings: RollingSettings, event_weights: Mapping[str, float]
) -> list[pd.Timestamp]:
    """The days that the ranker learns from, oldest first: whatever feeds it may have seen only what lies before them.

    Raises `SplitError` when no day has `min_users` returning users.
    """
    acted = _acted(events, event_weights)
    dates = acted[Columns.Timestamp].dt.floor("D")
    first = acted.groupby(Columns.User)[Columns.Timestamp].min().dt.floor("D")
    found: list[pd.Timestamp] = []
    back = 0
    for day in sorted(dates.unique(), reverse=True)[: settings.days]:
        users = acted.loc[dates == day, Columns.User].unique()
        back = int((first.reindex(users) < day).sum())
        if back < settings.min_users:
            break
        found.append(day)
    if not found:
        raise SplitError(
            f"on the last day of training {back} users come back, fewer than rolling.min_users = {settings.min_users}: "
            "the ranker has too little to learn from. Lower it, train on more events, or use the blend."
        )
    return found[::-1]


def roll(
    items: pd.DataFrame, events: pd.DataFrame, make_blend: Callable[[], Blend], *, features: FeatureSettings,
    settings: RollingSettings, event_weights: dict[str, float], tail: TailSpec, vectors: Vectors | None = None,
    matcher: Matcher | None = None, attention: str | tuple[float, ...] = "log2", exclude_seen: bool = False,
    read_as_new: Callable[[npt.NDArray[np.object_]], tuple[Vectors, Matcher | None]] | None = None,
    asked: Asked | None = None, rng: int | np.random.Generator = 0,
) -> Rolled:
    """Make label days from `events` (training events only), and learn demand from them.

    `make_blend` gives a new blend for each fit; `vectors` (name → (I, d)) are in the order of sorted item ids, which
    is that of every history's item codes. Vectors and `matcher` may have learnt from events before `label_dates` only.
    `attention` is what impressions were looked at with. `read_as_new` gives vectors and matcher that know nothing of
    the behaviour of some products (item_ids); none: no product is met as new. `asked` reads what users typed; none: it
    is not looked at. Raises `SplitError`: see `label_dates`.
    """
    rng = np.random.default_rng(rng)
    past = _past_days(items, events, features, settings, event_weights, tail, vectors, attention)
    items = past[0].history.in_code_order(items)
    family = _family(items, settings.family_column)
    demand = fit_demand([DemandDay(one.known, one.taken.astype(float)) for one in past], family, settings.demand, rng)
    clicks = sum(int(one.shown.clicked.sum()) for one in past if one.shown is not None)
    days, baskets = [], []

    def made_on(one: _Past, vectors: Vectors | None, matcher: Matcher | None) -> CandidateFeatures:
        return CandidateFeatures(make_blend(), features, vectors=vectors, matcher=matcher, asked=asked).fit(
            one.history, items, one.tier, known=one.known, demand=demand.score_unseen(one.known, family),
            looked=one.looked,
        )

    for one in track(past, "label days", total=len(past)):
        made = made_on(one, vectors, matcher)
        if clicks >= settings.min_clicks:
            if one.shown is not None:
                days.append(_shown_day(one, one.shown, made, settings.max_users, rng))
            continue
        days.append(_label_day(one, made, settings.max_users, exclude_seen, rng))
        cut = cut_baskets(one.history, one.on_day, max_users=settings.max_baskets, rng=rng)
        if cut is not None and settings.max_baskets:
            baskets.append(_labelled(one, made.adopt(cut.history), np.arange(cut.history.n_users), cut.wanted,
                                     cut.history, exclude_seen))
    as_new = []
    if days and settings.as_new and read_as_new is not None:
        # a stream of its own: what is drawn here changes nothing else
        ids = items[Columns.Item].to_numpy(dtype=object)
        drawn = ids[rng.spawn(1)[0].random(len(ids)) < settings.as_new]
        vectors, matcher = read_as_new(drawn)
        past = _past_days(items, events, features, settings, event_weights, tail, vectors, attention, as_new=drawn)
        for one in track(past, "label days, products as new", total=len(past)):
            if one.shown is not None and len(one.shown.item):
                made = made_on(one, vectors, matcher)
                as_new.append(_shown_day(one, one.shown, made, settings.max_users, rng.spawn(1)[0]))
    return Rolled(days, baskets, demand, as_new)


def by_day(values: npt.NDArray[np.float64], days: Sequence[LabelDay]) -> list[npt.NDArray[np.float64]]:
    """`values` of the candidates of all days, one after the other, cut into one array per day."""
    return np.split(values, np.cumsum([len(day.outcome) for day in days])[:-1])


def _acted(events: pd.DataFrame, event_weights: Mapping[str, float]) -> pd.DataFrame:
    return events[events[Columns.Event].map(event_weights).fillna(0.0) > 0]


def _past_days(
    items: pd.DataFrame, events: pd.DataFrame, features: FeatureSettings, settings: RollingSettings,
    event_weights: dict[str, float], tail: TailSpec, vectors: Vectors | None, attention: str | tuple[float, ...], *,
    as_new: npt.NDArray[np.object_] | None = None,
) -> list[_Past]:
    """With `as_new` the past holds nothing of these products (item_ids), and what was shown on the day only them."""
    acted = _acted(events, event_weights)
    dates, every = (table[Columns.Timestamp].dt.floor("D") for table in (acted, events))
    gone, gone_too = (table[Columns.Item].isin([] if as_new is None else as_new) for table in (acted, events))
    ranked = Columns.Rank in events.columns and bool(events[Columns.Rank].notna().any())
    past: list[_Past] = []
    for day in label_dates(events, settings, event_weights):
        earlier, on_day = acted[(dates < day) & ~gone], acted[dates == day]
        history = History.of(items, earlier, event_weights=event_weights)
        ordered = history.in_code_order(items)
        pairs = on_day.drop_duplicates([Columns.User, Columns.Item])
        taken = np.bincount(history.item_ids.codes(pairs[Columns.Item]), minlength=history.n_items)
        visits, before = events[every == day], events[(every < day) & ~gone_too]
        visited = history.also(visits[Columns.User].unique())
        shown = Shown.of(visits, visited, attention)
        if shown is not None and as_new is not None:
            shown = shown.rows(np.isin(shown.item, history.item_ids.codes(as_new)))
        past.append(_Past(
            day, history, on_day, visited, shown,
            tail.assign(ordered, earlier)[Columns.Tier].to_numpy(dtype=object),
            item_features(history, ordered, features.item, vectors=vectors), taken,
            looks(before, history.item_ids, attention) if ranked else None,
        ))
    return past


def _shown_day(
    past: _Past, shown: Shown, made: CandidateFeatures, max_users: int, rng: np.random.Generator
) -> LabelDay:
    """What users were shown, newcomers among them; a product that a user was shown several times is one row."""
    users = np.unique(shown.user)
    if len(users) > max_users:
        users = np.sort(rng.choice(users, max_users, replace=False))
    shown = shown.of_users(users)
    n_items = past.visited.n_items
    users, queries, asker = askers(shown.user, None if made.asked is None else shown.query)
    key, row = np.unique(asker * n_items + shown.item, return_inverse=True)
    user, item = np.divmod(key, n_items)
    unseen, clicked = np.ones(len(key)), np.zeros(len(key), dtype=np.int8)
    np.multiply.at(unseen, row, 1 - shown.examined)
    np.maximum.at(clicked, row, shown.clicked.astype(np.int8))
    chance = None if shown.propensity is None else np.bincount(row, weights=shown.propensity) / np.bincount(row)
    shape = (len(users), n_items)
    pairs = csr((np.ones(len(key), dtype=np.float32), (user, item)), shape=shape)
    wanted = csr((clicked[clicked > 0].astype(np.float32), (user[clicked > 0], item[clicked > 0])), shape=shape)
    candidates = made.adopt(past.visited).table(users, pairs=pairs, queries=queries)
    return LabelDay(
        past.day, past.visited.user_ids.ids[users], candidates, clicked, wanted, past.tier,
        examined=1 - unseen, propensity=chance, looks=Looks(row, shown.examined, shown.clicked), queries=queries,
    )


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
    typed = None
    if made.asked is not None and Columns.Query in past.on_day.columns:
        typed = cleaned(past.on_day[Columns.Query])[inside]
    users, queries, asker = askers(user[inside], typed)
    wanted = csr(
        (np.ones(len(asker), dtype=np.float32), (asker, item[inside])), shape=(len(users), history.n_items),
    )
    return _labelled(past, made, users, wanted, history, exclude_seen, queries)


def _labelled(
    past: _Past, made: CandidateFeatures, users: npt.NDArray[np.int64], wanted: Csr, visits: History,
    exclude_seen: bool, queries: Texts | None = None,
) -> LabelDay:
    skip = visits.seen()[users] if exclude_seen else None
    if skip is not None:
        wanted = csr(wanted - wanted.multiply(skip > 0))
        wanted.eliminate_zeros()
    candidates = made.table(users, skip=skip, queries=queries)
    return LabelDay(
        past.day, visits.user_ids.ids[users], candidates, candidates.outcome(wanted), wanted, past.tier,
        queries=queries,
    )


def _family(items: pd.DataFrame, column: str | None) -> npt.NDArray[np.int64]:
    if column is None:
        return np.arange(len(items))
    codes = pd.factorize(items[column])[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes
