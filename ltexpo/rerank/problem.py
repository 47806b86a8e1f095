"""Candidate lists, groups, goals and guardrails as arrays → one checked, canonical `Problem` for the solver."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ltexpo.errors import InputError
from ltexpo.rerank.goals import Cap, Goals, Guardrails, check_goals
from ltexpo.rerank.kernels import choose, choose_plain, sort_lists
from ltexpo.rerank.moves import Search, apply_moves
from ltexpo.rerank.passes import (
    ALL,
    Slots,
    count_pins,
    list_exposure,
    narrowest,
    rated,
    spread,
    sum_best,
    sum_extremes,
    sum_lists,
    total,
)
from ltexpo.rerank.selection import Lists
from ltexpo.rerank.task import Boosts, Chosen, Scales, Sums, Task

__all__ = ["Cap", "Goals", "Guardrails", "Problem", "check_lists", "empty_slots"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem(Task):
    """A `Task` whose R lists of candidates with scores lie in memory. Build with `Problem.build`.

    Inside every list candidates stand by score, best first, ties by item code: so the plain list is a prefix, and a
    tie of boosted scores goes to the higher plain score, then to the lower item code.
    """

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32] | None = None

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
        check_goals(goals, groups, rails, len(ends) - 1, len(slots))
        if not sort_lists(starts, codes, values, np.empty(0, np.bool_) if boostable is None else boostable):
            raise InputError("candidates hold the same item twice in one list. Keep one row per request and item.")
        if boostable is not None:
            rails = Guardrails(**{**rails.__dict__, "boostable": boostable})
        return cls(
            indptr=starts, items=codes, scores=values, attention=slots, group_indptr=ends, group_ids=groups,
            goals=goals, guardrails=rails, weights=shares,
        )

    @property
    def n_lists(self) -> int:
        """R."""
        return len(self.indptr) - 1

    @property
    def weighted(self) -> bool:
        """Whether lists have weights."""
        return self.weights is not None

    @cached_property
    def score_limits(self) -> tuple[float, float]:
        """Least and greatest score; raises `ValueError` without candidates."""
        return float(self.scores.min()), float(self.scores.max())

    @cached_property
    def list_exposure(self) -> Floats:
        """Exposure that each list gives away, whatever stands in it: (R,)."""
        return list_exposure(self.lists, np.arange(self.n_lists))

    @cached_property
    def total_exposure(self) -> float:
        """Constant of the lists, so a share goal is an absolute one (per-list caps may leave slots empty)."""
        return total(self.list_exposure)

    @cached_property
    def lists(self) -> Lists:
        """What the kernels read."""
        rails = self.guardrails
        return self.constants._replace(
            indptr=self.indptr,
            items=self.items,
            scores=self.scores,
            weights=np.empty(0, np.float32) if self.weights is None else self.weights,
            boostable=np.empty(0, np.bool_) if rails.boostable is None else rails.boostable,
        )

    def pass_at(self, boost: Boosts, scales: Scales) -> Sums:
        """The best lists at these boosts (I,), summed."""
        return sum_best(self.lists, ALL, boost, scales)

    def extremes(self, *, guarded: bool, scale: float) -> npt.NDArray[np.int64]:
        """Extreme exposure × scale of every goal (G,), see `attain`."""
        return sum_extremes(self.lists, self.membership, self.goals.kind, guarded=guarded, scale=scale)

    def choose(self, boost: Boosts) -> Slots:
        """The best lists (R, k) at these boosts."""
        slots = empty_slots(self)
        choose(self.lists, boost, slots)
        return slots

    def plain(self) -> Slots:
        """The ranker's own top k under pins and per-list caps: (R, k)."""
        slots = empty_slots(self)
        choose_plain(self.lists, slots)
        return slots

    def measure(self, slots: Chosen, scales: Scales) -> Sums:
        """Given lists (R, k), summed."""
        return sum_lists(self.lists, slots, self.n_items, scales)

    def rate_moves(
        self, search: Search, exposure: Floats, slots: Chosen, limit: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Lists (n,), rising, that have a move with a rate under `limit`, and these rates."""
        return rated(self.lists, search, exposure, slots, limit)

    def apply_moves(
        self, search: Search, exposure: Floats, slots: Chosen, rows: npt.NDArray[np.int64], rates: Floats
    ) -> tuple[int, float]:
        """Make the moves of the lists `rows` in order; changes slots and exposure (G,) in place → moves, clicks won."""
        made, won = apply_moves(self.lists, search, exposure, slots, rows, rates)
        return made, won

    def picked(self, rows: npt.NDArray[np.int64]) -> tuple[Lists, npt.NDArray[np.int64]]:
        """The lists themselves: nothing is copied."""
        return self.lists, rows

    def looked_at(self, most: int) -> tuple[Lists, npt.NDArray[np.int64]]:
        """Up to `most` lists of two or more candidates, spread over all of them."""
        rows = np.flatnonzero(np.diff(self.indptr) >= 2)
        return self.lists, rows[spread(len(rows), most)]

    def pins_kept(self, slots: Chosen) -> dict[str, int]:
        """How many candidates are pinned, and how many of them stand in their slot of the lists `slots` (R, k)."""
        candidates, in_slot = count_pins(self.lists, slots)
        return {"candidates": candidates, "in_slot": in_slot}

    def collected(self) -> "Problem":
        """Itself."""
        return self


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


def empty_slots(problem: Problem) -> Slots:
    """Unfilled (R, k) table, of the narrowest integers that hold the longest list."""
    longest = int(np.diff(problem.indptr).max(initial=0))
    return np.empty((problem.n_lists, problem.k), narrowest(longest))
