"""A small shop's log of some days, quiet but for what a test does to it."""

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.monitor import Published

FIRST = pd.Timestamp("2026-03-02", tz="UTC")
N_ITEMS, N_USERS, K = 40, 120, 5
CERTIFICATE = {
    "k": K, "attention": "uniform", "score_kind": "probability", "upper_bound": None,
    "goals": [{"group": "tail", "value": None, "kind": "min_share", "target": 0.5}], "guardrails": [],
}


def day_name(n: int) -> str:
    return str((FIRST + pd.Timedelta(days=n)).date())


def items() -> pd.DataFrame:
    return pd.DataFrame({
        Columns.Item: [f"p{n:02d}" for n in range(N_ITEMS)],
        Columns.Title: "a product",
        Columns.Category: np.where(np.arange(N_ITEMS) % 2, "shoes", "bags"),
        Columns.Price: 10.0 + np.arange(N_ITEMS),
        Columns.Tier: np.where(np.arange(N_ITEMS) < 20, "head", "tail"),
    })


def day_of(n: int, *, requests: int = 300, chance: float = 0.3, tail: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """Lists of 5, each slot a tail product with the chance `tail`, clicked with the same `chance`."""
    rng = np.random.default_rng((seed, n))
    requests = int(requests * rng.normal(1.0, 0.02))
    user = rng.integers(0, N_USERS, requests)
    scores = rng.random((requests, N_ITEMS))
    side = rng.random((requests, K)) < tail
    head, rest = np.argsort(scores[:, :20], axis=1), 20 + np.argsort(scores[:, 20:], axis=1)
    item = np.where(side, rest[:, :K], head[:, :K]).ravel()
    time = FIRST + pd.Timedelta(days=n) + pd.to_timedelta(np.sort(rng.uniform(0, 86_000, requests)).repeat(K), unit="s")
    seen = pd.DataFrame({
        Columns.User: [f"u{code}" for code in user.repeat(K)],
        Columns.Item: [f"p{code:02d}" for code in item],
        Columns.Event: "impression",
        Columns.Timestamp: time,
        Columns.Request: [f"{n}-{code}" for code in np.arange(requests).repeat(K)],
        Columns.Rank: np.tile(np.arange(1, K + 1, dtype="int32"), requests),
    })
    clicked = seen[rng.random(len(seen)) < chance]
    return pd.concat([seen, clicked.assign(
        event="click", timestamp=clicked[Columns.Timestamp] + pd.Timedelta(seconds=9)
    )], ignore_index=True)


def log(days: int, **how: float) -> pd.DataFrame:
    return pd.concat([day_of(n, **how) for n in range(days)], ignore_index=True)


def prices(price: float = 0.1) -> pd.DataFrame:
    return pd.DataFrame({"group": ["tail"], "value": [None], "kind": ["min_share"], "price": [price]})


def published(events: pd.DataFrame, *, price: float = 0.1, score: float = 0.3, **certificate: object) -> Published:
    """The lists that `events` show, published as they were shown."""
    seen = events[events[Columns.Event] == "impression"].drop_duplicates([Columns.Request, Columns.Item])
    spread = np.where(seen[Columns.Rank] == 1, score + 0.2, score)
    return Published(
        {**CERTIFICATE, **certificate}, prices(price),
        seen[[Columns.Request, Columns.User, Columns.Rank, Columns.Item]].assign(score=spread, exposure=1.0),
    )
