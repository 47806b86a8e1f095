"""Candidate lists, groups, goals and guardrails as arrays → one checked, canonical `Problem` for the solver."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ltexpo.errors import InputError
from ltexpo.rerank.kernels import sort_lists
from ltexpo.rerank.selection import Lists

if TYPE_CHECKING:
    from ltexpo.rerank.welfare import WelfareTerms

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Goals:
    """G exposure goals: `kind[g]` is +1 (at least) or -1 (at most) `target[g]` exposure for group `group[g]`.

    Kind 0 asks for nothing (target 0): a group whose exposure counts in the welfare of the problem.
    """

    group: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int8]
    target: Floats

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Cap:
    """At most `at_most` items with the same code in one list; `codes` (I,) says the part of every item, -1 = free."""

    codes: npt.NDArray[np.int32]
    at_most: int


@dataclass(frozen=True)
class Guardrails:
    """What may not be paid for a goal.

    A candidate that is not boostable never stands above its slot in the plain list: because its score is under
    `min_score_ratio` × the best score of its list, under `min_score`, or because `boostable` (nnz,) says so.
    The first `protect_top` slots keep the plain list. `pin` (I,) is the slot from 0 of every pinned item, -1 for the
    others: a pinned item stands there in the plain list and in the final one, whatever floors and caps say (it counts
    against the caps of the others); in a list too short for its slot it stands last. No list loses more than
    `max_request_loss` of its own plain clicks. `max_click_loss` of all together is kept by `solve.spend`;
    `solve.solve` meets the goals at any price.
    """

    min_score_ratio: float | None = None
    min_score: float | None = None
    boostable: npt.NDArray[np.bool_] | None = None
    protect_top: int = 0
    caps: Sequence[Cap] = ()
    max_request_loss: float | None = None
    max_click_loss: float | None = None
    pin: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """R lists of candidates with scores, I items in groups, goals, guardrails. Build with `Problem.build`.

    Inside every list candidates stand by score, best first, ties by item code: so the plain list is a prefix, and a
    tie of boosted scores goes to the higher plain score, then to the lower item code.
    """

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    attention: Floats
    group_indptr: npt.NDArray[np.int64]
    group_ids: npt.NDArray[np.int64]
    goals: Goals
    guardrails: Guardrails = field(default_factory=Guardrails)
    weights: npt.NDArray[np.float32] | None = None
    welfare: "WelfareTerms | None" = None
    """Concave utility of exposure that is maximised together with clicks."""

    @classmethod
    def build(
        cls,
        indptr: npt.ArrayLike,
        items: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        attention: npt.ArrayLike,
        group_indptr: npt.ArrayLike,
        group_ids: npt.ArrayLike,
        goals: Goals,
        guardrails: Guardrails | None = None,
        weights: npt.ArrayLike | None = None,
        in_place: bool = False,
    ) -> "Problem":
        """Checked problem; lists are put in canonical order (in the given arrays if `in_place`, else in copies).

        indptr (R+1,), items (nnz,) dense codes, scores (nnz,) finite, attention (k,) non-increasing, group_indptr
        (I+1,) and group_ids: the groups of every item. Raises `InputError`.
        """
        rails = guardrails or Guardrails()
        starts = np.ascontiguousarray(indptr, dtype=np.int64)
        codes: npt.NDArray[np.int32] = _array(items, np.int32, in_place)
        values: npt.NDArray[np.float32] = _array(scores, np.float32, in_place)
        slots = np.ascontiguousarray(attention, dtype=np.float64)
        ends = np.ascontiguousarray(group_indptr, dtype=np.int64)
        groups = np.ascontiguousarray(group_ids, dtype=np.int64)
        shares = None if weights is None else np.ascontiguousarray(weights, dtype=np.float32)
        boostable = None if rails.boostable is None else _array(rails.boostable, np.bool_, in_place)
        check_lists(starts, codes, values, slots, n_items=len(ends) - 1, weights=shares)
        _check_goals(goals, groups, rails, len(ends) - 1, len(slots))
        if not sort_lists(starts, codes, values, np.empty(0, np.bool_) if boostable is None else boostable):
            raise InputError("candidates hold the same item twice in one list. Keep one row per request and item.")
        if boostable is not None:
            rails = Guardrails(**{**rails.__dict__, "boostable": boostable})
        return cls(starts, codes, values, slots, ends, groups, goals, rails, shares)

    @property
    def n_lists(self) -> int:
        """R."""
        return len(self.indptr) - 1

    @property
    def n_items(self) -> int:
        """I."""
        return len(self.group_indptr) - 1

    @property
    def k(self) -> int:
        """Slots of a list."""
        return len(self.attention)

    @cached_property
    def list_exposure(self) -> Floats:
        """Exposure that each list gives away, whatever stands in it: (R,)."""
        total = np.concatenate([[0.0], np.cumsum(self.attention)])
        given = total[np.minimum(np.diff(self.indptr), self.k)]
        return given if self.weights is None else given * self.weights

    @cached_property
    def total_exposure(self) -> float:
        """Constant of the lists, so a share goal is an absolute one (per-list caps may leave slots empty)."""
        return float(self.list_exposure.sum())

    @cached_property
    def membership(self) -> csr_array:
        """A (I, G): 1 where the item counts for the goal; boosts are A @ prices, exposures A.T @ item exposure."""
        n_groups = max(int(self.group_ids.max(initial=-1)), int(self.goals.group.max(initial=-1))) + 1
        n_goals = len(self.goals)
        of_items = csr_array(
            (np.ones(len(self.group_ids)), self.group_ids, self.group_indptr), shape=(self.n_items, n_groups)
        )
        of_goals = csr_array((np.ones(n_goals), (self.goals.group, np.arange(n_goals))), shape=(n_groups, n_goals))
        member = csr_array(of_items @ of_goals)
        member.sort_indices()
        member.data[:] = 1.0
        return member

    @cached_property
    def lists(self) -> Lists:
        """What the kernels read."""
        rails = self.guardrails
        caps = [cap for cap in rails.caps if cap.at_most < self.k]
        pin = np.empty(0, np.int32) if rails.pin is None else rails.pin
        ratio, floor = rails.min_score_ratio, rails.min_score
        floors = ratio is not None or floor is not None or rails.boostable is not None
        return Lists(
            indptr=self.indptr,
            items=self.items,
            scores=self.scores,
            weights=np.empty(0, np.float32) if self.weights is None else self.weights,
            attention=self.attention,
            guarded=(
                bool(caps) or floors or rails.protect_top > 0 or rails.max_request_loss is not None or len(pin) > 0
            ),
            floors=floors,
            ratio=-np.inf if ratio is None else float(ratio),
            floor=-np.inf if floor is None else float(floor),
            boostable=np.empty(0, np.bool_) if rails.boostable is None else rails.boostable,
            protect=rails.protect_top,
            parts=np.array([cap.codes for cap in caps], np.int32).reshape(len(caps), self.n_items),
            caps=np.array([cap.at_most for cap in caps], np.int32),
            keep=-1.0 if rails.max_request_loss is None else 1.0 - rails.max_request_loss,
            pin=pin,
        )

    def boosts(self, prices: Floats) -> npt.NDArray[np.float32]:
        """Boost of every item (I,) in score units: the sum of the prices of its goals."""
        return np.asarray(self.membership @ prices, dtype=np.float32)


def _array(values: npt.ArrayLike, dtype: type, in_place: bool) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype) if in_place else np.array(values, dtype=dtype, order="C")


def check_lists(
    indptr: npt.NDArray[np.int64],
    items: npt.NDArray[np.generic],
    scores: npt.NDArray[np.generic],
    attention: Floats,
    *,
    n_items: int,
    weights: npt.NDArray[np.float32] | None = None,
) -> None:
    """Raise `InputError` for lists that cannot be used."""
    if len(indptr) < 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] != len(items):
        raise InputError("indptr does not cut the candidates into lists. Give R+1 rising offsets from 0 to nnz.")
    if len(scores) != len(items):
        raise InputError(f"scores holds {len(scores)} values for {len(items)} candidates. Give one per candidate.")
    if len(items) and (int(items.min()) < 0 or int(items.max()) >= n_items):
        raise InputError(f"items holds codes outside 0 to {n_items - 1}. Encode items densely.")
    # min and max see NaN and infinities without a temporary the size of the input
    if len(scores) and not (np.isfinite(scores.min()) and np.isfinite(scores.max())):
        raise InputError("scores holds NaN or infinite values. Drop or mend these candidates first.")
    if weights is not None and (len(weights) != len(indptr) - 1 or not (weights >= 0).all()):
        raise InputError("weights must hold one value ≥ 0 per list.")
    if not len(attention) or (attention < 0).any() or (np.diff(attention) > 1e-12).any():
        raise InputError("attention must hold k probabilities that do not rise with rank.")


def _check_goals(goals: Goals, group_ids: npt.NDArray[np.int64], rails: Guardrails, n_items: int, k: int) -> None:
    if not (len(goals.group) == len(goals.kind) == len(goals.target)):
        raise InputError("goals: group, kind and target must be of one length.")
    if not np.isin(goals.kind, (-1, 0, 1)).all() or not np.isfinite(goals.target).all():
        raise InputError("goals: kind must be +1 (at least), -1 (at most) or 0 (welfare) and target finite.")
    if int(group_ids.min(initial=0)) < 0 or int(goals.group.min(initial=0)) < 0:
        raise InputError("groups must be coded from 0.")
    for cap in rails.caps:
        if len(cap.codes) != n_items or cap.at_most < 1:
            raise InputError("a cap needs one part code per item and at least 1 item per part.")
    if rails.pin is not None:
        slots = rails.pin[rails.pin >= 0]
        if len(rails.pin) != n_items or len(np.unique(slots)) < len(slots) or int(slots.max(initial=0)) >= k:
            raise InputError(f"pin needs one slot per item: -1, or its own from 0 to {k - 1}.")
    for name in ("max_request_loss", "max_click_loss"):
        loss = getattr(rails, name)
        if loss is not None and not 0 <= loss <= 1:
            raise InputError(f"{name} is {loss}; give a share from 0 to 1.")
