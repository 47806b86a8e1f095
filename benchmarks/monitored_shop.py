"""A made shop that is run day by day under prices: new candidates every day, clicks from a truth that is not the score.

Incidents change what happens on some days; `run` monitors every day and serves the next by the prices it decided.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from ltexpo.columns import Columns
from ltexpo.data import TailSpec
from ltexpo.data.synthetic import make_shop
from ltexpo.monitor import ControllerSettings, Events, Monitored, MonitorSettings, Published, decide, monitor
from ltexpo.monitor.achieved import achieved
from ltexpo.monitor.controller import empty_decisions
from ltexpo.monitor.published import GOAL_KEY
from ltexpo.monitor.shown import shown_lists
from ltexpo.rerank import ExposureReranker, Goal, GuardrailSettings, RerankSettings

FIRST = pd.Timestamp("2026-03-02", tz="UTC")
N_CANDIDATES, K = 30, 10


@dataclass(frozen=True)
class Incident:
    """What is different on a day."""

    traffic: float = 1.0
    """Factor on visits."""
    shift: float = 0.0
    """How far tastes and what is offered have moved to other categories, in log-odds."""
    tail_quality: float = 1.0
    """Factor on the clicks of tail and new products, of which the scores know nothing."""
    prices: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    """What happens to the price file before it is used."""
    log: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame] | None = None
    """What happens to the log."""
    items: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    """What happens to the catalogue."""
    scores: Callable[[np.ndarray], np.ndarray] | None = None
    """What happens to the published scores."""
    clicks: float = 1.0
    """Factor on every click."""


QUIET = Incident()


@dataclass
class World:
    """Everything that is the same on all days."""

    items: pd.DataFrame
    users: np.ndarray
    activity: np.ndarray
    truth: np.ndarray
    """(U, I) log-odds of a click once examined."""
    wrong: np.ndarray
    """(U, I) what the scores get wrong."""
    offered: np.ndarray
    """(U, I) log-weight with which an item becomes a candidate."""
    moved: np.ndarray
    """(I,) what a shift adds to both."""
    tail: np.ndarray
    settings: RerankSettings
    visits: float
    rng: np.random.Generator

    @classmethod
    def make(cls, seed: int, *, n_items: int = 400, n_users: int = 2_000, visits: float = 0.45) -> "World":
        shop = make_shop(n_items=n_items, n_users=n_users, n_days=8, rng=seed, new_share=0.15)
        rng = np.random.default_rng(seed + 10_000)
        dataset = shop.dataset
        tiers = TailSpec(events=("impression",)).assign(dataset.items, dataset.events)
        items = dataset.items.drop(columns=Columns.Image).assign(tier=tiers[Columns.Tier].to_numpy())
        users = dataset.users[Columns.User].to_numpy(object)
        truth = logit(shop.truth.attraction_matrix(users, items[Columns.Item]))
        category, names = pd.factorize(items[Columns.Category])
        mix = rng.dirichlet(np.full(len(names), 1.5), size=n_users)
        popular = np.log(tiers[Columns.Interactions].to_numpy(float) + 0.2 * tiers[Columns.Interactions].mean())
        moved = rng.choice([-1.0, 1.0], size=len(names))[category]
        world = cls(
            items, users, rng.gamma(2.0, 0.5, n_users), truth,
            0.35 * rng.standard_normal((n_users, 4)) @ rng.standard_normal((4, n_items)) / 2
            + 0.3 * rng.standard_normal(n_items),
            np.log(mix[:, category]) + 0.5 * popular, moved, (tiers[Columns.Tier] != "head").to_numpy(),
            RerankSettings(k=K, goals=(), guardrails=GuardrailSettings(min_score_ratio=0.2)), visits, rng,
        )
        world.settings = RerankSettings(k=K, goals=world.goals(), guardrails=world.settings.guardrails)
        return world

    def goals(self) -> tuple[Goal, ...]:
        """More than today for the tail and one seller, less for the largest category: all of them cost something."""
        plain = ExposureReranker(self.settings).fit(self.candidates(0, QUIET), items=self.items, rng=0).fitted_
        items = self.items.set_index(Columns.Item)
        given = plain.control.groupby(Columns.Item)[Columns.Exposure].sum().reindex(items.index).fillna(0.0)
        share = given / given.sum()
        tail = float(share[(items[Columns.Tier] != "head").to_numpy()].sum())
        sellers, categories = (
            share.groupby(items[name].to_numpy()).sum().sort_values() for name in (Columns.Seller, Columns.Category)
        )
        seller = sellers[sellers > 0.05].index[0]
        return (
            Goal(group="tail", min_share=round(tail + 0.1, 3)),
            Goal(group=Columns.Seller, value=str(seller), min_share=round(1.3 * float(sellers[seller]), 3)),
            Goal(group=Columns.Category, value=str(categories.index[-1]),
                 max_share=round(0.8 * float(categories.iloc[-1]), 3)),
        )

    def day_of(self, n: int) -> str:
        return str((FIRST + pd.Timedelta(days=n)).date())

    def candidates(self, n: int, incident: Incident) -> pd.DataFrame:
        """request_id, user_id, item_id, score of the day's requests."""
        rng = self.rng
        weekend = 1.2 if (FIRST + pd.Timedelta(days=n)).weekday() >= 5 else 0.92
        busy = incident.traffic * weekend * rng.lognormal(0, 0.03) * self.visits
        users = np.repeat(np.arange(len(self.users)), rng.poisson(busy * self.activity))
        rng.shuffle(users)
        weight = self.offered[users] + incident.shift * self.moved + rng.gumbel(size=(len(users), self.truth.shape[1]))
        items = np.argpartition(-weight, N_CANDIDATES, axis=1)[:, :N_CANDIDATES]
        noise = 0.02 * rng.standard_normal() + 0.05 * rng.standard_normal(self.truth.shape[1])
        rows = users[:, None]
        score = expit(self.truth[rows, items] + 0.5 * incident.shift * self.moved[items] + self.wrong[rows, items]
                      + noise[items])
        if incident.scores is not None:
            score = incident.scores(score)
        ids = np.array([f"D{n:03d}R{r:05d}" for r in range(len(users))], dtype=object)
        return pd.DataFrame({
            Columns.Request: ids.repeat(N_CANDIDATES), Columns.User: self.users[users].repeat(N_CANDIDATES),
            Columns.Item: self.items[Columns.Item].to_numpy(object)[items.ravel()], Columns.Score: score.ravel(),
        })

    def log(self, n: int, lists: pd.DataFrame, incident: Incident) -> pd.DataFrame:
        """What is logged of the lists: impressions, and clicks by the truth."""
        rng = self.rng
        user = pd.Index(self.users).get_indexer(pd.Index(lists[Columns.User]))
        item = pd.Index(self.items[Columns.Item]).get_indexer(pd.Index(lists[Columns.Item]))
        rank = lists[Columns.Rank].to_numpy(np.int64)
        chance = expit(self.truth[user, item] + 0.5 * incident.shift * self.moved[item]) / np.log2(rank + 1)
        chance = chance * np.where(self.tail[item], incident.tail_quality, 1.0) * incident.clicks
        first = lists.groupby(Columns.Request, sort=False).ngroup().to_numpy()
        begin = FIRST + pd.Timedelta(days=n, hours=7)
        seconds = np.sort(rng.uniform(0, 15 * 3600, first.max() + 1))[first] + 0.02 * rank
        time = begin + pd.to_timedelta(seconds, unit="s")
        seen = pd.DataFrame({
            Columns.User: lists[Columns.User].to_numpy(object), Columns.Item: lists[Columns.Item].to_numpy(object),
            Columns.Event: "impression", Columns.Timestamp: time, Columns.Request: lists[Columns.Request].to_numpy(),
            Columns.Rank: rank.astype("int32"),
        })
        clicked = seen[rng.random(len(seen)) < chance]
        later = pd.to_timedelta(2 + rng.exponential(5, len(clicked)), unit="s")
        clicks = clicked.assign(event="click", timestamp=clicked[Columns.Timestamp] + later)
        events = pd.concat([seen, clicks], ignore_index=True)
        return events if incident.log is None else incident.log(events, rng)


