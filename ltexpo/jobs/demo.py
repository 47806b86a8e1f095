"""Nothing → a made shop, its candidates, re-ranked lists, a simulated A/B test and the report's page."""

import datetime as dt
from pathlib import Path

from pydantic import Field

from ltexpo.config import Settings
from ltexpo.data.split import as_utc
from ltexpo.data.synthetic import make_shop
from ltexpo.data.tables import output_folder
from ltexpo.jobs.evaluating import EvaluateJob, run_evaluate
from ltexpo.jobs.recommending import CANDIDATES_FILE, RecommendJob, run_recommend
from ltexpo.jobs.reporting import ReportJob, run_report
from ltexpo.jobs.reranking import CONTROL_FILE, RANKINGS_FILE, RerankJob, run_rerank
from ltexpo.jobs.simulating import SimulateJob, run_simulate
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
    k: int = Field(10, ge=1, le=20)
    """Length of the final lists."""
    strength: float = Field(0.02, ge=0)
    """Boost of tail products, in probability of a click."""


def run_demo(job: DemoJob) -> Path:
    """Run every stage into `out` and return the path of the report."""
    with output_folder(job.out) as run:
        data, candidates, lists = run / "data", run / "candidates", run / "rankings"
        with stage(f"making a shop of {job.n_items:,} products and {job.n_users:,} users"):
            shop = make_shop(n_items=job.n_items, n_users=job.n_users, n_days=job.n_days, rng=job.seed)
            shop.save(data)
        last = shop.dataset.require_events("the demo")["timestamp"].max()
        since = (as_utc(last.date()) - dt.timedelta(days=1)).date().isoformat()
        with stage("recommending"):
            run_recommend(RecommendJob(data=data, out=candidates, until=since, seed=job.seed))
        with stage("re-ranking"):
            run_rerank(RerankJob(
                data=data, candidates=candidates / CANDIDATES_FILE, out=lists, k=job.k, strength=job.strength,
                seed=job.seed,
            ))
        with stage("evaluating on the held-out days"):
            run_evaluate(EvaluateJob(
                data=data, rankings=lists / RANKINGS_FILE, control=lists / CONTROL_FILE, out=run / "evaluation",
                since=since, k=(job.k,), seed=job.seed,
            ))
        with stage("simulating the A/B test"):
            run_simulate(SimulateJob(
                data=data, control=lists / CONTROL_FILE, treatment=lists / RANKINGS_FILE, out=run / "experiment",
                seed=job.seed,
            ))
        with stage("writing the report"):
            run_report(ReportJob(run=run, out=run / "report.html"))
    return job.out / "report.html"
