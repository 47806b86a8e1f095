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

    def merged(self, treated: Flags, eligible: Flags, rng: np.random.Generator) -> Codes:
        """(R, C) each treated item near the rank it has where all are treated, each other near the one where none is.

        Both rankings of a list are made, every item brings its rank of one of them, and the items are sorted by what
        they bring (counterfactual merging: Nandy et al. 2021, UniCoRn). On average as many items bring a rank below r
        as r, so an item lands where it would be; for that, items outside the experiment bring either rank by a coin of
        each list, with the share of the treated. Of two that bring the same rank the one from the treatment's ranking
        goes first: a boosted item that is not treated leaves a gap above itself in the treatment's ranking, which this
        fills again.
        """
        ranks = [_ranks(self.order(of_treatment)) for of_treatment in (False, True)]
        share = treated[eligible].mean()
        brings = np.where(eligible[self.item], treated[self.item], rng.random(self.item.shape) < share)
        key = np.where(brings, ranks[1] - 0.5, ranks[0])
        return np.argsort(np.where(self.item >= 0, key, np.inf), axis=1, kind="stable")


def _descending(scores: Floats) -> Codes:
    return np.argsort(-scores, axis=1, kind="stable")


def _ranks(order: Codes) -> Codes:
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[1]), order.shape).copy(), axis=1)
    return ranks
