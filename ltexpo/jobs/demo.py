"""Nothing → a made shop, its candidates, re-ranked lists, a simulated A/B test and the report's page."""

import datetime as dt
from pathlib import Path

from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.synthetic import make_shop
from ltexpo.jobs.pipeline import Pipeline, run_pipeline
from ltexpo.progress import stage


class DemoJob(Settings):
    """Settings of 'ltexpo demo'."""

    out: Path
    """Folder to write the whole run to."""
    seed: int = 0
    """Seed of everything random in the run."""
    n_items: int = Field(6_000, ge=100)
    """Products of the made shop."""
    n_users: int = Field(4_000, ge=100)
    """Its users."""
    n_days: int = Field(14, ge=4)
    """Days of its history; the last two are held out to test on."""
    k: int = Field(10, ge=1, le=10)
    """Length of the final lists."""
    tail_share: float = Field(0.1, ge=0, le=1)
    """Goal: at least this share of all exposure for tail and new products."""


def run_demo(job: DemoJob) -> Path:
    """Run every stage into `out` and return the path of the report."""
    with stage(f"make a shop of {job.n_items:,} products and {job.n_users:,} users"):
        shop = make_shop(n_items=job.n_items, n_users=job.n_users, n_days=job.n_days, rng=job.seed)
        shop.save(job.out / "data")
    last_day = shop.dataset.require_events("the demo")[Columns.Timestamp].max().date()
    since = (last_day - dt.timedelta(days=1)).isoformat()
    run_pipeline(Pipeline.model_validate({
        "out": job.out,
        "seed": job.seed,
        "recommend": {"until": since},
        "rerank": {"k": job.k, "goals": [{"group": "tail", "min_share": job.tail_share}]},
        "frontier": {},
        "evaluate": {"since": since, "k": (job.k,)},
        "simulate": {},
        "report": {"title": "A made shop"},
    }))
    return job.out / "report.html"
