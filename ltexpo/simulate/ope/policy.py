"""A table of what a policy would show → checked, and looked up for the slots of a log."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.schema import RANKINGS, check_table
from ltexpo.errors import ColumnError, TableError
from ltexpo.simulate.ope.logged import Logged
from ltexpo.simulate.ope.marginals import marginals
from ltexpo.simulate.ope.policy_table import ABOUT_ONE, PROBABILITY, checked_table

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_NOTHING = 1e-9
"""What is left for the items not above, when it counts as nothing."""


@dataclass(frozen=True)
class TargetPolicy:
    """G groups of requests that are served alike, K ranks; N rows (group, rank, item, probability), sorted so."""

    starts: Integers
    """(G · K + 1,) where the rows of group g at rank k begin: `starts[g * K + k]`."""
    items: Integers
    """(N,) codes: those of the log's items, and after them the items that the log never shows."""
    probabilities: Floats
    """(N,) of each slot they sum to 1."""
    groups: Integers
    """(R,) the group of each request of the log; −1 where the table says nothing of it."""
    n_items: int
    """Items of the log and of the policy together."""
    n_ranks: int
    """K"""
    repeats: bool
    """Whether a list may show an item twice: see `OpeSettings.repeats`."""
    keys: Integers
    """(N,) (g · K + k) · n_items + item, ascending."""
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def take(self, keep: npt.NDArray[np.bool_]) -> "TargetPolicy":
        """The same for the requests `keep` (R,) only."""
        return replace(self, groups=self.groups[keep])

    @property
    def depths(self) -> Integers:
        """(G,) ranks that the policy fills."""
        filled: Integers = (np.diff(self.starts).reshape(-1, self.n_ranks) > 0).sum(axis=1)
        return filled

    def rows_of(self, groups: Integers, rank: int, items: Integers) -> Integers:
        """(n,) the row that holds each item at `rank` in its group; −1 where the policy would never show it there."""
        keys = (groups * self.n_ranks + rank) * self.n_items + items
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where((self.keys[at] == keys) & (items >= 0), at, -1)

    def chances(self, groups: Integers, rank: int, items: Integers, values: Floats | None = None) -> Floats:
        """(n,) the table's probability of each item at `rank`, or that of the rows' `values` (N,); 0 where none."""
        rows = self.rows_of(groups, rank, items)
        held = self.probabilities if values is None else values
        return np.where(rows >= 0, held[rows], 0.0)

    def above(self, groups: Integers, items: Integers, values: Floats | None = None) -> Floats:
        """(n, K) Σ over the distinct items above each slot of their probability (or `values`, (N,)) at the slot's rank.

        `items` (n, K) are the logged lists. 0 everywhere when an item may stand twice.
        """
        total = np.zeros(items.shape)
        if self.repeats:
            return total
        for rank in range(1, items.shape[1]):
            for higher in range(rank):
                here = items[:, higher]
                again = (items[:, :higher] == here[:, None]).any(axis=1)
                total[:, rank] += np.where(again, 0.0, self.chances(groups, rank, here, values))
        return total

    def conditional(self, log: Logged) -> Floats:
        """(R, K) P(the logged item | what stands above it) under this policy; 1 where there is no slot.

        Raises `TableError` when the policy can come to a slot for which every item already stands above.
        """
        groups = self.groups
        left = 1 - self.above(groups, log.items)
        chance = np.ones(log.items.shape)
        for rank in range(log.items.shape[1]):
            here = self.chances(groups, rank, log.items[:, rank])
            if not self.repeats:
                here[(log.items[:, :rank] == log.items[:, rank : rank + 1]).any(axis=1)] = 0.0
            stuck = log.shown[:, rank] & (left[:, rank] < _NOTHING) & (chance[:, :rank].prod(axis=1) > 0)
            if stuck.any():
                raise TableError(
                    f"policy: at rank {rank + 1} of {int(stuck.sum())} requests every item may already stand "
                    "above. Give more items a probability there, or set repeats: "
                    "true."
                )
            chance[:, rank] = np.where(log.shown[:, rank], here / left[:, rank].clip(min=_NOTHING), 1.0)
        return chance

    def marginal(self, log: Logged, rng: np.random.Generator) -> Floats:
        """(N,) P(item at rank) of each row; drawn by Monte Carlo where lists may not repeat an item."""
        if self.repeats or log.single or log.items.shape[1] == 1:
            return self.probabilities
        return marginals(self.starts, self.items, self.probabilities, self.n_ranks, rng)