def run(
    world: World, n_days: int, settings: MonitorSettings, incidents: Mapping[int, Incident], *,
    keep: list[Monitored] | None = None, past: Monitored | None = None, first: int = 0,
) -> Monitored:
    """Run and monitor `n_days` from the day `first`; the very first day's prices are solved, every later day is served
    by what was decided on the day before (`past`)."""
    reranker = ExposureReranker(world.settings)
    end = FIRST + pd.Timedelta(days=first + n_days)
    settings = settings.model_copy(update={"now": end.to_pydatetime(), "pictures": False})
    nothing = pd.Series(dtype="datetime64[us, UTC]")
    for n in range(first, first + n_days):
        incident = incidents.get(n, QUIET)
        candidates = world.candidates(n, incident)
        items = world.items if incident.items is None else incident.items(world.items)
        if past is None:
            made = reranker.fit(candidates, items=world.items, rng=0).fitted_
            prices = made.prices
        else:
            prices = past.prices if incident.prices is None else incident.prices(past.prices)
            made = reranker.apply_prices(candidates, prices, items=world.items)
        lists = made.rankings
        events = world.log(n, lists, incident)
        past = monitor(
            items, Events(events, first_shown=nothing), settings, day=world.day_of(n),
            published=Published(made.certificate.to_dict(), prices, lists),
            metrics=None if past is None else past.metrics, decisions=None if past is None else past.decisions,
        )
        if keep is not None:
            keep.append(past)
    assert past is not None
    return past


def steered(
    world: World, n_days: int, settings: ControllerSettings, incidents: Mapping[int, Incident]
) -> pd.DataFrame:
    """The decisions of a controller alone, without the rest of monitoring."""
    reranker = ExposureReranker(world.settings)
    log, prices = empty_decisions(), None
    for n in range(n_days):
        incident = incidents.get(n, QUIET)
        candidates = world.candidates(n, incident)
        if prices is None:
            made = reranker.fit(candidates, items=world.items, rng=0).fitted_
            prices = made.prices
        else:
            made = reranker.apply_prices(candidates, prices, items=world.items)
        told = Published(made.certificate.to_dict(), prices, made.rankings)
        shown = shown_lists(world.log(n, made.rankings, incident))
        reached = achieved(shown, told, world.items)
        decided = decide(reached, prices, log, settings, day=world.day_of(n), spread=told.spread)
        log = pd.concat([log, decided], ignore_index=True) if len(log) else decided
        prices = decided[GOAL_KEY].assign(price=decided["price_after"])
    return log
