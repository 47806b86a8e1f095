"""Every user's shown items with their exposure → what coverage and inequality are computed from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from ltexpo.errors import TableError

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """One arm: each pair of a user and an item that the user was shown, once."""

    user: Integers
    """(N,) codes into `users`, ascending."""
    item: Integers
    """(N,) codes into the catalogue."""
    weight: Array
    """(N,) exposure (or impressions) that the user gave the item, above 0."""
    users: npt.NDArray[Any]
    """(U,) every randomised user of the arm, also those that were shown nothing."""
    items: int
    """Size of the full catalogue."""

    @classmethod
    def of_lists(
        cls, items: npt.ArrayLike, catalogue: int, *, users: npt.NDArray[Any], weights: npt.ArrayLike | None = None
    ) -> "Shown":
        """Item codes (U, K) of the slots that each of `users` (U,) was shown, −1 for none; `weights` (U, K) or 1 each.

        A slot of weight 0 was not shown. Raises `TableError` for codes outside the catalogue and negative weights.
        """
        codes = np.asarray(items, dtype=np.int64)
        exposure = np.ones(codes.shape) if weights is None else np.asarray(weights, dtype=np.float64)
        if codes.ndim != 2 or exposure.shape != codes.shape or len(users) != len(codes):
            raise TableError(
                f"shown items of shape {codes.shape} need weights of the same shape and one user a row; found "
                f"{exposure.shape} and {len(users)} users."
            )
        seen = np.flatnonzero((codes.ravel() >= 0) & (exposure.ravel() != 0))
        return cls.of_pairs(
            seen // codes.shape[1], codes.ravel()[seen], exposure.ravel()[seen], users=users, catalogue=catalogue
        )

    @classmethod
    def of_pairs(
        cls, user: npt.ArrayLike, item: npt.ArrayLike, weight: npt.ArrayLike, *, users: npt.NDArray[Any], catalogue: int
    ) -> "Shown":
        """Codes of user and item (N,) of everything shown, in any order; repeated pairs are added up."""
        rows, columns = np.asarray(user, dtype=np.int64), np.asarray(item, dtype=np.int64)
        exposure = np.asarray(weight, dtype=np.float64)
        if not len(users):
            raise TableError("an arm has no users, so that nothing was shown. Give it users, or leave the arm out.")
        if len(rows) and (columns.max() >= catalogue or columns.min() < 0):
            raise TableError(f"item codes go from {columns.min()} to {columns.max()}, the catalogue has {catalogue:,}.")
        if not (exposure >= 0).all() or not np.isfinite(exposure).all():
            raise TableError("exposure must be finite and not negative.")
        table = sparse.coo_array((exposure, (rows, columns)), shape=(len(users), catalogue)).tocsr()
        table.sum_duplicates()
        table.eliminate_zeros()
        counts = np.diff(table.indptr)
        return cls(
            np.repeat(np.arange(len(users)), counts), table.indices.astype(np.int64),
            table.data.astype(np.float64), np.asarray(users), catalogue,
        )

    def exposure(self) -> Array:
        """(items,) exposure of every item of the catalogue."""
        total: Array = np.bincount(self.item, weights=self.weight, minlength=self.items).astype(np.float64, copy=False)
        return total

    def matrix(self) -> sparse.csr_array:
        """(U, items) exposure that each user gave each item."""
        return sparse.csr_array((self.weight, (self.user, self.item)), shape=(len(self.users), self.items))

    def only(self, chosen: Integers) -> "Shown":
        """The users at the positions `chosen` alone, in that order."""
        place = np.full(len(self.users), -1)
        place[chosen] = np.arange(len(chosen))
        kept = np.flatnonzero(place[self.user] >= 0)
        kept = kept[np.argsort(place[self.user[kept]], kind="stable")]
        return Shown(place[self.user[kept]], self.item[kept], self.weight[kept], self.users[chosen], self.items)


def matched(
    treatment: Shown, control: Shown, *, paired: bool, rng: int | np.random.Generator
) -> tuple[Shown, Shown, str]:
    """Two arms with the same number of users, and what was done for it.

    More users see more items and find more unequal ones, so that only arms of one size can be compared: the larger one
    is thinned at random. `paired` arms are brought into one order of their common users; others may share none.
    """
    if treatment.items != control.items:
        raise TableError(f"the arms' catalogues have {treatment.items:,} and {control.items:,} items. Give both one.")
    where = pd.Index(control.users).get_indexer(pd.Index(treatment.users))
    both = np.flatnonzero(where >= 0)
    if paired:
        if len(both) < max(len(treatment.users), len(control.users)):
            raise TableError(
                f"paired arms must hold the same users; {len(both):,} of {len(treatment.users):,} and "
                f"{len(control.users):,} are in both."
            )
        return treatment, control.only(where.astype(np.int64)), ""
    if len(both):
        raise TableError(
            f"{len(both):,} users are in both arms. Give every user one "
            "arm, or say paired=True for twins."
        )
    n = min(len(treatment.users), len(control.users))
    generator = np.random.default_rng(rng)
    arms = []
    for arm in (treatment, control):
        short = len(arm.users) == n
        arms.append(arm if short else arm.only(np.sort(generator.permutation(len(arm.users))[:n])))
    if len(treatment.users) == len(control.users):
        return arms[0], arms[1], ""
    larger = max(len(treatment.users), len(control.users))
    return arms[0], arms[1], f"the larger arm's {larger:,} users thinned to {n:,}"
