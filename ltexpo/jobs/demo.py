"""Nothing → a made shop, a model of it, its candidates, re-ranked lists, a simulated A/B test and the report's page."""

import datetime as dt
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.synthetic import make_shop
from ltexpo.errors import ConfigError
from ltexpo.jobs.pipeline import Pipeline, run_pipeline
from ltexpo.progress import stage


class DemoJob(Settings):
    """Settings of 'ltexpo demo'."""

    out: Path
    """Folder to write the whole run to."""
    seed: int = Field(0, ge=0)
    """Seed of everything random in the run."""
    n_items: int = Field(6_000, ge=100)
    """Products of the made shop."""
    n_users: int = Field(4_000, ge=100)
    """Its users."""
    n_days: int = Field(14, ge=4)
    """Days of its history; the last two are held out to test on."""
    model: bool = True
    """Train a small model and recommend by it; otherwise by the blend of baselines, which needs no further packages."""
    k: int = Field(10, ge=1, le=10)
    """Length of the final lists."""
    tail_share: float = Field(0.1, ge=0, le=1)
    """Goal: at least this share of all exposure for tail and new products."""


SMALL_MODEL: dict[str, Any] = {
    "network": {"steps": 60, "batch": 256},
    "training": {"epochs": 3},
    "features": {"pool": {"best": 60, "demanded": 30, "alike_tail": 30, "alike_new": 30, "matched": 20}},
    "clicks": {"objective": "binary", "bags": 3, "max_rounds": 200},
}
"""Settings of 'ltexpo train' with which a made shop is learnt in less than a minute."""


def run_demo(job: DemoJob) -> Path:
    """Run every stage into `out` and return the path of the report. Raises `ConfigError`."""
    missing = [name for name in ("torch", "torch_geometric", "lightgbm") if find_spec(name) is None]
    if job.model and missing:
        raise ConfigError(f"'{missing[0]}' is not installed. Run pip install 'ltexpo[model]', or give --no-model.")
    with stage(f"make a shop of {job.n_items:,} products and {job.n_users:,} users"):
        shop = make_shop(n_items=job.n_items, n_users=job.n_users, n_days=job.n_days, rng=job.seed)
        shop.save(job.out / "data")
    last_day = shop.dataset.require_events("the demo")[Columns.Timestamp].max().date()
    since = (last_day - dt.timedelta(days=1)).isoformat()
    run_pipeline(Pipeline.model_validate({
        "out": job.out,
        "seed": job.seed,
        "train": {"until": since, **SMALL_MODEL} if job.model else None,
        "recommend": {"until": since},
        "rerank": {"k": job.k, "goals": [{"group": "tail", "min_share": job.tail_share}]},
        "frontier": {},
        "evaluate": {"since": since, "k": (job.k,)},
        "simulate": {},
        "report": {"title": "A made shop"},
    }))
    return job.out / "report.html"