def read_policy(table: pd.DataFrame, log: Logged, *, repeats: bool = False) -> TargetPolicy:
    """Columns item_id, rank, probability, and what the policy depends on: request_id, user_id or context columns.

    Context columns must be in `log.context`. Without a probability the table is lists (rankings): each item is certain
    at its rank. A table by request_id that holds none of the log's requests is read as by user, where its request ids
    are users: so 'ltexpo recommend' names them. Ranks below the log's are left out and counted.
    Raises `ColumnError` or `TableError`: columns missing, a negative probability, a slot whose probabilities do not sum
    to 1, an item twice in a slot, no request in common.
    """
    if PROBABILITY not in table.columns:
        if Columns.Rank not in table.columns or Columns.Request not in table.columns:
            found = ", ".join(map(str, table.columns))
            raise ColumnError(f"policy lacks '{PROBABILITY}'; found {found}. Give item_id, rank, probability, or lists "
                              "with request_id, rank, item_id.")
        lists = check_table(table, RANKINGS, source="policy").frame
        keys = [column for column in (Columns.Request, Columns.User) if column in lists.columns]
        table = lists[[*keys, Columns.Rank, Columns.Item]].assign(**{PROBABILITY: 1.0})
    frame = checked_table(table)
    left_out: dict[str, int] = {}
    keys, notes = _keys_of(frame, log)
    deepest = log.items.shape[1]
    deep = frame[Columns.Rank] > deepest
    if deep.any():
        left_out["rows of the policy at ranks that the log does not reach"] = int(deep.sum())
        frame = frame[~deep]
    if frame.empty:
        raise TableError(f"policy: has no rank up to {deepest}, the deepest of the log. Ranks count from 1.")
    groups, frame = _grouped(frame, keys, log, left_out)
    items, unseen = _codes(frame, log)
    if unseen:
        left_out["items of the policy that the log never shows"] = unseen
    return _sorted(frame, items, groups, log, repeats, left_out, notes)


def _keys_of(frame: pd.DataFrame, log: Logged) -> tuple[list[str], tuple[str, ...]]:
    """The columns that say whom a row is for, and what was taken for what."""
    keys = [name for name in frame.columns if name not in (Columns.Item, Columns.Rank, PROBABILITY)]
    if Columns.Request not in keys:
        return keys, ()
    requests = pd.Index(frame[Columns.Request].unique())
    if requests.isin(log.request_ids).any():
        return [Columns.Request], ()
    if Columns.User in keys and pd.Index(frame[Columns.User].unique()).isin(log.user_ids).any():
        return [Columns.User], ("the policy's request_ids are not the log's: it is read by user_id",)
    if requests.isin(log.user_ids).any():
        return [Columns.Request], ("the policy's request_ids are users of the log: it is read by user",)
    raise TableError(
        f"policy: none of its {len(requests)} request_ids, such as '{requests[0]}', is a request or a user of the log "
        f"(such as '{log.request_ids[0]}', '{log.user_ids[0]}'). Give the policy for the log's requests."
    )


