import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.data.history import History
from ltexpo.errors import ConfigError

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from shops import N_BRANDS, SIZE, catalogue, share_of_own_brand  # noqa: E402

from ltexpo.fusion.match import MatchModel  # noqa: E402
from ltexpo.fusion.queries import Queries  # noqa: E402
from ltexpo.fusion.settings import FusionSettings, TrainingSettings  # noqa: E402

ITEMS = catalogue()
BRANDS = np.eye(N_BRANDS, dtype=np.float32)


def encode(texts) -> np.ndarray:
    return BRANDS[[int(text.removeprefix("brand ")) for text in texts]] if len(texts) else BRANDS[:0]


def searches(n: int = 600) -> pd.DataFrame:
    """Every user comes once, types a brand and takes one of its products: nothing but the query tells which."""
    rng = np.random.default_rng(0)
    brand = rng.integers(N_BRANDS, size=n)
    return pd.DataFrame({
        "user_id": [f"u{user:03d}" for user in range(n)],
        "item_id": [f"i{item:03d}" for item in brand * SIZE + rng.integers(SIZE - 2, size=n)], "event": "purchase",
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC"), "query": [f"brand {name}" for name in brand],
    })


def test_the_latest_query_of_a_user_product_and_day():
    stamps = ["2024-01-01 08:00", "2024-01-01 09:00", "2024-01-02 09:00", "2024-01-02 10:00"]
    events = pd.DataFrame({
        "user_id": "u", "item_id": ["i000", "i000", "i001", "i002"], "event": ["click", "purchase", "click", "click"],
        "timestamp": pd.to_datetime(stamps, utc=True), "query": ["brand 1", "brand 2", None, " "],
    })
    history = History.of(ITEMS, events)
    queries = Queries.of(history, events, encode)
    assert np.array_equal(queries.rows(np.arange(3))[0], BRANDS[2])
    assert np.isnan(queries.rows(np.arange(3))[1:]).all()


def test_what_is_typed_decides():
    events = searches()
    history = History.of(ITEMS, events)
    text = {"text": (BRANDS[np.arange(len(ITEMS)) // SIZE], np.ones(len(ITEMS), bool))}
    model = MatchModel(
        FusionSettings(width=16, heads=2, history=4, dropout=0.0),
        TrainingSettings(epochs=16, batch=64, uniform=32, rate=1e-2, patience=32),
    ).fit(ITEMS, history, text, queries=Queries.of(history, events, encode), rng=1)
    items = model.item_vectors(ITEMS, text)
    nobody, asked = np.full(N_BRANDS, -1), np.arange(N_BRANDS)
    users = model.user_vectors(history, nobody, items, queries=BRANDS)
    assert share_of_own_brand(users, items, asked, np.arange(len(ITEMS))) > 0.9  # chance: 1/6
    silent = model.user_vectors(history, nobody, items, queries=np.full_like(BRANDS, np.nan))
    assert np.allclose(silent, model.user_vectors(history, nobody, items), atol=1e-5)
    with pytest.raises(ConfigError, match="queries are 3 wide, 'text' 6"):
        model.user_vectors(history, nobody, items, queries=BRANDS[:, :3])
    with pytest.raises(ConfigError, match="'text' is not among the vectors"):
        MatchModel().fit(ITEMS, history, {}, queries=Queries.of(history, events, encode))
