"""A model of a few trees and tiny networks, for tests that need a whole one."""

from typing import Any

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.encoders.item_vectors import Content

TREES: dict[str, Any] = {"bags": 2, "max_rounds": 25, "patience": 10, "learning_rate": 0.2, "min_rows": 20}


def tiny_settings(*, min_clicks: int = 20, **more: Any) -> dict[str, Any]:
    """Settings of a model, as plain values; `min_clicks` says when impressions are learnt from."""
    return {
        "k": 12, "pool": 40, "components": ["popularity", "cooccurrence", "taste"], "validation_users": 100,
        "weights": {"popularity": 0.4, "cooccurrence": 0.3, "taste": 0.3},
        "network": {"width": 8, "steps": 10, "hops": 1, "batch": 256},
        "fusion": {"width": 8, "heads": 2}, "training": {"epochs": 1, "batch": 128, "uniform": 32},
        "features": {"pool": {"best": 20, "demanded": 10, "alike_tail": 10, "alike_new": 10, "matched": 5}},
        "rolling": {
            "days": 2, "min_users": 20, "min_clicks": min_clicks, "max_users": 120, "max_baskets": 60,
            "demand": {"trees": {"objective": "poisson", **TREES}},
        },
        "clicks": {"objective": "binary", **TREES},
        "ranker": {
            "click": {"objective": "binary", **TREES}, "order": {"objective": "lambdarank", **TREES},
            "tail": {"objective": "binary", **TREES},
        },
        **more,
    }


def vectors_of(dataset: Dataset, column: str = Columns.Category, *, width: int = 6, share: float = 0.8) -> Content:
    """Vectors 'image' that tell `column` with some noise; a share of the products has one."""
    rng = np.random.default_rng(7)
    codes = pd.factorize(dataset.items[column])[0]
    centre = rng.normal(size=(codes.max() + 1, width))
    rows = centre[codes] + 0.5 * rng.normal(size=(len(codes), width))
    return {"image": (rows.astype(np.float32), rng.random(len(codes)) < share)}
