"""Rankings of one arm + an environment → the arrays that visits are simulated on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.schema import RANKINGS, check_table
from ltexpo.errors import TableError
from ltexpo.simulate.catalogue import Catalogue
from ltexpo.simulate.clicks.draw import DBN
from ltexpo.simulate.environment import Environment


@dataclass(frozen=True)
class ShownLists:
    """What an arm shows: R lists of at most K slots, ordered by user; a user may have several and sees one a visit."""

    first: npt.NDArray[np.int64]
    """(U + 1,) user u's lists are first[u] to first[u + 1] − 1."""
    slots: npt.NDArray[np.int32]
    """(R,) how many slots each list has."""
    item: npt.NDArray[np.int32]
    """(R, K) codes of the catalogue; −1 beyond a list's end."""
    attraction: npt.NDArray[np.float32]
    """(R, K) P(click | examined) by somebody who is not tired of the item."""
    purchase: npt.NDArray[np.float32]
    """(R, K) P(purchase | click)."""
    satisfaction: npt.NDArray[np.float32]
    """(R, K) P(satisfied | click): of the dynamic Bayesian network, the others do not read it."""
    owner: npt.NDArray[np.int64]
    """(R,) the user of each list."""

    @property
    def width(self) -> int:
        """K: slots of the longest list."""
        return int(self.item.shape[1])

    @classmethod
    def of(
        cls, rankings: pd.DataFrame, users: "pd.Index[str]", catalogue: Catalogue, environment: Environment,
        *, name: str, saturation: float = 0.0,
    ) -> "ShownLists":
        """The lists called `name` of `users`, whose order they are put into.

        A slot's attraction is lowered by `saturation` for each item of its category above it. Raises `TableError` for
        a user who is unknown or has no list, an unknown item, or more slots than the environment can examine.
        """
        frame = check_table(rankings, RANKINGS, source=name).frame
        who = frame[Columns.User if Columns.User in frame.columns else Columns.Request]
        user = users.get_indexer(pd.Index(who))
        if (user < 0).any():
            row = int(np.flatnonzero(user < 0)[0])
            raise TableError(f"{name} row {row}: its user takes no part in the experiment "
                             f"({int((user < 0).sum())} such rows). Give the same users to every arm.")
        request = pd.factorize(frame[Columns.Request], sort=True)[0]
        order = np.lexsort((frame[Columns.Rank], request, user))
        user, request, rank = user[order], request[order], frame[Columns.Rank].to_numpy()[order] - 1
        starts = np.flatnonzero(np.r_[True, (np.diff(request) != 0) | (np.diff(user) != 0)])
        slots = np.diff(np.r_[starts, len(request)]).astype(np.int32)
        owner = user[starts].astype(np.int64)
        lists = np.repeat(np.arange(len(starts)), slots)
        gap = np.flatnonzero(rank != np.arange(len(rank)) - starts[lists])
        if len(gap):
            raise TableError(f"{name}: the request_id of row {order[gap[0]]} holds ranks with holes or repeats, or two "
                             "users. Give ranks 1, 2, … of one user in each list.")
        width, deepest = int(slots.max()), len(environment.examination)
        if width > deepest:
            raise TableError(f"{name}: lists go down to rank {width}, but the environment knows the examination of "
                             f"{deepest} slots. Re-rank with k = {deepest} or less.")
        absent = np.setdiff1d(np.arange(len(users)), owner)
        if len(absent):
            raise TableError(f"{name}: {len(absent)} of {len(users)} users have no list. "
                             "Give the same users to every arm.")
        codes = catalogue.codes(frame[Columns.Item].iloc[order], source=name)
        item = np.full((len(starts), width), -1, dtype=np.int32)
        attraction, purchase = (np.zeros(item.shape, dtype=np.float32) for _ in range(2))
        people, things = users[user], catalogue.ids[codes]
        item[lists, rank] = codes
        attraction[lists, rank] = environment.attraction(people, things)
        purchase[lists, rank] = environment.purchase_given_click(people, things)
        satisfaction = purchase
        if environment.clicks.kind == DBN:
            satisfaction = np.zeros(item.shape, dtype=np.float32)
            satisfaction[lists, rank] = environment.satisfaction(people, things)
        if saturation:
            attraction *= (1 - saturation) ** _same_above(item, catalogue.category)
        first = np.searchsorted(owner, np.arange(len(users) + 1))
        return cls(first, slots, item, attraction, purchase, satisfaction, owner)


def _same_above(item: npt.NDArray[np.int32], category: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """(R, K) how many items above each slot share its category."""
    kind = np.where(item >= 0, category[item], -1)
    same = np.zeros(item.shape, dtype=np.int32)
    for slot in range(1, item.shape[1]):
        same[:, slot] = (kind[:, :slot] == kind[:, slot, None]).sum(axis=1)
    return same
