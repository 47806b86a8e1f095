"""Dataset folder + candidates.parquet → frontier.parquet and frontier.json: what every tail share would cost."""

from pathlib import Path

from pydantic import Field

from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.jobs.job import DataJob
from ltexpo.jobs.reranking import catalogue_with_tiers
from ltexpo.rerank import Frontier, RerankSettings, frontier
from ltexpo.rerank.score_error import ScoresAre

FRONTIER_TABLE, FRONTIER_FILE = "frontier.parquet", "frontier.json"


class FrontierJob(RerankSettings, DataJob):
    """Settings of 'ltexpo frontier'."""

    candidates: Path
    """Parquet of scored candidates."""
    n_points: int = Field(15, ge=2)
    """Tail shares to solve for, from the plain lists' share to the most that the guardrails allow."""
    shares: tuple[float, ...] | None = None
    """The tail shares to solve for, in place of n_points."""
    scores_are: ScoresAre = "calibrated"
    """What score_std is the error of: "calibrated" scores are the mean chance of a click given what is known, so that
    choosing by them flatters nothing; "estimates" scatter around the true chance, and what the choice flatters is
    taken off the interval over scores."""
    out: Path
    """Folder to write frontier.parquet and frontier.json to."""


def run_frontier(job: FrontierJob) -> Frontier:
    """Solve for every share and write, all or nothing."""
    inputs = (job.data, job.candidates, job.calibrate, job.goals_file)
    with output_folder(job.out, verb="frontier", inputs=inputs) as folder:
        items, _ = catalogue_with_tiers(job.data, job.candidates, job.tail, None)
        result = frontier(
            read_frame(job.candidates), items, job, shares=job.shares, n_points=job.n_points,
            scores_are=job.scores_are, rng=job.seed,
        )
        write_frame(result.points, folder / FRONTIER_TABLE)
        write_json({
            "clicks_before": result.clicks_before, "share_before": result.share_before, "knee_row": result.knee_row,
            "seed": job.seed, "points": result.points.to_dict("records"),
        }, folder / FRONTIER_FILE)
    return result
