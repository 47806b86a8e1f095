"""A shop whose taste is known: each user buys one brand, and everything about a product tells its brand."""

import numpy as np
import pandas as pd

N_BRANDS, SIZE = 6, 20
"""The last two products of a brand are new."""


def catalogue() -> pd.DataFrame:
    n = N_BRANDS * SIZE
    return pd.DataFrame({
        "item_id": [f"i{i:03d}" for i in range(n)], "title": "t", "brand": [f"b{i // SIZE}" for i in range(n)],
        "price": np.where(np.arange(n) % 3 == 0, np.nan, 1.0 + np.arange(n) % 7),
    })


def purchases(n_users: int = 300, rng: int = 0, *, days: int = 4, offset: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(rng)
    rows = []
    for user in range(n_users):
        brand = (generator.integers(N_BRANDS) + offset) % N_BRANDS
        for day, item in enumerate(generator.choice(SIZE - 2, days, replace=False)):
            stamp = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
            rows.append((f"u{rng}-{user}", f"i{brand * SIZE + item:03d}", "purchase", stamp))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "event", "timestamp"])


def vectors(noise: float = 0.3) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    n = N_BRANDS * SIZE
    picture = np.eye(N_BRANDS)[np.arange(n) // SIZE] + noise * rng.normal(size=(n, N_BRANDS))
    return {"image": (picture.astype(np.float32), rng.random(n) < 0.8)}


def share_of_own_brand(users: np.ndarray, items: np.ndarray, brand: np.ndarray, rows: np.ndarray, n: int = 5) -> float:
    """Share of the n best of the products `rows` that are of the user's brand."""
    best = np.argsort(-(users @ items[rows].T), axis=1, kind="stable")[:, :n]
    return float((rows[best] // SIZE == brand[:, None]).mean())
