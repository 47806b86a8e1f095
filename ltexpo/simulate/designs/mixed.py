"""Two scores of the same candidates + which items are treated → the lists that each item-side design shows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, TableError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TwoScores:
    """R lists of at most C candidates, each with its score under the control and under the treatment."""

    request: "pd.Index[str]"
    user: npt.NDArray[np.object_]
    """(R,)"""
    item: Codes
    """(R, C) codes of `ids`, ascending within a list, so that ties break by id; −1 beyond the last candidate."""
    control: Floats
    """(R, C); −∞ beyond the last candidate."""
    treatment: Floats
    """(R, C)"""
    ids: "pd.Index[str]"

    @classmethod
    def of(cls, candidates: pd.DataFrame, boosts: pd.DataFrame) -> "TwoScores":
        """Candidates with their score, and boosts (item_id, boost) that the treatment adds to it."""
        for table, name, needed in ((candidates, "candidates", (Columns.Request, Columns.Item, Columns.Score)),
                                    (boosts, "boosts", (Columns.Item, "boost"))):
            lacking = [column for column in needed if column not in table.columns]
            if lacking:
                raise ColumnError(f"{name} lacks '{lacking[0]}'; found {', '.join(table.columns)}.")
        if candidates.empty:
            raise TableError("candidates is empty. Give at least one list.")
        frame = candidates.sort_values([Columns.Request, Columns.Item], ignore_index=True)
        row, request = pd.factorize(frame[Columns.Request], sort=True)
        item, ids = pd.factorize(frame[Columns.Item], sort=True)
        length = np.bincount(row)
        place = np.arange(len(frame)) - np.repeat(np.cumsum(length) - length, length)
        shape = (len(request), int(length.max()))
        items = np.full(shape, -1, dtype=np.int64)
        control, treatment = np.full(shape, -np.inf), np.full(shape, -np.inf)
        score = frame[Columns.Score].to_numpy(np.float64)
        boost = frame[Columns.Item].map(boosts.set_index(Columns.Item)["boost"]).fillna(0.0).to_numpy(np.float64)
        items[row, place], control[row, place], treatment[row, place] = item, score, score + boost
        who = frame[Columns.User if Columns.User in frame.columns else Columns.Request]
        first = np.cumsum(length) - length
        return cls(pd.Index(request), who.to_numpy(dtype=object)[first], items, control, treatment, pd.Index(ids))

    def lists(self, order: Codes, k: int) -> pd.DataFrame:
        """The first `k` of each list in `order` (R, C), as a rankings table."""
        k = min(k, self.item.shape[1])
        chosen = np.take_along_axis(self.item, order[:, :k], axis=1)
        row, place = np.nonzero(chosen >= 0)
        return pd.DataFrame({
            Columns.Request: self.request[row], Columns.User: self.user[row], Columns.Rank: place + 1,
            Columns.Item: self.ids[chosen[row, place]],
        })

    def order(self, treated: bool) -> Codes:
        """(R, C) every list with all items by one score."""
        return _descending(self.treatment if treated else self.control)

    def naive(self, treated: Flags) -> Codes:
        """(R, C) treated items (I,) stand by their treatment score among untreated ones by their control score.

        Treated items push the untreated ones down, so that the difference between them counts each step twice.
        """
        return _descending(np.where(treated[self.item], self.treatment, self.control))

    def merged(self, treated: Flags, eligible: Flags) -> Codes:
        """(R, C) each treated item near the rank it has where all are treated, each other near the one where none is.

        Both rankings of a list are made, every item brings its rank of one of them, and the items are sorted by what
        they bring (counterfactual merging: Nandy et al. 2021, UniCoRn). An item lands where it would be if r items
        bring a rank below r. Items under experiment bring what their treatment says; the others, which stand no lower
        in the control's ranking, bring the rank they have there while fewer than that are placed, and that of the
        treatment's ranking else. By a coin instead, places are right on average only, and what a slot is worth is
        convex in its place: items were measured to gain 5% to 7% too much.

        Of two that bring the same rank the one from the treatment's ranking goes first in every other list: always
        first, treated items would stand too high, and never first, too low.
        """
        controls, treatments = (self.order(of_treatment) for of_treatment in (False, True))
        ranks = _ranks(controls), _ranks(treatments)
        lists, width = self.item.shape
        row, there = np.arange(lists), self.item >= 0
        under = eligible[self.item] & there
        brings = under & treated[self.item]
        # How many of those under experiment bring each rank; then, rank by rank, the others join them.
        bring = np.zeros(self.item.shape, dtype=np.int64)
        at = np.nonzero(under)
        np.add.at(bring, (at[0], np.where(brings, ranks[1], ranks[0])[at]), 1)
        placed = np.zeros(lists, dtype=np.int64)
        for rank in range(width):
            place = controls[:, rank]
            other = there[row, place] & ~under[row, place]
            boosted = ranks[1][row, place]
            placed += bring[:, rank]
            now = other & ((boosted <= rank) | (placed <= rank))
            placed += now
            later = np.flatnonzero(other & ~now)
            brings[later, place[later]] = True
            bring[later, boosted[later]] += 1
        first = np.where(row % 2 == 0, -0.5, 0.5)[:, None]
        key = np.where(brings, ranks[1] + first, ranks[0])
        return np.argsort(np.where(there, key, np.inf), axis=1, kind="stable")


def _descending(scores: Floats) -> Codes:
    return np.argsort(-scores, axis=1, kind="stable")


def _ranks(order: Codes) -> Codes:
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[1]), order.shape).copy(), axis=1)
    return ranks
