"""What users took together on one day → cut in two: one part is shown as history, the other is to be found.

Few users come back on any one day, and few of them for tail and new products. Baskets are many: they teach which tail
product goes with what, to users who never came back too.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.history import History
from ltexpo.data.ids import IdMap
from ltexpo.sparse import Csr, csr

_LARGEST = 30


@dataclass(frozen=True)
class Baskets:
    """B users with a basket on one day."""

    history: History
    """Their earlier interactions and the shown part of the basket, which is as old as the end of the past history."""
    wanted: Csr
    """(B, I): the hidden part; row b is user code b of `history`."""


def cut_baskets(
    past: History, on_day: pd.DataFrame, *, max_users: int, rng: int | np.random.Generator = 0
) -> Baskets | None:
    """Baskets of 2 to 30 items among `on_day` (user_id, item_id): half, rounded down, is shown; None without any.

    `past` is the history before the day. At most `max_users` users are drawn. Items that a user took before stay in
    the basket: they may be taken again.
    """
    rng = np.random.default_rng(rng)
    pairs = on_day[[Columns.User, Columns.Item]].drop_duplicates().sort_values([Columns.User, Columns.Item])
    size = pairs.groupby(Columns.User)[Columns.Item].transform("size")
    pairs = pairs[(size >= 2) & (size <= _LARGEST)]
    if pairs.empty:
        return None
    user_ids = IdMap.of(pairs[Columns.User])
    if len(user_ids) > max_users:
        drawn = np.sort(rng.choice(len(user_ids), max_users, replace=False))
        pairs = pairs[pairs[Columns.User].isin(user_ids.ids[drawn])]
        user_ids = IdMap.of(pairs[Columns.User])
    user, item = user_ids.codes(pairs[Columns.User]), past.item_ids.codes(pairs[Columns.Item])
    order = np.lexsort((rng.random(len(user)), user))
    user, item = user[order], item[order]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    shown = place < np.bincount(user)[user] // 2
    wanted = csr(
        (np.ones(int((~shown).sum()), dtype=np.float32), (user[~shown], item[~shown])),
        shape=(len(user_ids), past.n_items),
    )
    return Baskets(_asked(past, user_ids, user[shown], item[shown]), wanted)


def _asked(
    past: History, user_ids: IdMap, user: npt.NDArray[np.int64], item: npt.NDArray[np.int64]
) -> History:
    """The past rows of `user_ids` and one row at the end of the past for each of (user, item)."""
    code = user_ids.codes_or_missing(past.user_ids.ids)[past.user]
    known = code >= 0
    user = np.concatenate([code[known], user])
    day = np.concatenate([past.day[known], np.full(len(item), past.now)])
    item = np.concatenate([past.item[known], item])
    weight = np.concatenate([past.weight[known], np.full(len(user) - int(known.sum()), past.weight.max())])
    order = np.lexsort((item, day, user))
    return History(user_ids, past.item_ids, user[order], item[order], day[order], weight[order], past.now)
