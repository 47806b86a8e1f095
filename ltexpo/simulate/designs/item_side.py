"""Candidates + boosts + an environment → what item-side designs say of the boosted items, beside the total effect.

In a marketplace items compete for the same slots, so an experiment that treats some of them also changes what happens
to the others. What its owner wants to know is the total effect: outcomes of the boosted items if all are boosted, minus
if none is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Estimate, Ratio, difference
from ltexpo.simulate.behaviour import BehaviourSettings, People, ShownLists, World
from ltexpo.simulate.behaviour.people import uniforms_of
from ltexpo.simulate.behaviour.uniforms import ARM
from ltexpo.simulate.catalogue import Catalogue
from ltexpo.simulate.designs.mixed import TwoScores
from ltexpo.simulate.environment import Environment, check_environment
from ltexpo.simulate.experiment import users_of

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

OUTCOMES = ("exposure", "clicks")
NAIVE, MERGED, BUDGET_SPLIT = "naive item split", "merged rankings", "budget split"


class ItemSideSettings(Settings):
    """How item-side designs are simulated."""

    k: int = Field(10, ge=1)
    """Slots shown."""
    days: int = Field(14, ge=1)
    """Length of the test in days."""
    before_days: int = Field(14, ge=1)
    """Days before it, under the control, whose outcomes lower the variance between items (CUPED)."""
    share: float = Field(0.5, gt=0, lt=1)
    """Share of the boosted items (or users, where users are split) that are treated."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    behaviour: BehaviourSettings = BehaviourSettings()
    """How users behave beside clicking."""


