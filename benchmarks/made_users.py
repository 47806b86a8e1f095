"""100,000 made users under two policies: what each did and was shown, and samples of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats import Effect, Shown, compare

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
PEOPLE, ITEMS, K, DAYS = 100_000, 10_000, 10, 30
ATTENTION = 1 / np.log2(np.arange(2, K + 2))
METRICS = {
    "CTR": ("clicks", "impressions"),
    "tail share of exposure": ("tail_exposure", "exposure"),
    "retention": ("returned", "came"),
    "value per user": ("revenue", "users"),
    "conversion": ("purchases", "impressions"),
}


@dataclass(frozen=True)
class People:
    """Everyone under one policy: totals (PEOPLE,) by name, and what each is shown."""

    totals: dict[str, Floats]
    lists: npt.NDArray[np.int32]

    def ratio(self, metric: str, drawn: Integers, first: int = 0) -> Ratio:
        """The metric of the people `drawn`, who are users first, first + 1, …"""
        numerator, denominator = METRICS[metric]
        users = np.arange(first, first + len(drawn))
        return Ratio.of(self.totals[numerator][drawn], self.totals[denominator][drawn], users)

    def truth(self, metric: str) -> float:
        numerator, denominator = METRICS[metric]
        return float(self.totals[numerator].sum() / self.totals[denominator].sum())

    def shown(self, drawn: Integers, first: int = 0) -> Shown:
        weights = self.totals["visits"][drawn, None] * ATTENTION
        users = np.arange(first, first + len(drawn))
        return Shown.of_lists(self.lists[drawn], ITEMS, users=users, weights=weights)

    def coverage(self, n: int) -> float:
        """Expected coverage by n users."""
        there = self.totals["visits"] > 0
        reach = np.bincount(self.lists[there].ravel(), minlength=ITEMS) / PEOPLE
        return float((1 - (1 - reach) ** n).mean())


def make_people(boost: float, lift: float, rng: np.random.Generator) -> People:
    """`boost` is added to the tail's log-odds of being listed; clicks, return and spend are `lift` more likely."""
    person = np.random.default_rng(1)
    taste, kind = person.integers(0, 20, PEOPLE), person.integers(0, 20, ITEMS)
    activity, fondness = person.gamma(1.5, 2.0, PEOPLE), person.beta(4, 16, PEOPLE)
    wealth = np.exp(0.8 * person.standard_normal(PEOPLE))
    quality = person.beta(3, 5, ITEMS)
    tail = np.arange(ITEMS) >= ITEMS // 5
    popularity = np.arange(1, ITEMS + 1) ** -0.9 * np.exp(boost * tail)
    odds = popularity * np.exp(1.5 * (kind == np.arange(20)[:, None]))
    lists = np.empty((PEOPLE, K), dtype=np.int32)
    for start in range(0, PEOPLE, 2_000):
        some = slice(start, start + 2_000)
        # The first K of exponential clocks are K drawn one after the other by their odds (Efraimidis & Spirakis 2006).
        rings = rng.standard_exponential((2_000, ITEMS), dtype=np.float32) / odds[taste[some]].astype(np.float32)
        first = np.argpartition(rings, K, axis=1)[:, :K]
        lists[some] = np.take_along_axis(first, np.argsort(np.take_along_axis(rings, first, 1), axis=1), 1)
    visits = rng.poisson(activity)
    clicked = np.minimum(fondness[:, None] * quality[lists] * ATTENTION * (1 + lift), 1.0)
    clicks = rng.binomial(visits[:, None], clicked).sum(axis=1)
    purchases = rng.binomial(clicks, 0.12)
    # A sum of log-normal prices per person, with a person's own level: many zeros and a long tail.
    buyer = np.repeat(np.arange(PEOPLE), purchases)
    price = np.exp(3.0 + 1.0 * rng.standard_normal(len(buyer))) * wealth[buyer]
    before = rng.poisson(activity)
    exposure = visits[:, None] * ATTENTION
    totals = {
        "users": np.ones(PEOPLE), "visits": visits, "impressions": visits * K, "clicks": clicks,
        "exposure": exposure.sum(axis=1), "tail_exposure": (exposure * tail[lists]).sum(axis=1),
        "purchases": purchases, "revenue": np.bincount(buyer, weights=price, minlength=PEOPLE),
        "came": visits > 0,
        "returned": (visits > 0) & (rng.random(PEOPLE) < (1 - np.exp(-0.25 * activity)) * 0.6 * (1 + lift)),
        "impressions_before": before * K,
        "clicks_before": rng.binomial(before * K, 0.375 * ATTENTION.mean() * fondness),
        # Pareto with a finite variance and hardly more: what a few business customers do to revenue.
        "heavy": (rng.random(PEOPLE) < 0.1) * rng.pareto(2.2, PEOPLE) * 20,
    }
    return People({name: np.asarray(total, dtype=np.float64) for name, total in totals.items()}, lists)


def draw(rng: np.random.Generator, users: int) -> tuple[Integers, Integers]:
    return rng.integers(0, PEOPLE, users // 2), rng.integers(0, PEOPLE, users // 2)


def both(metric: str, treated: People, plain: People, who: tuple[Integers, Integers]) -> Effect:
    return compare(metric, treated.ratio(metric, who[0]), plain.ratio(metric, who[1], len(who[0])))
