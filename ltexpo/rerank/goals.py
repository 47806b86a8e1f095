"""Goals, caps and guardrails in arrays, checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.errors import InputError

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


def check_goals(goals: Goals, group_ids: npt.NDArray[np.int64], rails: Guardrails, n_items: int, k: int) -> None:
    """Raise `InputError` for goals and guardrails that cannot be used."""
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
