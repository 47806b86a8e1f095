"""Lists of several arms + an environment → what each arm does, day by day, and how sure a test of it would be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.schema import RANKINGS, check_table
from ltexpo.errors import ConfigError, TableError
from ltexpo.simulate.behaviour import People, ShownLists, World
from ltexpo.simulate.behaviour.people import uniforms_of
from ltexpo.simulate.behaviour.uniforms import ARM
from ltexpo.simulate.catalogue import Catalogue
from ltexpo.simulate.environment import Environment, check_environment
from ltexpo.simulate.log import Log
from ltexpo.simulate.readout import Readout
from ltexpo.simulate.result import ExperimentResult
from ltexpo.simulate.settings import ExperimentSettings, check_metrics

Floats = npt.NDArray[np.float64]
CONTROL = "control"


class Recommender(Protocol):
    """An arm that makes its lists anew from what was logged."""

    def __call__(self, day: int, shown: pd.DataFrame | None) -> pd.DataFrame:
        """Rankings of every user from `day` on. `shown`: what was shown so far, see `Log`; None on the first day."""


Arm = pd.DataFrame | Recommender
"""Rankings that stay, or a recommender that is asked again every `retrain_every` days."""


@dataclass(frozen=True)
class Experiment:
    """A simulated A/B test.

    Everybody lives in every arm's world with the same chance (common random numbers), so that what the arms do is
    known far more exactly than any test could tell it: that is the effect. And each user is dealt to one arm: what a
    test reads from that is the test's answer, with the intervals that it would print. Recommenders that share a log
    cannot be kept in worlds of their own, so then there is only the test.
    """

    settings: ExperimentSettings = field(default_factory=ExperimentSettings)

    def simulate(
        self,
        control: Arm,
        treatment: Arm | Mapping[str, Arm],
        environment: Environment,
        *,
        items: pd.DataFrame,
        tiers: pd.DataFrame,
        segments: pd.DataFrame | None = None,
        activity: Floats | None = None,
        rng: int | np.random.Generator = 0,
    ) -> ExperimentResult:
        """Run the days and read the arms.

        `treatment`: one arm, or several by name. `segments`: one row per user, indexed by user_id, fixed before the
        test (`user_segments`). `activity`: (U,) visits a day of each user, in the order of the sorted ids
        (`visit_rates`). Raises `TableError` when arms hold different users or activity is not theirs, `ConfigError` for
        unknown metrics, shares that do not fit, and what is no environment.
        """
        settings = self.settings
        treatments = treatment if isinstance(treatment, Mapping) else {"treatment": treatment}
        if not treatments or CONTROL in treatments:
            raise ConfigError(f"treatments are {', '.join(treatments) or 'none'}. Name at least one, none of them "
                              f"'{CONTROL}'.")
        arms: dict[str, Arm] = {CONTROL: control, **treatments}
        shares = _checked(settings, list(arms))
        check_environment(environment)
        seed = int(np.random.default_rng(rng).integers(2**63))
        catalogue = Catalogue.of(items, tiers)
        first = {name: arm if isinstance(arm, pd.DataFrame) else arm(0, None) for name, arm in arms.items()}
        users = users_of(first[CONTROL], CONTROL)
        _check_activity(activity, users)

        def shown(name: str, rankings: pd.DataFrame) -> ShownLists:
            saturation = settings.behaviour.saturation
            return ShownLists.of(rankings, users, catalogue, environment, name=name, saturation=saturation)

        lists = {name: shown(name, rankings) for name, rankings in first.items()}
        people = People.draw(len(users), settings.behaviour, seed, days=settings.days, activity=activity)
        dealt = deal(seed, len(users), list(shares.values()))
        past = World.begin(
            people, catalogue, environment, settings.behaviour, seed, lists[CONTROL], day=-settings.before_days
        )
        for _ in range(settings.before_days):
            past.live()
        apart = settings.log == "shared" and settings.retrain_every is not None
        everybody = np.ones(len(users), dtype=np.bool_)
        worlds = {
            name: past.fork(lists[name], dealt == place if apart else everybody)
            for place, name in enumerate(arms)
        }
        readout = Readout(settings, users, dealt, past.totals, segments, catalogue, twins=not apart)
        logs = Log(users, catalogue)
        for day in range(settings.days):
            if settings.retrain_every and day and day % settings.retrain_every == 0:
                for name, world in worlds.items():
                    logs.add(name, day - 1, world.counts())
                for name, arm in arms.items():
                    if not isinstance(arm, pd.DataFrame):
                        log = logs.of(None if settings.log == "shared" else name)
                        worlds[name].show(shown(name, arm(day, log)))
                    else:
                        worlds[name].show(lists[name])
            for world in worlds.values():
                world.live()
            readout.look(worlds)
        return readout.result(worlds, environment, shares)


def users_of(rankings: pd.DataFrame, name: str) -> "pd.Index[str]":
    """The users of an arm, sorted."""
    frame = check_table(rankings, RANKINGS, source=name).frame
    who = frame[Columns.User if Columns.User in frame.columns else Columns.Request]
    found: pd.Index[str] = pd.Index(sorted(set(who)), dtype=str)
    return found


def deal(seed: int, n: int, shares: list[float]) -> npt.NDArray[np.int64]:
    """(n,) the arm of each user; raises `TableError` when one stays empty."""
    bounds = np.cumsum(shares)
    dealt = np.searchsorted(bounds / bounds[-1], uniforms_of(seed, n, ARM), side="right").astype(np.int64)
    counts = np.bincount(dealt, minlength=len(shares))
    if not counts.all():
        raise TableError(f"of {n} users none fell into arm {int(np.argmin(counts)) + 1} of {len(shares)}. "
                         "Give more users or a larger share.")
    return dealt


def _check_activity(activity: Floats | None, users: "pd.Index[str]") -> None:
    if activity is None:
        return
    given = np.asarray(activity)
    if given.shape != (len(users),):
        raise TableError(f"activity has shape {given.shape} for {len(users)} users. Give each user's visits a day, in "
                         "the order of the sorted user_ids of the control's lists (visit_rates makes them).")
    bad = ~(np.isfinite(given) & (given >= 0))
    if bad.any():
        place = int(np.argmax(bad))
        raise TableError(f"activity in row {place} is {given[place]:g}. Give each user's visits a day, 0 or more.")


def _checked(settings: ExperimentSettings, arms: list[str]) -> dict[str, float]:
    check_metrics(settings)
    shares = settings.shares or dict.fromkeys(arms, 1 / len(arms))
    if set(shares) != set(arms):
        raise ConfigError(f"shares are of {', '.join(shares)}, the arms are {', '.join(arms)}. Give every arm one.")
    if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"shares must be above 0 and add up to 1; found {shares}.")
    return {arm: shares[arm] for arm in arms}
