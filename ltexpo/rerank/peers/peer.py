"""Candidate lists, groups and popularity as arrays → the `Market` every published re-ranker reads, and its contract."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ltexpo.errors import ConfigError, InputError
from ltexpo.rerank.kernels import sort_lists
from ltexpo.rerank.problem import check_lists

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int32]

HEAD_SHARE = 0.8
"""The head is the smallest set of items with this share of interactions, as in `TailSpec`."""


@dataclass(frozen=True, eq=False)
class Market:
    """R lists of candidates with scores; I items in P groups (a seller, a brand, a tier). Build with `Market.build`.

    Inside every list candidates stand by score, best first, ties by item code, as in a `Problem`: offset j < k of a
    list is slot j of the plain list. `due` (P,) is the share of all exposure that each group should have, for the
    methods that need one; groups with due 0 are left as they are. `protected` (I,) are the items that the methods for
    two groups of items raise. `user_group` (R,) is 1 where the list's user belongs to the group that is served worse.
    """

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    attention: Floats
    group: npt.NDArray[np.int32]
    popularity: Floats
    due: Floats
    protected: npt.NDArray[np.bool_]
    history_indptr: npt.NDArray[np.int64] | None = None
    history_items: npt.NDArray[np.int32] | None = None
    features: npt.NDArray[np.float32] | None = None
    user_group: npt.NDArray[np.int8] | None = None

    @classmethod
    def build(
        cls,
        indptr: npt.ArrayLike,
        items: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        attention: npt.ArrayLike,
        group: npt.ArrayLike,
        popularity: npt.ArrayLike,
        due: npt.ArrayLike | None = None,
        protected: npt.ArrayLike | None = None,
        history: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        features: npt.ArrayLike | None = None,
        user_group: npt.ArrayLike | None = None,
    ) -> "Market":
        """Checked market; the lists are copied and put in canonical order.

        indptr (R+1,), items (nnz,) dense codes, scores (nnz,) finite, attention (k,), group (I,) codes from 0 or -1 for
        none, popularity (I,) training interactions, due (P,) ≥ 0 (default: equal among the groups with candidates),
        protected (I,) (default: the tail by popularity), history (indptr (R+1,), items) of the user of each list,
        features (I, d) for the methods that want diversity, user_group (R,) of 0 and 1. Raises `InputError`.
        """
        starts = np.ascontiguousarray(indptr, np.int64)
        codes = np.array(items, np.int32)
        values = np.array(scores, np.float32)
        parts = np.ascontiguousarray(group, np.int32)
        counts = np.ascontiguousarray(popularity, np.float64)
        slots = np.ascontiguousarray(attention, np.float64)
        check_lists(starts, codes, values, slots, n_items=len(parts))
        if len(counts) != len(parts) or not (counts >= 0).all():
            raise InputError(f"popularity must hold one count ≥ 0 for each of {len(parts)} items.")
        if not sort_lists(starts, codes, values, np.empty(0, np.bool_)):
            raise InputError("candidates hold the same item twice in one list. Keep one row per request and item.")
        past = None if history is None else np.ascontiguousarray(history[0], np.int64)
        if past is not None and len(past) != len(starts):
            raise InputError(f"history has {len(past) - 1} lists for {len(starts) - 1} requests. Give one per request.")
        return cls(
            indptr=starts,
            items=codes,
            scores=values,
            attention=slots,
            group=parts,
            popularity=counts,
            due=_due(due, parts, codes),
            protected=_tail(counts) if protected is None else np.ascontiguousarray(protected, np.bool_),
            history_indptr=past,
            history_items=None if history is None else np.ascontiguousarray(history[1], np.int32),
            features=None if features is None else _unit_rows(features),
            user_group=None if user_group is None else np.ascontiguousarray(user_group, np.int8),
        )

    @property
    def n_lists(self) -> int:
        """R."""
        return len(self.indptr) - 1

    @property
    def n_items(self) -> int:
        """I."""
        return len(self.group)

    @property
    def n_groups(self) -> int:
        """P."""
        return len(self.due)

    @property
    def k(self) -> int:
        """Slots of a list."""
        return len(self.attention)

    @cached_property
    def filled(self) -> npt.NDArray[np.int64]:
        """Slots that each list fills: (R,)."""
        return np.minimum(np.diff(self.indptr), self.k)

    @cached_property
    def total_exposure(self) -> float:
        """Exposure that all lists give away."""
        return float(np.concatenate([[0.0], np.cumsum(self.attention)])[self.filled].sum())

    def per_item(self, by_group: Floats) -> Floats:
        """A value per group (P,) → per item (I,); 0 for items without a group."""
        return np.where(self.group >= 0, by_group[np.maximum(self.group, 0)], 0.0)

    def exposure(self, slots: Slots) -> Floats:
        """Exposure of every item (I,) under these lists."""
        shown = slots >= 0
        at = (self.indptr[:-1, None] + np.maximum(slots, 0))[shown]
        seen = np.broadcast_to(self.attention, slots.shape)[shown]
        return np.bincount(self.items[at], seen, self.n_items).astype(np.float64)

    def group_exposure(self, slots: Slots) -> Floats:
        """Exposure of every group (P,) under these lists."""
        in_group = self.group >= 0
        held = self.exposure(slots)[in_group]
        return np.bincount(self.group[in_group], held, self.n_groups).astype(np.float64)

    def clicks(self, slots: Slots) -> float:
        """Expected clicks Σ a × score of these lists."""
        shown = slots >= 0
        at = (self.indptr[:-1, None] + slots)[shown]
        return float((np.broadcast_to(self.attention, slots.shape)[shown] * self.scores[at]).sum())


class Peer(Protocol):
    """A published re-ranker. Settings that are no trade-off are fields of the class; the trade-off is `strength`."""

    @property
    def name(self) -> str:
        """Key in the registry."""

    @property
    def paper(self) -> str:
        """Where it was published."""

    @property
    def raises(self) -> Literal["nothing", "protected", "groups", "history", "diversity"]:
        """What more strength raises: protected items, groups behind their due, a user's own mix, or diversity."""

    @property
    def plain_at_zero(self) -> bool:
        """Whether strength 0 is the plain list."""

    @property
    def strengths(self) -> tuple[float, ...]:
        """Rising grid over the useful range, for sweeps when scores are probabilities."""

    def rerank(self, market: Market, strength: float) -> Slots:
        """Slots (R, k): offset of each slot's candidate inside its list, -1 = empty; the same bytes every time."""


