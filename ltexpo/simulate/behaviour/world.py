"""People under one arm's lists, day after day → what each did so far."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.simulate.behaviour import totals
from ltexpo.simulate.behaviour.kernel import live_day
from ltexpo.simulate.behaviour.people import People
from ltexpo.simulate.behaviour.settings import BehaviourSettings
from ltexpo.simulate.behaviour.shown import ShownLists
from ltexpo.simulate.catalogue import Catalogue
from ltexpo.simulate.environment import Environment

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

_BUDGET_DAYS = 30


@dataclass(frozen=True)
class State:
    """What users carry from one day into the next."""

    stays: npt.NDArray[np.bool_]
    """(U,) has not left for good."""
    satisfaction: Floats
    """(U,) exponential mean of visits with a click."""
    budget_left: Floats
    """(U,)"""
    active: npt.NDArray[np.uint8]
    """(U,) bit j: came j + 1 days ago."""

    def copy(self) -> "State":
        """Another with the same values."""
        return State(self.stays.copy(), self.satisfaction.copy(), self.budget_left.copy(), self.active.copy())


@dataclass
class World:
    """One arm: all that lives there, and what it adds up to. `day` is the next to be lived."""

    people: People
    catalogue: Catalogue
    environment: Environment
    settings: BehaviourSettings
    seed: int
    lists: ShownLists
    usual: Floats
    """(U,) the satisfaction that the control's first lists would give."""
    present: npt.NDArray[np.bool_]
    """(U,) who lives in this arm."""
    state: State
    day: int = 0
    lift: npt.NDArray[np.float32] | None = None
    """(R, K) what the novelty of each slot adds to its attraction on the first day, as a share."""
    totals: Floats = field(init=False)
    """(U, `totals.WIDTH`)"""
    _pairs: "_Pairs" = field(init=False)
    _past: list[pd.DataFrame] = field(init=False, default_factory=list)
    _shown: Counts = field(init=False)
    _clicked: Counts = field(init=False)
    _bought: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.totals = np.zeros((len(self.people), totals.WIDTH))
        self._pairs = _Pairs.of(self.lists)
        self._count_afresh()

    @classmethod
    def begin(
        cls, people: People, catalogue: Catalogue, environment: Environment, settings: BehaviourSettings, seed: int,
        lists: ShownLists, *, day: int = 0,
    ) -> "World":
        """Everybody, as satisfied as `lists` would make them; `day` is below 0 for days before a test."""
        usual = usual_satisfaction(lists, environment)
        state = State(
            np.ones(len(people), dtype=np.bool_), usual.copy(), people.budget.copy(),
            np.zeros(len(people), dtype=np.uint8),
        )
        return cls(people, catalogue, environment, settings, seed, lists, usual,
                   np.ones(len(people), dtype=np.bool_), state, day)

    def fork(self, lists: ShownLists, present: npt.NDArray[np.bool_]) -> "World":
        """This world's people as they are now under other `lists`, with nothing counted yet; only `present` live.

        Nobody is tired of anything yet: else whatever differs from what was shown before would win by that alone.
        """
        state = replace(self.state.copy(), active=np.zeros(len(self.people), dtype=np.uint8))
        world = World(self.people, self.catalogue, self.environment, self.settings, self.seed, lists, self.usual,
                      present, state, self.day)
        if self.settings.novelty > 0:
            world.lift = np.float32(self.settings.novelty) * world._pairs.absent_from(self._pairs)
        return world

    def show(self, lists: ShownLists) -> None:
        """Show other lists from the next day on; what was counted per slot is forgotten, totals and tiredness stay."""
        pairs = _Pairs.of(lists)
        pairs.take_over(self._pairs)
        self._past.append(self.counts())
        self.lists, self._pairs, self.lift = lists, pairs, None
        self._count_afresh()

    def live(self) -> None:
        """One more day."""
        settings, lists, clicks = self.settings, self.lists, self.environment.clicks
        if self.day and self.day % _BUDGET_DAYS == 0:
            self.state.budget_left[:] = self.people.budget
        if settings.fatigue:
            self._pairs.seen *= 1 - settings.recovery
        lift = np.ones((1, 1), dtype=np.float32)
        if self.lift is not None:
            lift = 1 + self.lift * np.float32(0.5 ** (max(self.day, 0) / settings.novelty_half_life))
        live_day(
            self.seed, self.day, self.present, self.people.rate, self.people.arrives, self.usual,
            lists.first, lists.slots, lists.item, lists.attraction, lists.purchase,
            lists.satisfaction, self._pairs.place,
            np.broadcast_to(lift, lists.item.shape), self.catalogue.price, self.catalogue.tier,
            self.environment.examination, clicks.kind, clicks.examination, clicks.after_click, clicks.after_skip,
            settings.fatigue, settings.satisfaction_memory, settings.return_strength, settings.leave_per_day,
            settings.leave_strength, self.state.stays, self.state.satisfaction, self.state.budget_left,
            self.state.active, self._pairs.seen, self.totals, self._shown, self._clicked, self._bought,
        )
        self.day += 1

    def items(self) -> pd.DataFrame:
        """One row per item of the catalogue: impressions, exposure, clicks, purchases."""
        rows = self.everything()
        columns = {
            "impressions": rows["shown"], "exposure": rows["exposure"], "clicks": rows["clicked"],
            "purchases": rows["bought"],
        }
        n = len(self.catalogue)
        return pd.DataFrame({
            name: np.bincount(rows["item"], weights=values, minlength=n) for name, values in columns.items()
        })

    def everything(self) -> pd.DataFrame:
        """`counts` of all lists that were shown, the earlier ones too."""
        return pd.concat([*self._past, self.counts()], ignore_index=True)

    def counts(self) -> pd.DataFrame:
        """What every slot did since its list came up: user, item (codes), rank, shown, exposure, clicked, bought; slots
        that nobody was shown are left out."""
        row, slot = np.nonzero(self._shown)
        return pd.DataFrame({
            "user": self.lists.owner[row], "item": self.lists.item[row, slot], "rank": slot + 1,
            "shown": self._shown[row, slot],
            "exposure": self._shown[row, slot] * self.environment.examination[slot],
            "clicked": self._clicked[row, slot], "bought": self._bought[row, slot],
        })

    def _count_afresh(self) -> None:
        self._shown, self._clicked, self._bought = (np.zeros(self.lists.item.shape, np.int32) for _ in range(3))