@dataclass(frozen=True)
class ItemSideResult:
    """What each design says of an item that is boosted."""

    table: pd.DataFrame
    """design, outcome, estimate (per boosted item), low, high, total (the total effect), factor (estimate / total),
    covers."""
    items: int
    """Boosted items that were candidates."""

    def to_pandas(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def __str__(self) -> str:
        lines = [f"{'design':<20}{'outcome':<10}{'estimate':>10}   {'interval':<20}{'total effect':>13}{'factor':>8}"]
        for row in self.table.itertuples():
            interval = f"{row.low:.3g} to {row.high:.3g}"
            lines.append(f"{row.design:<20}{row.outcome:<10}{row.estimate:>10.3g}   {interval:<20}{row.total:>13.3g}"
                         f"{row.factor:>8.2f}")
        return "\n".join(lines)


def simulate_item_designs(
    candidates: pd.DataFrame, boosts: pd.DataFrame, environment: Environment, settings: ItemSideSettings,
    *, items: pd.DataFrame, tiers: pd.DataFrame, rng: int | np.random.Generator = 0,
) -> ItemSideResult:
    """Three designs on the same users, days and chance, and the total effect of worlds where all or none is boosted.

    `boosts` (item_id, boost > 0) are the items under experiment. The naive split and the merged rankings randomise
    items; their interval is over items, after the days before are regressed out (Deng et al. 2013; Lin 2013). The
    budget split deals users to two halves, each with lists and a half of every item's exposure of its own (Liu et al.
    2021); its interval is over users.

    Raises `TableError` when fewer than four boosted items are candidates, `ConfigError` for what is no environment.
    """
    check_environment(environment)
    generator = np.random.default_rng(rng)
    scores = TwoScores.of(candidates, boosts)
    boosted = set(boosts.loc[boosts["boost"] > 0, Columns.Item])
    eligible = np.array([item in boosted for item in scores.ids])
    if eligible.sum() < 4:
        raise TableError(f"{int(eligible.sum())} boosted items are among the candidates; item-side designs need 4.")
    shop = _Shop(scores, environment, settings, Catalogue.of(items, tiers), int(generator.integers(2**62)))
    place = shop.catalogue.ids.get_indexer(scores.ids[eligible])
    none, every = (shop.live(scores.order(treated)) for treated in (False, True))
    before = shop.live(scores.order(False), seed=1, days=settings.before_days).items().to_numpy()[place]
    columns = {name: none.items().columns.get_loc(name) for name in OUTCOMES}
    total = (every.items().to_numpy() - none.items().to_numpy())[place].mean(axis=0)

    treated = np.zeros(len(scores.ids), dtype=np.bool_)
    lucky = generator.permutation(np.flatnonzero(eligible))[: max(2, round(settings.share * int(eligible.sum())))]
    treated[lucky] = True
    mixes = {NAIVE: scores.naive(treated), MERGED: scores.merged(treated, eligible)}
    rows = []

    def add(design: str, outcome: str, found: Estimate) -> None:
        truth = float(total[columns[outcome]])
        rows.append({
            "design": design, "outcome": outcome, "estimate": found.value, "low": found.low, "high": found.high,
            "total": truth, "factor": found.value / truth if truth else float("nan"),
            "covers": found.low <= truth <= found.high,
        })

    for design, order in mixes.items():
        after = shop.live(order).items().to_numpy()[place]
        for outcome, column in columns.items():
            add(design, outcome, _adjusted(after[:, column], before[:, column], treated[eligible], settings.level))
    halves = uniforms_of(shop.seed, len(shop.users), ARM) < settings.share
    for outcome in OUTCOMES:
        per_user = [_per_user(world, shop.eligible_of(place), outcome) for world in (every, none)]
        scale = len(shop.users) / int(eligible.sum())
        found = difference(Ratio.of(per_user[0][halves] * scale, np.ones(int(halves.sum())), np.flatnonzero(halves)),
                           Ratio.of(per_user[1][~halves] * scale, np.ones(int((~halves).sum())),
                                    np.flatnonzero(~halves)), level=settings.level)
        add(BUDGET_SPLIT, outcome, found)
    return ItemSideResult(pd.DataFrame(rows), int(eligible.sum()))


@dataclass
class _Shop:
    """Everything that the designs have in common."""

    scores: TwoScores
    environment: Environment
    settings: ItemSideSettings
    catalogue: Catalogue
    seed: int

    def __post_init__(self) -> None:
        self.users = users_of(self.scores.lists(self.scores.order(False), 1), "candidates")
        self.people = People.draw(len(self.users), self.settings.behaviour, self.seed, days=self.settings.days)

    def live(self, order: npt.NDArray[np.int64], *, seed: int = 0, days: int | None = None) -> World:
        """A world under lists in `order`; those of one `seed` share their chance."""
        lists = ShownLists.of(self.scores.lists(order, self.settings.k), self.users, self.catalogue, self.environment,
                              name="candidates", saturation=self.settings.behaviour.saturation)
        world = World.begin(self.people, self.catalogue, self.environment, self.settings.behaviour, self.seed + seed,
                            lists)
        for _ in range(days or self.settings.days):
            world.live()
        return world

    def eligible_of(self, place: npt.NDArray[np.int64]) -> Flags:
        """(I,) of the catalogue."""
        flags = np.zeros(len(self.catalogue), dtype=np.bool_)
        flags[place] = True
        return flags


def _per_user(world: World, eligible: Flags, outcome: str) -> Floats:
    """(U,) what each user gave to the eligible items."""
    rows = world.everything()
    rows = rows[eligible[rows["item"].to_numpy()]]
    value = rows["clicked" if outcome == "clicks" else "exposure"]
    return np.bincount(rows["user"], weights=value, minlength=len(world.people)).astype(np.float64)


def _adjusted(after: Floats, before: Floats, treated: Flags, level: float) -> Estimate:
    """Treated minus untreated mean, with what `before` (n,) predicts taken out in each arm (Lin 2013)."""
    arms = []
    for arm in (treated, ~treated):
        x, y = before[arm] - before.mean(), after[arm]
        spread = float(np.square(x - x.mean()).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread > 0 else 0.0
        arms.append(y - slope * x)
    labels = [np.flatnonzero(treated), np.flatnonzero(~treated)]
    return difference(Ratio.mean(arms[0], labels[0]), Ratio.mean(arms[1], labels[1]), level=level)