def checked(strength: float, name: str, *, most: float = np.inf) -> float:
    """`strength` if it lies in 0 to `most`; else `ConfigError`."""
    if not 0.0 <= strength <= most:
        reach = "≥ 0" if most == np.inf else f"from 0 to {most:g}"
        raise ConfigError(f"strength of {name} is {strength}; give a number {reach}.")
    return float(strength)


def _due(due: npt.ArrayLike | None, group: Array, items: Array) -> Floats:
    n_groups = int(group.max(initial=-1)) + 1
    if due is None:
        offered = np.bincount(group[items][group[items] >= 0], minlength=n_groups) > 0
        return offered.astype(np.float64) / max(int(offered.sum()), 1)
    shares = np.array(due, np.float64)
    if len(shares) < n_groups or not (shares >= 0).all() or not shares.sum() > 0:
        raise InputError(f"due must hold a share ≥ 0 for each of {n_groups} groups, not all 0.")
    return np.asarray(shares / shares.sum())


def _tail(popularity: Floats) -> npt.NDArray[np.bool_]:
    """Everything outside the smallest set of items with `HEAD_SHARE` of interactions; ties by code."""
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    tail = np.ones(len(popularity), np.bool_)
    tail[order[before < HEAD_SHARE * popularity.sum()]] = False
    return tail


def _unit_rows(features: npt.ArrayLike) -> npt.NDArray[np.float32]:
    rows = np.array(features, np.float32)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norm > 0, norm, 1.0), np.float32)
