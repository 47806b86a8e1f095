"""Events with request, rank and propensity → the log as arrays: what was shown where, how likely, what it earned."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.dataset import Dataset
from ltexpo.data.ids import IdMap
from ltexpo.errors import ColumnError, TableError
from ltexpo.simulate.ope.propensities import frequencies
from ltexpo.simulate.ope.settings import LogSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Logged:
    """R requests of up to K slots; column k is rank k + 1. A slot that was not logged has item −1 and reward 0."""

    request_ids: pd.Index
    """(R,) sorted."""
    users: Integers
    """(R,) code of each request's user."""
    user_ids: pd.Index
    """Sorted; code u stands for `user_ids[u]`."""
    items: Integers
    """(R, K) codes of `item_map`."""
    rewards: Floats
    """(R, K)"""
    propensities: Floats
    """(R, K) P(item | above) or P(item at this rank), by `kind`; 1 where there is no slot."""
    kind: str
    """"conditional" or "marginal"."""
    item_map: IdMap
    """The items that the log shows."""
    segments: Integers
    """(R,) code of each request's segment; 0 everywhere without segments."""
    context: pd.DataFrame
    """(R rows) the columns that were asked for."""
    estimated: bool = False
    """Whether the propensities are frequencies of this very log."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why rows of the events were not used → how many."""

    @property
    def shown(self) -> Flags:
        """(R, K) whether the slot was logged."""
        return self.items >= 0

    @property
    def single(self) -> bool:
        """Whether every request is one slot, at whatever rank: nothing stands above anything."""
        return bool((self.shown.sum(axis=1) == 1).all())

    @property
    def repeats(self) -> bool:
        """Whether a list shows an item twice."""
        ordered = np.sort(self.items, axis=1)
        return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any())

    def take(self, keep: Flags, shown: Flags) -> "Logged":
        """The requests `keep` (R,), and of them the slots `shown` (R, K) only."""
        kept = shown[keep]
        return replace(
            self, request_ids=self.request_ids[keep], users=self.users[keep],
            items=np.where(kept, self.items[keep], -1), rewards=np.where(kept, self.rewards[keep], 0.0),
            propensities=np.where(kept, self.propensities[keep], 1.0), segments=self.segments[keep],
            context=self.context[keep].reset_index(drop=True),
        )

    def clusters(self, by: str) -> npt.NDArray[Any]:
        """(R,) what is independent of one another: "user" or "request"."""
        return self.users if by == "user" else np.arange(len(self.users))


def read_log(dataset: Dataset, settings: LogSettings | None = None, *, context: Sequence[str] = ()) -> Logged:
    """The impressions of `dataset` as a log; `context` names further columns of events or users to keep by request.

    Lists must be whole: ranks 1, 2, … without holes; or every request a single slot. What is left out is counted.
    Raises `TableError` or `ColumnError`: no impressions, no or a missing propensity, two items in one slot.
    """
    settings = settings or LogSettings()
    events = dataset.require_events("off-policy evaluation")
    missing = [column for column in (Columns.Request, Columns.Rank) if column not in events.columns]
    if missing:
        raise ColumnError(
            f"events lacks {', '.join(map(repr, missing))}, which say what was shown together and where. "
            "Log the request and the rank of every impression."
        )
    left_out: dict[str, int] = {}
    impressions = _impressions(events, left_out)
    requests, request_ids = pd.factorize(impressions[Columns.Request], sort=True)
    item_map = IdMap.of(impressions[Columns.Item])
    rows = pd.DataFrame({
        "request": requests, "rank": impressions[Columns.Rank].to_numpy(np.int64) - 1,
        "item": item_map.codes(impressions[Columns.Item]),
    }, index=impressions.index)
    _refuse_two_in_a_slot(rows, pd.Index(request_ids), item_map)
    logged_propensity = None if settings.propensities == "estimated" else _propensities(impressions)
    shape = (len(request_ids), int(rows["rank"].max()) + 1)
    items = np.full(shape, -1, dtype=np.int64)
    items[rows["request"], rows["rank"]] = rows["item"]
    propensities = np.ones(shape)
    if logged_propensity is not None:
        propensities[rows["request"], rows["rank"]] = logged_propensity
    first = impressions.iloc[np.lexsort((rows["rank"], rows["request"]))].drop_duplicates(Columns.Request)
    users, user_ids = pd.factorize(first[Columns.User], sort=True)
    frame = _context(first, dataset.users, (*settings.segment, *context))
    log = Logged(
        pd.Index(request_ids), np.asarray(users, dtype=np.int64), pd.Index(user_ids), items,
        _rewards(events, items, pd.Index(request_ids), item_map, settings.reward, left_out), propensities,
        "conditional" if settings.propensities == "conditional" else "marginal", item_map,
        _segments(frame, settings.segment), frame, settings.propensities == "estimated", left_out,
    )
    log = _whole_lists(log)
    if log.estimated:
        log = replace(log, propensities=frequencies(log.items, log.segments, smoothing=settings.smoothing))
    return log


def _impressions(events: pd.DataFrame, left_out: dict[str, int]) -> pd.DataFrame:
    impressions = events[events[Columns.Event] == EventKind.Impression]
    if impressions.empty:
        kinds = ", ".join(sorted(events[Columns.Event].unique()))
        raise TableError(f"events holds no impressions, only {kinds}. Log what was shown, not only what was clicked.")
    nowhere = impressions[Columns.Request].isna() | impressions[Columns.Rank].isna()
    if nowhere.all():
        raise TableError(f"none of the {len(impressions)} impressions has a request_id and a rank. Log both.")
    if nowhere.any():
        left_out["impressions without request_id or rank"] = int(nowhere.sum())
        impressions = impressions[~nowhere]
    twice = impressions.duplicated([Columns.Request, Columns.Rank, Columns.Item])
    if twice.any():
        left_out["impressions logged twice"] = int(twice.sum())
        impressions = impressions[~twice]
    return impressions


