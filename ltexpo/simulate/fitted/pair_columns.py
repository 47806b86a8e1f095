"""Users, items and what they did before → the columns that a linear model of attraction reads for each pair."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from ltexpo.columns import Columns, EventKind
from ltexpo.data.history import History
from ltexpo.data.ids import IdMap
from ltexpo.sparse import Csr

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_RECENT_DAYS = 7


class PairColumns:
    """Numbers about popularity, taste and price, standardised, and one column per item, user, category and brand.

    The model over these is linear, so what it can say of a pair is another kind of thing than what trees over learnt
    vectors say (the ranker). Only events before the labels' period are counted.
    """

    def __init__(
        self, items: pd.DataFrame, earlier: pd.DataFrame, user_ids: "pd.Series[str]", item_ids: "pd.Series[str]"
    ) -> None:
        """Count `earlier` events; the pairs of the labels give the numbers' means and spreads."""
        self._count(items, earlier, IdMap.of(pd.concat([earlier[Columns.User], user_ids])))
        numbers = self._numbers(self._users.codes(user_ids), self._items.codes(item_ids))
        self._mean = numbers.mean(axis=0)
        self._spread = np.where(numbers.std(axis=0) < 1e-9, 1.0, numbers.std(axis=0))

    def _count(self, items: pd.DataFrame, earlier: pd.DataFrame, users: IdMap) -> None:
        self._users, self._items = users, IdMap.of(items[Columns.Item])
        ordered = items.set_index(Columns.Item).loc[self._items.ids]
        self._category, self._n_categories = _group(ordered, Columns.Category)
        self._brand, self._n_brands = _group(ordered, Columns.Brand)
        price = ordered.get(Columns.Price, pd.Series(np.nan, index=ordered.index)).to_numpy(np.float64)
        log_price = np.log(np.where(price > 0, price, np.nan))
        middle = np.nanmean(log_price) if np.isfinite(log_price).any() else 0.0
        self._price = np.where(np.isfinite(log_price), log_price, middle)

        n_users, n_items = len(users), len(self._items)
        acted = _interactions(items, earlier)
        user = users.codes(acted.user_ids.ids)[acted.user] if acted is not None else np.zeros(0, np.int64)
        item = acted.item if acted is not None else np.zeros(0, np.int64)
        recent = item if acted is None else item[acted.day > acted.now - _RECENT_DAYS]
        self._item_count = np.bincount(item, minlength=n_items).astype(np.float64)
        self._item_recent = np.bincount(recent, minlength=n_items).astype(np.float64)
        self._user_count = np.bincount(user, minlength=n_users).astype(np.float64)
        spent = np.bincount(user, weights=self._price[item], minlength=n_users)
        # Two imagined purchases at the middle price steady those who bought little.
        self._user_price = (spent + 2 * self._price.mean()) / (self._user_count + 2)
        self._took = _Counts.of(user, item, n_items)
        self._took_category = _Counts.of(user, self._category[item], self._n_categories)
        self._took_brand = _Counts.of(user, self._brand[item], self._n_brands)

    def blocks(self, user_ids: "pd.Series[str]", item_ids: "pd.Series[str]") -> list[Csr]:
        """For n pairs: [1 (n, 1), numbers (n, D), items (n, I), users (n, U), categories, brands]; an unknown user has
        no column of her own and no history."""
        user, item = self._users.codes_or_missing(user_ids), self._items.codes(item_ids, what="item_id")
        numbers = (self._numbers(user, item) - self._mean) / self._spread
        return [
            sparse.csr_matrix(np.ones((len(item), 1))), sparse.csr_matrix(numbers), _one_hot(item, len(self._items)),
            _one_hot(user, len(self._users)), _one_hot(self._category[item], self._n_categories),
            _one_hot(self._brand[item], self._n_brands),
        ]

    def _numbers(self, user: Codes, item: Codes) -> Floats:
        met = user >= 0
        history = np.where(met, self._user_count[user], 0.0)
        in_category = self._took_category(user, self._category[item])
        prices = np.where(met, self._user_price[user], self._price.mean())
        return np.column_stack([
            np.log1p(self._item_count[item]), np.log1p(self._item_recent[item]), np.log1p(history),
            np.log1p(self._took(user, item)), np.log1p(in_category), in_category / np.maximum(history, 1.0),
            np.log1p(self._took_brand(user, self._brand[item])), self._price[item],
            np.abs(self._price[item] - prices), self._item_count[item] == 0,
        ])


@dataclass(frozen=True)
class _Counts:
    """How often each pair occurred; 0 for any other."""

    key: Codes
    count: Floats
    width: int

    @classmethod
    def of(cls, left: Codes, right: Codes, width: int) -> "_Counts":
        key, count = np.unique(left * width + right, return_counts=True)
        # A key beyond all others keeps look-ups within bounds.
        return cls(np.r_[key, np.iinfo(np.int64).max], np.r_[count, 0].astype(np.float64), width)

    def __call__(self, left: Codes, right: Codes) -> Floats:
        wanted = np.where(left >= 0, left * self.width + right, -1)
        at = np.searchsorted(self.key, wanted)
        return np.where(self.key[at] == wanted, self.count[at], 0.0)


def _interactions(items: pd.DataFrame, events: pd.DataFrame) -> History | None:
    if not events[Columns.Event].isin(EventKind.Interactions).any():
        return None
    return History.of(items, events)


def _group(items: pd.DataFrame, column: str) -> tuple[Codes, int]:
    """(I,) codes of a column of the catalogue; all that lack one share a code of their own."""
    if column not in items.columns:
        return np.zeros(len(items), dtype=np.int64), 1
    codes, names = pd.factorize(items[column], sort=True)
    return np.where(codes < 0, len(names), codes).astype(np.int64), len(names) + 1


def _one_hot(codes: Codes, width: int) -> Csr:
    met = codes >= 0
    start = np.r_[0, np.cumsum(met)]
    return sparse.csr_matrix((np.ones(int(met.sum())), codes[met], start), shape=(len(codes), width))
