"""Dataset folder → candidates.parquet and recommend.json."""

from pathlib import Path

from ltexpo.data.dataset import Dataset
from ltexpo.data.tables import output_folder, write_frame, write_json
from ltexpo.jobs.job import TRAINED_UNTIL, DataJob
from ltexpo.ranking.recommend import Recommendation, RecommendSettings, recommend

CANDIDATES_FILE, RECOMMEND_FILE = "candidates.parquet", "recommend.json"


class RecommendJob(RecommendSettings, DataJob):
    """Settings of 'ltexpo recommend'."""

    out: Path
    """Folder to write candidates.parquet and recommend.json to."""


def run_recommend(job: RecommendJob) -> Recommendation:
    """Recommend and write, all or nothing."""
    with output_folder(job.out) as folder:
        dataset = Dataset.load(job.data)
        result = recommend(dataset, job, rng=job.seed)
        noted = {TRAINED_UNTIL: str(job.until)} if job.until is not None else {}
        write_frame(result.candidates, folder / CANDIDATES_FILE, metadata=noted)
        write_json({**result.report, "seed": job.seed}, folder / RECOMMEND_FILE)
    return result