def usual_satisfaction(lists: ShownLists, environment: Environment) -> Floats:
    """(U,) how often a visit brings a click, over each user's lists, if slots were examined apart from each other."""
    chance = environment.examination[: lists.width] * lists.attraction
    any_click = 1 - np.prod(1 - chance, axis=1)
    usual: Floats = np.bincount(lists.owner, weights=any_click) / np.diff(lists.first)
    return usual


@dataclass
class _Pairs:
    """The distinct user–item pairs of some lists, and how often each was examined."""

    key: npt.NDArray[np.int64]
    """(P,) ascending: user · 2³¹ + item."""
    place: npt.NDArray[np.int64]
    """(R, K) the place in `key` of each slot; 0 beyond a list's end."""
    seen: npt.NDArray[np.float32]
    """(P,)"""

    @classmethod
    def of(cls, lists: ShownLists) -> "_Pairs":
        key = (lists.owner[:, None] << 31) + lists.item
        distinct, place = np.unique(key[lists.item >= 0], return_inverse=True)
        places = np.zeros(lists.item.shape, dtype=np.int64)
        places[lists.item >= 0] = place
        return cls(distinct, places, np.zeros(len(distinct), dtype=np.float32))

    def _found(self, other: "_Pairs") -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        at = np.minimum(np.searchsorted(other.key, self.key), len(other.key) - 1)
        return at, other.key[at] == self.key

    def take_over(self, other: "_Pairs") -> None:
        """Remember what `other` knows of the pairs that both hold."""
        at, known = self._found(other)
        self.seen[known] = other.seen[at[known]]

    def absent_from(self, other: "_Pairs") -> npt.NDArray[np.float32]:
        """(R, K) 1 where `other` does not hold the pair, else 0."""
        _, known = self._found(other)
        return (~known).astype(np.float32)[self.place]