def _grouped(
    frame: pd.DataFrame, keys: Sequence[str], log: Logged, left_out: dict[str, int]
) -> tuple[Integers, pd.DataFrame]:
    """(R,) the group of each request, −1 for none; and the rows of the groups that the log holds, by `group`."""
    if not keys:
        return np.zeros(len(log.users), dtype=np.int64), frame.assign(group=0)
    of_request = pd.DataFrame({
        name: log.request_ids.astype(str) if name == Columns.Request and _by_request(frame, log)
        else log.user_ids.astype(str)[log.users] if name in (Columns.Request, Columns.User)
        else log.context[name].to_numpy()
        for name in keys
    })
    held = pd.concat([of_request, frame[list(keys)]], ignore_index=True)
    codes = held.groupby(list(keys), dropna=False, sort=True).ngroup().to_numpy(np.int64)
    of_log, of_table = codes[: len(of_request)], codes[len(of_request) :]
    both = np.intersect1d(of_log, of_table)
    if not len(both):
        raise TableError(
            f"policy: no request of the log has a {' and '.join(keys)} of the policy's, such as "
            f"'{frame[keys[0]].iloc[0]}'. Give the policy for what the log holds."
        )
    other = ~np.isin(of_table, both)
    if other.any():
        left_out["rows of the policy for requests that the log does not hold"] = int(other.sum())
    lacking = ~np.isin(of_log, both)
    if lacking.any():
        left_out["requests of the log for which the policy gives nothing"] = int(lacking.sum())
    groups = np.where(lacking, -1, np.searchsorted(both, of_log))
    return groups, frame[~other].assign(group=np.searchsorted(both, of_table[~other]))


def _by_request(frame: pd.DataFrame, log: Logged) -> bool:
    return bool(pd.Index(frame[Columns.Request]).isin(log.request_ids).any())


def _codes(frame: pd.DataFrame, log: Logged) -> tuple[Integers, int]:
    """(N,) codes of the policy's items, those that the log never shows after all others; and how many these are."""
    codes = log.item_map.codes_or_missing(frame[Columns.Item])
    strange, names = pd.factorize(frame[Columns.Item][codes < 0], sort=True)
    codes[codes < 0] = len(log.item_map) + strange
    return codes, len(names)


def _sorted(
    frame: pd.DataFrame, items: Integers, groups: Integers, log: Logged, repeats: bool, left_out: dict[str, int],
    notes: tuple[str, ...],
) -> TargetPolicy:
    n_ranks = log.items.shape[1]
    n_items = max(len(log.item_map), int(items.max()) + 1)
    cell = frame["group"].to_numpy(np.int64) * n_ranks + frame[Columns.Rank].to_numpy(np.int64) - 1
    order = np.lexsort((items, cell))
    cell, items = cell[order], items[order]
    chance = frame[PROBABILITY].to_numpy(np.float64)[order]

    def named(row: int) -> str:
        keys = [name for name in frame.columns if name not in (Columns.Item, PROBABILITY, "group")]
        held = frame.iloc[order[row]]
        return ", ".join(f"{name} {held[name]}" for name in keys)

    twice = (np.diff(cell) == 0) & (np.diff(items) == 0)
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise TableError(
            f"policy: item '{frame[Columns.Item].iloc[order[row]]}' stands twice at {named(row)} "
            f"({int(twice.sum())} such rows). Keep one of each."
        )
    n_cells = (int(frame["group"].max()) + 1) * n_ranks
    sums = np.bincount(cell, weights=chance, minlength=n_cells)
    wrong = (np.abs(sums - 1) > ABOUT_ONE)[cell]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise TableError(
            f"policy: the probabilities at {named(row)} sum to {sums[cell[row]]:.6g}, not 1 "
            f"({len(np.unique(cell[wrong]))} such slots). Give every item that may be shown there."
        )
    chance = chance / sums[cell]
    positive = chance > 0
    cell, items, chance = cell[positive], items[positive], chance[positive]
    starts = np.searchsorted(cell, np.arange(n_cells + 1)).astype(np.int64)
    filled = (np.diff(starts) > 0).reshape(-1, n_ranks)
    if not log.single and (filled[:, 1:] > filled[:, :-1]).any():
        bad = int(np.flatnonzero((filled[:, 1:] > filled[:, :-1]).any(axis=1))[0])
        rank = int(np.flatnonzero(~filled[bad])[0]) + 1
        raise TableError(
            f"policy: has no rank {rank} in a list that goes on below it "
            f"({int((filled[:, 1:] > filled[:, :-1]).any(axis=1).sum())} such lists). Give every rank from 1."
        )
    return TargetPolicy(
        starts, items, chance, groups, n_items, n_ranks, repeats, cell * n_items + items, left_out, notes
    )
