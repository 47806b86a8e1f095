"""Audience, truth and a popularity-driven policy → the log of some days: impressions, clicks, carts, purchases."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.synthetic.policy import LoggingPolicy
from ltexpo.data.synthetic.tastes import Audience
from ltexpo.data.synthetic.truth import Truth

_SECOND = 1_000_000  # microseconds, the unit of timestamps
_OPENS, _CLOSES = 6.5, 23.25
_KINDS = (EventKind.Impression, EventKind.Click, EventKind.Cart, EventKind.Purchase)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass
class Popularity:
    """What the logging policy goes by: fading click counts, which the clicks it causes feed."""

    clicks: Floats
    """(I,) recent clicks."""
    fade: float = 0.93
    """What a day leaves of older clicks."""

    def weights(self, available: npt.NDArray[np.bool_]) -> Floats:
        """(I,) how strongly each available item is shown: clicks, and a little for those without any."""
        # The floor is a tenth of the average item, so that no item is impossible.
        weights: Floats = np.where(available, self.clicks + 0.1 * self.clicks.mean(), 0.0)
        return weights

    def add(self, clicked: Integers) -> None:
        """The end of a day."""
        self.clicks = self.fade * self.clicks + np.bincount(clicked, minlength=len(self.clicks))


@dataclass(frozen=True)
class Log:
    """Everything that happened, in codes; one row per impression, ordered by request and rank."""

    request: Integers
    user: Integers
    item: Integers
    rank: Integers
    propensity: Floats
    time: Integers
    """Microseconds since the epoch."""
    clicked: Integers
    """Rows that were clicked."""
    click_time: Integers
    carted: Integers
    """Rows that were put into the cart."""
    cart_time: Integers
    bought: Integers
    """Rows that were bought before the period ended."""
    purchase_time: Integers
    later_purchases: int
    """Purchases after the period, which no log of it can hold."""


def simulate_days(
    audience: Audience,
    truth: Truth,
    popularity: Popularity,
    *,
    category: Integers,
    arrives: Integers,
    start: np.datetime64,
    n_days: int,
    k: int,
    requests_per_day: float,
    exploration: float,
    rng: np.random.Generator,
) -> Log:
    """Run the marketplace for `n_days`.

    Users visit at random, more at weekends; a visit opens one or more requests, each a list of `k`. A slot is examined
    with `truth.examination`, an examined item clicked with the truth's attraction. Popularity changes overnight.
    """
    first = int(start.astype("datetime64[us]").astype(np.int64))
    days = []
    for day in range(n_days):
        users, times = _visits(audience, start + np.timedelta64(day, "D"), requests_per_day, rng)
        policy = LoggingPolicy.of(audience.mix, category, popularity.weights(arrives <= day), exploration)
        items, propensities = policy.draw(users, k, rng)
        chance = truth.examination[:k] * truth.attraction_of(users.repeat(k), items.ravel()).reshape(items.shape)
        clicks = rng.random(items.shape) < chance
        popularity.add(items[clicks])
        days.append((users, times, items, propensities, clicks))
    users, times, items, propensities, clicks = (np.concatenate(parts) for parts in zip(*days, strict=True))
    n_requests = len(users)
    ranks = np.tile(np.arange(1, k + 1), n_requests)
    user, item = users.repeat(k), items.ravel()
    # A list appears slot by slot, and is then read from the top.
    shown_at = times.repeat(k) + (ranks - 1) * (_SECOND // 50)
    clicked = np.flatnonzero(clicks.ravel())
    click_time = shown_at[clicked] + _after(clicked, 2 + 3 * ranks[clicked], 2, rng)
    in_cart = rng.random(len(clicked)) < truth.cart_given_click_of(user[clicked], item[clicked])
    carted = clicked[in_cart]
    cart_time = click_time[in_cart] + _after(carted, 10, 40, rng)
    buys = rng.random(len(carted)) < truth.purchase_given_cart
    # Half of the purchases follow at once, the others within days.
    delay = np.where(rng.random(len(carted)) < 0.5, 120, 1.2 * 86_400)
    purchase_time = cart_time + _after(carted, 30, delay, rng)
    in_time = purchase_time < first + n_days * 86_400 * _SECOND
    return Log(
        request=np.arange(n_requests).repeat(k), user=user, item=item, rank=ranks, propensity=propensities.ravel(),
        time=shown_at, clicked=clicked, click_time=click_time, carted=carted, cart_time=cart_time,
        bought=carted[buys & in_time], purchase_time=purchase_time[buys & in_time],
        later_purchases=int((buys & ~in_time).sum()),
    )


def events_frame(log: Log, user_ids: pd.Index, item_ids: pd.Index, prices: Floats) -> pd.DataFrame:
    """The log as an events table ordered by time; clicks, carts and purchases carry their impression's columns."""
    parts = (np.arange(len(log.item)), log.clicked, log.carted, log.bought)
    rows = np.concatenate(parts)
    kinds = np.repeat(np.arange(len(_KINDS)), [len(part) for part in parts])
    times = np.concatenate([log.time, log.click_time, log.cart_time, log.purchase_time])
    order = np.lexsort((rows, times))
    rows, kinds, times = rows[order], kinds[order], times[order]
    n_requests = int(log.request[-1]) + 1 if len(log.request) else 0
    width = max(7, len(str(n_requests)))
    request_ids = pd.Index([f"R{number:0{width}d}" for number in range(n_requests)])
    return pd.DataFrame({
        Columns.User: user_ids.take(log.user[rows]),
        Columns.Item: item_ids.take(log.item[rows]),
        Columns.Event: pd.Index(_KINDS).take(kinds),
        Columns.Timestamp: pd.DatetimeIndex(times.view("datetime64[us]")).tz_localize("UTC"),
        Columns.Request: request_ids.take(log.request[rows]),
        Columns.Rank: log.rank[rows].astype(np.int32),
        Columns.Propensity: log.propensity[rows],
        Columns.Price: np.where(kinds == len(_KINDS) - 1, prices[log.item[rows]], np.nan),
    })


def _visits(
    audience: Audience, day: np.datetime64, requests_per_day: float, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """One day's requests in the order of time: users (R,) and times (R,) in microseconds since the epoch."""
    weekend = 1.25 if (day.astype("datetime64[D]").astype(int) + 3) % 7 >= 5 else 0.9
    pages = 1.6  # requests a visit, on average
    visits = rng.poisson(requests_per_day / pages * weekend * audience.activity)
    visitor = np.arange(len(visits)).repeat(visits)
    # Visits peak in the evening.
    hour = _OPENS + (_CLOSES - _OPENS) * rng.beta(2.2, 1.6, size=len(visitor))
    requests = 1 + rng.poisson(pages - 1, size=len(visitor))
    page = np.arange(requests.sum()) - (requests.cumsum() - requests).repeat(requests)
    pause = rng.uniform(45, 120, size=len(visitor)).repeat(requests)
    begins = int(day.astype("datetime64[us]").astype(np.int64))
    seconds = 3600 * hour.repeat(requests) + page * pause
    times = begins + (seconds * _SECOND).astype(np.int64)
    order = np.argsort(times, kind="stable")
    return visitor.repeat(requests)[order], times[order]


def _after(rows: Integers, least: float | np.ndarray, mean: float | np.ndarray, rng: np.random.Generator) -> Integers:
    """Microseconds: at least `least` seconds, and exponentially many more with the given mean, for each of `rows`."""
    microseconds: Integers = ((least + mean * rng.exponential(size=len(rows))) * _SECOND).astype(np.int64)
    return microseconds
