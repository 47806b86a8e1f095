"""Events → lists as they were shown, with what was clicked in them, and a count of what could not be used."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.split import as_utc
from ltexpo.errors import ColumnError, ConfigError, SplitError, TableError

Codes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MOST_SLOTS = 2_000_000_000


@dataclass(frozen=True)
class Sessions:
    """R lists of up to K slots, ordered by request_id. What attracts is a key: an item, within its query and surface.

    A key is an item alone unless the log names queries or a surface column was given: the same product may attract
    differently under another query, and click models fit each surface from its own impressions.
    """

    items: npt.NDArray[np.int32]
    """(R, K) code of the key in each slot, rank 1 first; −1 below a list's end."""
    clicks: Bools
    """(R, K) whether it was clicked."""
    surface: Codes
    """(R,) code of the list's surface, 0 everywhere when none was given."""
    keys: pd.DataFrame
    """One row per key code: item_id, and query and the surface column where these tell keys apart."""
    surfaces: tuple[str, ...]
    """Names of the surfaces; ("all",) when none was given."""
    requests: "pd.Index[Any]"
    """(R,) request_id."""
    propensity: npt.NDArray[np.float64] | None
    """(R, K) probability that the log's policy put the key there, given what stood above; None where any lacks it."""
    users: npt.NDArray[Any] | None
    """(R,) user_id; None where the log has none."""
    times: "pd.Series[Any] | None"
    """(R,) when the first slot was shown; None where the log has no timestamps."""
    left_out: dict[str, int]
    """What was not used, reason → rows (or requests, as the reason says)."""

    @classmethod
    def of(
        cls,
        events: pd.DataFrame,
        *,
        surface: str | None = None,
        k: int | None = None,
        like: "Sessions | None" = None,
    ) -> "Sessions":
        """Impressions with request_id and rank among `events`, and the clicks on them.

        surface: column that tells surfaces apart (one per request). k: slots to keep; longer lists are cut, and said.
        like: take over its codes of keys and surfaces, so that a model fitted on it serves here too; keys that it does
        not hold get codes behind it.

        Requests whose ranks have holes or hold two items, and requests that show an item twice, are left out whole:
        a list that is known in part says nothing about what was above a click. Raises `TableError` or `ColumnError`.
        """
        log = _Log.of(events, surface)
        left_out = log.left_out
        shown = _whole_lists(log)
        depth = int(shown[Columns.Rank].max())
        if k is not None:
            if k < 1:
                raise ConfigError(f"k is {k}; a list needs at least one slot.")
            below = shown[Columns.Rank] > k
            _count(left_out, f"impressions below rank {k}", int(below.sum()))
            shown, depth = shown[~below], min(depth, k)
        shown = shown.sort_values([Columns.Request, Columns.Rank], ignore_index=True)
        kept, request = np.unique(shown[Columns.Request].to_numpy(), return_inverse=True)
        if len(kept) * depth > _MOST_SLOTS:
            raise TableError(f"{len(kept):,} lists of up to {depth:,} slots are too many. Say how many to keep: k.")
        slot = shown[Columns.Rank].to_numpy(dtype=np.int64) - 1
        names, surface_code = _surfaces(shown, surface, request, log.requests[kept], like)
        keys, key = _keys(shown, surface, log.items, like)
        items = np.full((len(kept), depth), -1, dtype=np.int32)
        items[request, slot] = key
        clicks = np.zeros(items.shape, dtype=np.bool_)
        hit = _clicked(shown, log)
        clicks[request[hit], slot[hit]] = True
        top = shown[slot == 0]
        users = top[Columns.User].to_numpy() if Columns.User in top.columns else None
        times = top[Columns.Timestamp].reset_index(drop=True) if Columns.Timestamp in top.columns else None
        propensity = _propensity(shown, request, slot, items.shape)
        return cls(items, clicks, surface_code, keys, names, log.requests[kept], propensity, users, times, left_out)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def k(self) -> int:
        """Slots of the longest list."""
        return int(self.items.shape[1])

    @property
    def shown(self) -> Bools:
        """(R, K) where a slot holds anything."""
        return self.items >= 0

    @property
    def impressions(self) -> int:
        """Slots shown in all."""
        return int(self.shown.sum())

    @property
    def clusters(self) -> npt.NDArray[Any]:
        """(R,) what lists may depend on each other within: their user where it is known."""
        return np.arange(len(self)) if self.users is None else self.users

    def rows(self, kept: Bools) -> "Sessions":
        """The lists marked in `kept` (R,), under the same codes."""
        return replace(
            self, items=self.items[kept], clicks=self.clicks[kept], surface=self.surface[kept],
            requests=self.requests[kept], propensity=None if self.propensity is None else self.propensity[kept],
            users=None if self.users is None else self.users[kept],
            times=None if self.times is None else self.times[kept].reset_index(drop=True),
        )

    def split(self, *, share: float = 0.25, since: str | None = None) -> tuple["Sessions", "Sessions"]:
        """Lists to fit on and lists held out: a `share` chosen by a hash of request_id, or all lists from `since` on.

        The hash gives the same split for any order of the log. Raises `SplitError` when a side is empty.
        """
        if since is not None:
            if self.times is None:
                raise SplitError("the log has no timestamps to split by. Split by hash.")
            held = (self.times >= as_utc(since)).to_numpy()
        else:
            if not 0 < share < 1:
                raise ConfigError(f"share is {share}; it must lie between 0 and 1.")
            hashed = pd.util.hash_array(self.requests.to_numpy(dtype=object)) >> np.uint64(11)
            held = hashed / float(1 << 53) < share
        if held.all() or not held.any():
            what = f"from {since} on" if since is not None else f"in a share of {share}"
            raise SplitError(f"{int(held.sum())} of {len(self)} lists are {what}: one side is empty. Split elsewhere.")
        return self.rows(~held), self.rows(held)

    def facts(self) -> dict[str, Any]:
        """Counts for a report: lists, impressions, clicks, keys, slots, and what was left out."""
        return {
            "requests": len(self), "impressions": self.impressions, "clicks": int(self.clicks.sum()),
            "slots": self.k, "keys": len(self.keys), "keys are": " × ".join(self.keys.columns),
            "surfaces": {name: int((self.surface == code).sum()) for code, name in enumerate(self.surfaces)},
            "left_out": self.left_out,
        }

    def __str__(self) -> str:
        facts = self.facts()
        left = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items()) or "nothing"
        return (
            f"{facts['requests']:,} lists of up to {self.k} slots, {facts['impressions']:,} impressions, "
            f"{facts['clicks']:,} clicks, {len(self.keys):,} keys ({facts['keys are']}). Left out: {left}."
        )


