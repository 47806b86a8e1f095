"""A day's events → the lists that were shown, slot by slot: how well examined, with which score, clicked or not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.monitor.published import Published
from ltexpo.monitor.rows import NAN, Array

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """Impressions of one day in slots 1 to k, once each (n,)."""

    item: npt.NDArray[np.object_]
    user: Codes
    request: Codes
    rank: Codes
    clicked: npt.NDArray[np.bool_]
    actions: dict[str, npt.NDArray[np.bool_]]
    """Event → whether it followed (n,): click, cart, purchase."""
    n_users: int
    n_requests: int

    def __len__(self) -> int:
        return len(self.item)


def shown_lists(events: pd.DataFrame) -> Shown | None:
    """The impressions of a day's `events` that carry request_id and rank; None where there is not one.

    An event belongs to the impression of the same request and item. A slot that was logged twice counts once.
    """
    if Columns.Request not in events.columns or Columns.Rank not in events.columns:
        return None
    seen = events[(events[Columns.Event] == EventKind.Impression) & events[Columns.Request].notna()
                  & events[Columns.Rank].notna()]
    if seen.empty:
        return None
    requests, request_ids = pd.factorize(seen[Columns.Request])
    items, item_ids = pd.factorize(seen[Columns.Item])
    users, user_ids = pd.factorize(seen[Columns.User])
    key = requests.astype(np.int64) * len(item_ids) + items
    _, first = np.unique(key, return_index=True)
    first.sort()
    key = key[first]
    actions = {}
    for kind in (EventKind.Click, EventKind.Cart, EventKind.Purchase):
        done = events[events[Columns.Event] == kind]
        actions[kind] = np.isin(key, _keys(done, pd.Index(request_ids), pd.Index(item_ids)))
    return Shown(
        np.asarray(item_ids, dtype=object)[items[first]], users[first].astype(np.int64),
        requests[first].astype(np.int64), seen[Columns.Rank].to_numpy(np.int64)[first], actions[EventKind.Click],
        actions, len(user_ids), len(request_ids),
    )


def _keys(events: pd.DataFrame, requests: "pd.Index[Any]", items: "pd.Index[Any]") -> Codes:
    """request × item of `events`, as in `shown_lists`; what was not shown is left out."""
    request, item = requests.get_indexer(pd.Index(events[Columns.Request])), items.get_indexer(
        pd.Index(events[Columns.Item]))
    inside = (request >= 0) & (item >= 0)
    keys: Codes = request[inside].astype(np.int64) * len(items) + item[inside]
    return keys


@dataclass(frozen=True)
class Scored:
    """What the published lists say of the impressions shown (n,)."""

    score: Array
    """NaN where the slot's item was not in the published list."""
    by: str
    """Column by which lists were found: request_id or user_id."""

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the item was in the published list."""
        return np.isfinite(self.score)


def scored(events: pd.DataFrame, shown: Shown, published: Published) -> Scored | None:
    """The published scores of what was `shown`; None without lists, or where no list of theirs was shown at all.

    Lists are found by request_id, or by user_id where the log numbers its requests anew.
    """
    lists = published.rankings
    if lists is None:
        return None
    seen = events[(events[Columns.Event] == EventKind.Impression) & events[Columns.Request].notna()
                  & events[Columns.Rank].notna()]
    requests, users = pd.unique(seen[Columns.Request]), pd.unique(seen[Columns.User])
    listed = pd.Index(lists[Columns.Request].unique())
    by, ids, codes = Columns.Request, pd.Index(requests), shown.request
    owner = lists[Columns.Request]
    if not (listed.get_indexer(ids) >= 0).any():
        by, ids, codes = Columns.User, pd.Index(users), shown.user
        owner = lists[Columns.User if Columns.User in lists.columns else Columns.Request]
    place = ids.get_indexer(pd.Index(owner))
    mine = place >= 0
    if not mine.any():
        return None
    all_items = pd.Index(pd.unique(lists[Columns.Item]))
    key = place[mine].astype(np.int64) * len(all_items) + all_items.get_indexer(pd.Index(lists[Columns.Item][mine]))
    has_score = Columns.Score in lists.columns
    score = lists[Columns.Score].to_numpy(np.float64)[mine] if has_score else np.zeros(int(mine.sum()))
    order = np.argsort(key, kind="stable")
    key, score = key[order], score[order]
    item = all_items.get_indexer(pd.Index(shown.item))
    wanted = codes * len(all_items) + item
    at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    hit = (item >= 0) & (key[at] == wanted)
    return Scored(np.where(hit, score[at], NAN), by)