def _refuse_two_in_a_slot(rows: pd.DataFrame, request_ids: pd.Index, item_map: IdMap) -> None:
    clash = rows.duplicated(["request", "rank"])
    if clash.any():
        row = rows[clash].iloc[0]
        both = rows[(rows["request"] == row["request"]) & (rows["rank"] == row["rank"])]["item"].to_numpy()[:2]
        raise TableError(
            f"events: a request shows '{item_map.ids[both[0]]}' and "
            f"'{item_map.ids[both[1]]}' at rank {row['rank'] + 1} ({int(clash.sum())} such slots). "
            "Give every list a request_id of its own."
        )


def _propensities(impressions: pd.DataFrame) -> Floats:
    estimate = "Log it for every shown slot, or set propensities: estimated."
    if Columns.Propensity not in impressions.columns:
        raise ColumnError(f"events lacks '{Columns.Propensity}', the chance that each slot had to be shown. {estimate}")
    values = impressions[Columns.Propensity].to_numpy(np.float64)
    # the table's contract refuses the others already, where the table came through it
    for bad, what in (
        (np.isnan(values), "missing"), (values <= 0, "0 or less"), (values > 1, "above 1"),
    ):
        if bad.any():
            row = impressions.iloc[int(np.flatnonzero(bad)[0])]
            raise ColumnError(
                f"events: '{Columns.Propensity}' is {what} in {int(bad.sum())} of {len(values)} impressions, first in "
                f"row {row.name}, at rank {row[Columns.Rank]}. {estimate}"
            )
    return values


def _rewards(
    events: pd.DataFrame, items: Integers, request_ids: pd.Index, item_map: IdMap, reward: str,
    left_out: dict[str, int],
) -> Floats:
    """(R, K): each rewarded event finds its slot by request, item and, where it has one, rank."""
    kind = EventKind.Purchase if reward == "revenue" else reward
    earned = events[events[Columns.Event] == kind]
    requests = np.asarray(request_ids.get_indexer(pd.Index(earned[Columns.Request])), dtype=np.int64)
    codes = item_map.codes_or_missing(earned[Columns.Item])
    ranks = earned[Columns.Rank].to_numpy(np.float64, na_value=np.nan)
    known = (requests >= 0) & (codes >= 0)
    matches = known[:, None] & (items[np.where(known, requests, 0)] == codes[:, None])
    at_rank = np.isnan(ranks)[:, None] | (np.arange(1, items.shape[1] + 1) == ranks[:, None])
    found = matches & at_rank
    hit = found.any(axis=1)
    if not hit.all():
        left_out[f"{kind}s on nothing that was shown in their request"] = int((~hit).sum())
    rewards = np.zeros(items.shape)
    slots = requests[hit], found[hit].argmax(axis=1)
    if reward != "revenue":
        rewards[slots] = 1.0
        return rewards
    if Columns.Price not in earned.columns:
        raise ColumnError("events lacks 'price', which revenue adds up. Log it, or set reward: purchase.")
    prices = earned[Columns.Price].to_numpy(np.float64)[hit]
    if np.isnan(prices).any():
        left_out["purchases without a price, counted as 0"] = int(np.isnan(prices).sum())
    np.add.at(rewards, slots, np.nan_to_num(prices))
    return rewards


def _context(first: pd.DataFrame, users: pd.DataFrame | None, names: Sequence[str]) -> pd.DataFrame:
    """(R rows) the columns `names` of the request's first impression, or of its user."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        if name in first.columns:
            columns[name] = first[name].to_numpy()
        elif users is not None and name in users.columns:
            columns[name] = first[Columns.User].map(users.set_index(Columns.User)[name]).to_numpy()
        else:
            raise ColumnError(
                f"'{name}' is not a column of events or users; found {', '.join(map(str, first.columns))}. "
                "Add it, or leave it out of the policy and of segment."
            )
    return pd.DataFrame(columns, index=pd.RangeIndex(len(first)))


def _segments(context: pd.DataFrame, names: tuple[str, ...]) -> Integers:
    """(R,) a code for each combination of the columns `names`; a missing value is a value."""
    if not names:
        return np.zeros(len(context), dtype=np.int64)
    codes = context[list(dict.fromkeys(names))].groupby(list(dict.fromkeys(names)), dropna=False, sort=True).ngroup()
    return np.asarray(codes, dtype=np.int64)


def _whole_lists(log: Logged) -> Logged:
    """`log` without lists that have holes, unless it is a log of single slots."""
    if log.single:
        return log
    lengths = log.shown.sum(axis=1)
    whole = log.shown[np.arange(len(lengths)), lengths - 1] & log.shown[:, 0]
    whole &= (log.shown == (np.arange(log.shown.shape[1]) < lengths[:, None])).all(axis=1)
    if whole.all():
        return log
    if not whole.any():
        raise TableError(
            f"none of the {len(whole)} requests has the ranks 1, 2, … without holes, nor is each a single slot. "
            "Log whole lists."
        )
    left_out = log.left_out | {"requests whose ranks have holes": int((~whole).sum())}
    return replace(log.take(whole, log.shown), left_out=left_out)