def _count(left_out: dict[str, int], reason: str, rows: int) -> None:
    if rows:
        left_out[reason] = left_out.get(reason, 0) + rows


@dataclass(frozen=True)
class _Log:
    """Impressions that stand in a slot, and clicks, with request and item as codes that keep the order of ids."""

    shown: pd.DataFrame
    clicks: tuple[Codes, Codes]
    """Request and item of each click, −1 where no impression has them."""
    requests: "pd.Index[Any]"
    items: "pd.Index[Any]"
    left_out: dict[str, int]

    @classmethod
    def of(cls, events: pd.DataFrame, surface: str | None) -> "_Log":
        needed = [Columns.Request, Columns.Rank, Columns.Item, Columns.Event]
        needed += [] if surface is None else [surface]
        lacking = [column for column in needed if column not in events.columns]
        if lacking:
            found = ", ".join(map(str, events.columns))
            raise ColumnError(
                f"events lacks '{lacking[0]}', which click models need; found {found}. Log lists, each item with its "
                "rank."
            )
        kind = events[Columns.Event]
        is_shown = kind == EventKind.Impression
        if not is_shown.any():
            counts = ", ".join(f"{count:,} {name}" for name, count in kind.value_counts().items()) or "no events"
            raise TableError(
                f"events holds no impression, only {counts}. Click models learn from what was shown: log it."
            )
        left_out: dict[str, int] = {}
        useful = (Columns.User, Columns.Timestamp, Columns.Query, Columns.Propensity)
        wanted = [column for column in needed if column != Columns.Event]
        wanted += [column for column in useful if column in events.columns and column not in wanted]
        shown = events.loc[is_shown, wanted]
        placed = shown[Columns.Rank].notna() & shown[Columns.Request].notna()
        _count(left_out, "impressions without request_id or rank", int((~placed).sum()))
        shown = shown[placed]
        if shown.empty:
            raise TableError(
                f"none of the {int(is_shown.sum()):,} impressions has both a request_id and a rank. Log in which list "
                "and in which slot each was shown."
            )
        ranks = _whole_ranks(shown[Columns.Rank])
        request, requests = pd.factorize(shown[Columns.Request], sort=True)
        item, items = pd.factorize(shown[Columns.Item], sort=True)
        requests, items = pd.Index(requests), pd.Index(items)
        shown = shown.assign(**{Columns.Request: request, Columns.Item: item, Columns.Rank: ranks})
        clicked = events.loc[kind == EventKind.Click, [Columns.Request, Columns.Item]]
        places = (
            requests.get_indexer(pd.Index(clicked[Columns.Request])), items.get_indexer(pd.Index(clicked[Columns.Item]))
        )
        return cls(shown, places, requests, items, left_out)


