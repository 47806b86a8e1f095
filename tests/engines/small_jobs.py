"""Re-ranking jobs of a few hundred lists, as tables on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

N_ITEMS = 80


def catalogue() -> pd.DataFrame:
    """Items of two tiers, four sellers and three brands."""
    n = np.arange(N_ITEMS)
    return pd.DataFrame({
        "item_id": [f"i{code:02}" for code in n], "tier": np.where(n < 20, "head", "tail"),
        "seller": [f"s{code % 4}" for code in n], "brand": [f"b{code % 3}" for code in n],
    })


def candidates(n_lists: int = 300, *, seed: int = 0) -> pd.DataFrame:
    """Lists of 1 to 14 candidates by request and score, with users, weights and errors."""
    rng = np.random.default_rng(seed)
    frames = []
    for row in range(n_lists):
        n = int(rng.integers(1, 15))
        items = rng.choice(N_ITEMS, n, replace=False, p=np.where(np.arange(N_ITEMS) < 20, 3.0, 1.0) / 120)
        score = 1 / (1 + np.exp(2 + 0.02 * items + 0.7 * rng.standard_normal(n)))
        frames.append(pd.DataFrame({
            "request_id": f"r{row:04}", "user_id": f"u{row % 90}", "item_id": [f"i{code:02}" for code in items],
            "score": score.astype(np.float32), "score_std": (0.1 * score).astype(np.float32),
            "weight": 0.25 + row % 7,
        }))
    return pd.concat(frames, ignore_index=True)


def save(frame: pd.DataFrame, path: Path, *, rows: int = 150) -> Path:
    """One Parquet file of many row groups."""
    frame.to_parquet(path, index=False, row_group_size=rows)
    return path


def goals(**more: Any) -> dict[str, Any]:
    """Settings of a job whose goals can be met, solved roughly: each pass is a job of Spark's."""
    return {
        "k": 6, "tolerance": 1e-2, "guardrails": {"min_score_ratio": None},
        "goals": [{"group": "tail", "min_share": 0.5}, {"group": "seller", "value": "s3", "min_share": 0.27}], **more,
    }
