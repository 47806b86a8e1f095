"""A small made shop and a pipeline without the model, for tests of runs."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.synthetic import make_shop


def make_source(folder: Path, *, n_items: int = 80, n_users: int = 60, n_days: int = 5) -> dt.date:
    """Items and events of a made shop as a source of 'ltexpo import generic', events by date; returns its last day."""
    shop = make_shop(n_items=n_items, n_users=n_users, n_days=n_days, rng=0)
    folder.mkdir(parents=True)
    items = shop.dataset.items.drop(columns=Columns.Image, errors="ignore")
    items.to_parquet(folder / "items.parquet")
    events = shop.dataset.require_events("the test")
    for day, rows in events.groupby(events[Columns.Timestamp].dt.date):
        part = folder / "events" / f"date={day}" / "part-0.parquet"
        part.parent.mkdir(parents=True)
        rows.to_parquet(part)
    (folder / "columns.yaml").write_text(
        "items: {path: items.parquet, attributes: all}\nevents: {path: events}\n", encoding="utf-8"
    )
    last: dt.date = pd.Timestamp(events[Columns.Timestamp].max()).date()
    return last


def made_pipeline(source: Path, out: Path, day: dt.date, **further: Any) -> dict[str, Any]:
    """Settings of a whole day: import, recommend, rerank, evaluate, gate, publish."""
    return {
        "out": str(out), "day": day.isoformat(),
        "import": {"source": "generic", "path": str(source)},
        "recommend": {"k": 20, "components": ["popularity", "repeat"], "validation_days": 1},
        "rerank": {"k": 5, "goals": [{"group": "tail", "min_share": 0.35}]},
        "evaluate": {"k": [5]},
        "publish": {"to": str(out.parent / "published")},
    } | further