def _whole_ranks(given: "pd.Series[Any]") -> Codes:
    ranks = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(ranks >= 1) | (ranks % 1 != 0)
    if bad.any():
        first = given.iloc[int(np.flatnonzero(bad)[0])]
        from_zero = float(np.nanmin(ranks)) == 0
        mend = "Ranks count from 1: add 1 to all." if from_zero else "Ranks are whole numbers from 1."
        raise ColumnError(f"events: 'rank' holds {first} ({int(bad.sum()):,} such impressions). {mend}")
    return ranks.astype(np.int64)


def _whole_lists(log: _Log) -> pd.DataFrame:
    """Impressions of the lists that are known from rank 1 to their end."""
    shown, left_out, n = log.shown, log.left_out, len(log.requests)
    repeated = shown.duplicated([Columns.Request, Columns.Item, Columns.Rank])
    _count(left_out, "impressions logged twice", int(repeated.sum()))
    shown = shown[~repeated]
    request = shown[Columns.Request].to_numpy()
    deepest = np.zeros(n, dtype=np.int64)
    np.maximum.at(deepest, request, shown[Columns.Rank].to_numpy(dtype=np.int64))
    odd = np.zeros(n, dtype=np.bool_)
    for reason, found in {
        "requests with two items at one rank": _any(request, shown.duplicated([Columns.Request, Columns.Rank]), n),
        "requests that show an item twice": _any(request, shown.duplicated([Columns.Request, Columns.Item]), n),
        "requests with holes in their ranks": deepest != np.bincount(request, minlength=n),
    }.items():
        _count(left_out, reason, int((found & ~odd).sum()))
        odd |= found
    if odd.all():
        said = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise TableError(f"no list is known from rank 1 to its end ({said}). Log every slot of a list.")
    whole: pd.DataFrame = shown[~odd[request]]
    return whole


def _any(request: npt.NDArray[Any], marked: "pd.Series[bool]", n: int) -> Bools:
    """(n,) whether any row of the request is marked."""
    return np.bincount(request, weights=marked.to_numpy(dtype=np.float64), minlength=n) > 0


