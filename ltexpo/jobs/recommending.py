"""Dataset folder → candidates.parquet and recommend.json."""

from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.split import as_utc
from ltexpo.data.tables import TRAINED_UNTIL, output_folder, write_frame, write_json
from ltexpo.jobs.job import DataJob
from ltexpo.ranking.recommend import Recommendation, RecommendSettings, recommend

CANDIDATES_FILE, RECOMMEND_FILE = "candidates.parquet", "recommend.json"


class RecommendJob(RecommendSettings, DataJob):
    """Settings of 'ltexpo recommend'."""

    out: Path
    """Folder to write candidates.parquet and recommend.json to."""


def run_recommend(job: RecommendJob) -> Recommendation:
    """Recommend and write, all or nothing."""
    with output_folder(job.out, verb="recommend", inputs=(job.data, job.users_file)) as folder:
        dataset = Dataset.load(job.data)
        result = recommend(dataset, job, rng=job.seed)
        # Without a stated end, training ended with the last event: whoever evaluates must know either way.
        last = dataset.require_events("'recommend'")[Columns.Timestamp].max() + pd.Timedelta(microseconds=1)
        noted = {TRAINED_UNTIL: str(last if job.until is None else as_utc(job.until))}
        write_frame(result.candidates, folder / CANDIDATES_FILE, metadata=noted)
        write_json({**result.report, "seed": job.seed}, folder / RECOMMEND_FILE)
    return result
