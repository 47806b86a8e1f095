"""Users, items, and what nobody can log ↔ the known click and purchase probabilities of a made marketplace."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from ltexpo.data.ids import IdMap
from ltexpo.errors import TableError

TRUTH_FOLDER, TRUTH_FILE = "truth", "truth.npz"

_ARRAYS = (
    "user_factors", "item_factors", "item_bias", "cart_bias", "cart_slope", "purchase_given_cart", "examination",
)
_CHUNK = 1 << 16

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """P(click | examined) = σ(item_bias[i] + user_factors[u] · item_factors[i]), and what follows a click.

    A click becomes a cart with σ(cart_bias[i] + cart_slope · user_factors[u] · item_factors[i]), and a cart a purchase
    with `purchase_given_cart`. Clicks on different slots are independent given who sees what: the position-based model
    (Craswell et al. 2008).
    """

    users: IdMap
    items: IdMap
    user_factors: npt.NDArray[np.float32]
    """(U, d) tastes."""
    item_factors: npt.NDArray[np.float32]
    """(I, d) what an item offers to each taste."""
    item_bias: npt.NDArray[np.float64]
    """(I,) log-odds of a click by an indifferent user: the item's quality."""
    cart_bias: npt.NDArray[np.float64]
    """(I,) log-odds of a cart after a click by an indifferent user."""
    cart_slope: float
    purchase_given_cart: float
    examination: npt.NDArray[np.float64]
    """(k_max,) P(examined) of each slot; slot 1 first."""

    def attraction(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> npt.NDArray[np.float64]:
        """P(click | examined) of each pair, (n,); raises `TableError` on an unknown id."""
        return self.attraction_of(*self._codes(user_ids, item_ids))

    def attraction_of(self, users: Codes, items: Codes) -> npt.NDArray[np.float64]:
        """`attraction` by codes of `self.users` and `self.items`, both (n,)."""
        return self._probability(users, items, self.item_bias, 1.0)

    def attraction_matrix(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> npt.NDArray[np.float64]:
        """P(click | examined) of every user with every item, (U, I); meant for blocks, as all pairs may not fit."""
        users, items = self.users.codes(user_ids, what="user_id"), self.items.codes(item_ids, what="item_id")
        affinity = self.user_factors[users].astype(np.float64) @ self.item_factors[items].astype(np.float64).T
        attraction: npt.NDArray[np.float64] = expit(affinity + self.item_bias[items])
        return attraction

    def cart_given_click(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> npt.NDArray[np.float64]:
        """P(cart | click) of each pair, (n,)."""
        return self.cart_given_click_of(*self._codes(user_ids, item_ids))

    def cart_given_click_of(self, users: Codes, items: Codes) -> npt.NDArray[np.float64]:
        """`cart_given_click` by codes, both (n,)."""
        return self._probability(users, items, self.cart_bias, self.cart_slope)

    def purchase_given_click(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> npt.NDArray[np.float64]:
        """P(a purchase follows, however late | click) of each pair, (n,)."""
        return self.purchase_given_cart * self.cart_given_click(user_ids, item_ids)

    def save(self, folder: Path) -> Path:
        """Write `truth.npz` into `folder`, which need not exist."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in _ARRAYS}
        ids: dict[str, Any] = {"users": self.users.ids.to_numpy(dtype=str), "items": self.items.ids.to_numpy(dtype=str)}
        np.savez(folder / TRUTH_FILE, **ids, **arrays)
        return folder

    @classmethod
    def load(cls, folder: Path) -> "Truth":
        """What `save` wrote into `folder`; raises `TableError` if it is not there or not that."""
        path = Path(folder) / TRUTH_FILE
        try:
            with np.load(path, allow_pickle=False) as held:
                arrays: dict[str, Any] = {name: held[name] for name in _ARRAYS}
                users, items = IdMap(pd.Index(held["users"].tolist())), IdMap(pd.Index(held["items"].tolist()))
        except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise TableError(f"{path}: holds no truth of a made shop ({error}). Save one with Shop.save.") from error
        for name in ("cart_slope", "purchase_given_cart"):
            arrays[name] = float(arrays[name])
        return cls(users, items, **arrays)

    def _codes(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> tuple[Codes, Codes]:
        users, items = self.users.codes(user_ids, what="user_id"), self.items.codes(item_ids, what="item_id")
        if len(users) != len(items):
            raise TableError(f"{len(users)} users stand beside {len(items)} items. Give one item per user.")
        return users, items

    def _probability(
        self, users: Codes, items: Codes, bias: npt.NDArray[np.float64], slope: float
    ) -> npt.NDArray[np.float64]:
        logits = np.empty(len(users))
        # Chunks keep the gathered rows in the processor's cache.
        for start in range(0, len(users), _CHUNK):
            part = slice(start, start + _CHUNK)
            affinity = np.einsum("nd,nd->n", self.user_factors[users[part]], self.item_factors[items[part]])
            logits[part] = bias[items[part]] + slope * affinity
        probabilities: npt.NDArray[np.float64] = expit(logits, out=logits)
        return probabilities