def _clicked(shown: pd.DataFrame, log: _Log) -> Codes:
    """Rows of `shown` that were clicked; clicks that fit none, and further ones, are counted."""
    request, item = log.clicks
    pair = shown[Columns.Request].to_numpy(dtype=np.int64) * len(log.items) + shown[Columns.Item].to_numpy()
    wanted = np.where((request < 0) | (item < 0), -1, request * len(log.items) + item)
    order = np.argsort(pair, kind="stable")
    place = np.minimum(np.searchsorted(pair[order], wanted), len(pair) - 1)
    fits = pair[order][place] == wanted
    hit: Codes = np.unique(order[place[fits]])
    _count(log.left_out, "clicks without a usable impression", int((~fits).sum()))
    _count(log.left_out, "further clicks on an impression", int(fits.sum()) - len(hit))
    return hit


def _propensity(
    shown: pd.DataFrame, request: npt.NDArray[np.intp], slot: Codes, shape: tuple[int, ...]
) -> npt.NDArray[np.float64] | None:
    if Columns.Propensity not in shown.columns:
        return None
    given = shown[Columns.Propensity].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(given).any():
        return None
    if ((given <= 0) | (given > 1)).any():
        odd = given[(given <= 0) | (given > 1)][0]
        raise ColumnError(f"events: 'propensity' holds {odd:g}. Log probabilities above 0 and up to 1.")
    table = np.full(shape, np.nan)
    table[request, slot] = given
    return table


def _surfaces(
    shown: pd.DataFrame, surface: str | None, request: npt.NDArray[np.intp], requests: "pd.Index[Any]",
    like: Sessions | None,
) -> tuple[tuple[str, ...], Codes]:
    """Names and (R,) codes."""
    codes = np.zeros(len(requests), dtype=np.int64)
    if surface is None:
        if like is not None and like.surfaces != ("all",):
            raise ConfigError(f"the lists to be like have surfaces {', '.join(like.surfaces)}. Name their column.")
        return ("all",), codes
    values = shown[surface]
    if values.isna().any():
        raise ColumnError(f"events: '{surface}' has {int(values.isna().sum()):,} gaps among impressions. Fill them.")
    given = values.astype(str)
    names = tuple(sorted(given.unique())) if like is None else like.surfaces
    code = pd.Index(names).get_indexer(pd.Index(given))
    if (code < 0).any():
        strange = given.iloc[int(np.flatnonzero(code < 0)[0])]
        raise TableError(f"events: {surface} '{strange}' is unknown; known: {', '.join(names)}.")
    codes[request] = code
    if (codes[request] != code).any():
        row = shown.index[int(np.flatnonzero(codes[request] != code)[0])]
        raise TableError(f"events row {row}: its request has two values of '{surface}'. Give one per request.")
    return names, codes


def _keys(
    shown: pd.DataFrame, surface: str | None, items: "pd.Index[Any]", like: Sessions | None
) -> tuple[pd.DataFrame, Codes]:
    """Distinct keys in the order of their columns, and (n,) each row's code."""
    parts = {} if surface is None else {surface: shown[surface].astype(str)}
    if Columns.Query in shown.columns and Columns.Query not in parts and shown[Columns.Query].notna().any():
        parts[Columns.Query] = shown[Columns.Query].fillna("").astype(str)
    columns = [*parts, Columns.Item]
    if like is not None and list(like.keys.columns) != columns:
        raise ConfigError(
            f"the lists to be like tell keys apart by {', '.join(like.keys.columns)}, these by {', '.join(columns)}."
        )
    item = shown[Columns.Item].to_numpy()
    index: pd.Index[Any]
    known: pd.Index[Any] | None = None
    if not parts:
        present, code = np.unique(item, return_inverse=True)
        index = items[present]
        known = None if like is None else pd.Index(like.keys[Columns.Item])
    else:
        rows = pd.MultiIndex.from_arrays([*parts.values(), items[item]], names=columns)
        index = rows.unique().sort_values()
        code = index.get_indexer(rows)
        known = None if like is None else pd.MultiIndex.from_frame(like.keys)
    if known is not None:
        merged = known.append(index[known.get_indexer(index) < 0])
        code, index = merged.get_indexer(index)[code], merged
    keys = pd.DataFrame({name: index.get_level_values(level) for level, name in enumerate(columns)})
    return keys, np.asarray(code, dtype=np.int64)
