"""What is asked of lists, wherever they lie: the passes that the solver makes over them, behind one interface.

`Problem` holds the lists in the memory of one machine; an engine may hold them elsewhere. Every sum over lists is an
integer (see `fixed`), so a task gives the same numbers to the last bit however its lists are cut into blocks.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ltexpo.rerank.fixed import exposure_scale, scale_of
from ltexpo.rerank.goals import Goals, Guardrails
from ltexpo.rerank.selection import Lists

if TYPE_CHECKING:
    from ltexpo.rerank.moves import Search
    from ltexpo.rerank.problem import Problem
    from ltexpo.rerank.welfare import WelfareTerms

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Boosts = npt.NDArray[np.float32]
Chosen: TypeAlias = Any
"""Chosen slots of all lists: (R, k) offsets inside each list, −1 = empty, where lists lie in memory; elsewhere what the
task that made them understands."""


class Scales(NamedTuple):
    """Fixed-point scales of item exposure, dual values and clicks."""

    exposure: float
    value: float
    clicks: float


class Sums(NamedTuple):
    """Sums over lists, each × its scale: exposure of every item (I,) int64, dual value, clicks."""

    exposure: Ints
    value: int
    clicks: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Task(ABC):
    """I items in groups, goals and guardrails over R lists of candidates that are somewhere."""

    attention: Floats
    """(k,)"""
    group_indptr: Ints
    group_ids: Ints
    """Groups of every item, as CSR."""
    goals: Goals
    guardrails: Guardrails = field(default_factory=Guardrails)
    welfare: "WelfareTerms | None" = None
    """Concave utility of exposure that is maximised together with clicks."""

    @property
    @abstractmethod
    def n_lists(self) -> int:
        """R."""

    @property
    @abstractmethod
    def weighted(self) -> bool:
        """Whether lists have weights."""

    @property
    @abstractmethod
    def score_limits(self) -> tuple[float, float]:
        """Least and greatest score; raises `ValueError` without candidates."""

    @property
    @abstractmethod
    def total_exposure(self) -> float:
        """Constant of the lists, so a share goal is an absolute one (per-list caps may leave slots empty)."""

    @abstractmethod
    def pass_at(self, boost: Boosts, scales: Scales) -> Sums:
        """The best lists at these boosts (I,), summed."""

    @abstractmethod
    def extremes(self, *, guarded: bool, scale: float) -> Ints:
        """Extreme exposure × scale of every goal (G,), see `attain`."""

    @abstractmethod
    def choose(self, boost: Boosts) -> Chosen:
        """The best lists at these boosts."""

    @abstractmethod
    def plain(self) -> Chosen:
        """The ranker's own top k under pins and per-list caps."""

    @abstractmethod
    def measure(self, slots: Chosen, scales: Scales) -> Sums:
        """Given lists, summed (no dual value)."""

    @abstractmethod
    def rate_moves(
        self, search: "Search", exposure: Floats, slots: Chosen, limit: float
    ) -> tuple[Ints, npt.NDArray[np.float32]]:
        """Lists (n,), rising, that have a move with a rate under `limit`, and these rates."""

    @abstractmethod
    def apply_moves(self, search: "Search", exposure: Floats, slots: Chosen, rows: Ints, rates: Floats) -> tuple[
        int, float
    ]:
        """Make the moves of the lists `rows` in order; changes slots and exposure (G,) in place → moves, clicks won."""

    @abstractmethod
    def picked(self, rows: Ints) -> tuple[Lists, Ints]:
        """Lists in memory, and where in them the lists `rows` are."""

    @abstractmethod
    def looked_at(self, most: int) -> tuple[Lists, Ints]:
        """Like `picked`, for up to `most` lists of two or more candidates, spread over all of them."""

    @abstractmethod
    def pins_kept(self, slots: Chosen) -> Mapping[str, int]:
        """How many candidates are pinned, and how many of them stand in their slot."""

    @abstractmethod
    def collected(self) -> "Problem":
        """The same task with all its lists in memory."""

    @property
    def n_items(self) -> int:
        """I."""
        return len(self.group_indptr) - 1

    @property
    def k(self) -> int:
        """Slots of a list."""
        return len(self.attention)

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

    def boosts(self, prices: Floats) -> Boosts:
        """Boost of every item (I,) in score units: the sum of the prices of its goals."""
        return np.asarray(self.membership @ prices, dtype=np.float32)

    def scales(self, given: float, boost: Boosts | None = None) -> Scales:
        """Scales for lists that give away `given` exposure at these boosts (None: no dual value is summed)."""
        least, most = self.score_limits if given > 0 else (0.0, 0.0)
        score = max(abs(least), abs(most))
        raised = score + (0.0 if boost is None else float(np.abs(boost).max(initial=0.0)))
        return Scales(exposure_scale(given), scale_of(given * raised), scale_of(given * score))

    @property
    def constants(self) -> Lists:
        """What the kernels read, without lists."""
        rails = self.guardrails
        caps = [cap for cap in rails.caps if cap.at_most < self.k]
        pin = np.empty(0, np.int32) if rails.pin is None else rails.pin
        ratio, floor = rails.min_score_ratio, rails.min_score
        floors = ratio is not None or floor is not None or rails.boostable is not None
        return Lists(
            indptr=np.zeros(1, np.int64),
            items=np.empty(0, np.int32),
            scores=np.empty(0, np.float32),
            weights=np.empty(0, np.float32),
            attention=self.attention,
            guarded=(
                bool(caps) or floors or rails.protect_top > 0 or rails.max_request_loss is not None or len(pin) > 0
            ),
            floors=floors,
            ratio=-np.inf if ratio is None else float(ratio),
            floor=-np.inf if floor is None else float(floor),
            boostable=np.empty(0, np.bool_),
            protect=rails.protect_top,
            parts=np.array([cap.codes for cap in caps], np.int32).reshape(len(caps), self.n_items),
            caps=np.array([cap.at_most for cap in caps], np.int32),
            keep=-1.0 if rails.max_request_loss is None else 1.0 - rails.max_request_loss,
            pin=pin,
        )
