"""Dataset folder + rankings (+ a control's) → metrics.parquet, metrics.json and lorenz.parquet."""

from pathlib import Path

import pandas as pd

from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.jobs.job import DataJob, refuse_seen_test
from ltexpo.jobs.tracked import evaluate_figures
from ltexpo.ranking.evaluate import EvaluateSettings, Evaluation, evaluate
from ltexpo.tracking import Tracked, track

METRICS_TABLE, METRICS_FILE, LORENZ_TABLE = "metrics.parquet", "metrics.json", "lorenz.parquet"


class EvaluateJob(EvaluateSettings, Tracked, DataJob):
    """Settings of 'ltexpo evaluate'."""

    rankings: Path
    """Parquet of the lists to judge."""
    control: Path | None = None
    """Parquet of lists to compare with, for the same requests."""
    out: Path
    """Folder to write metrics.parquet, metrics.json and lorenz.parquet to."""


def run_evaluate(job: EvaluateJob) -> Evaluation:
    """Evaluate and write, all or nothing; refuses lists that were trained on the test period."""
    with output_folder(job.out, verb="evaluate", inputs=(job.data, job.rankings, job.control)) as folder:
        dataset = Dataset.load(job.data)
        if job.since is not None:
            for table in filter(None, (job.rankings, job.control)):
                if table.exists():
                    refuse_seen_test(table, job.since)
        control: pd.DataFrame | None = None if job.control is None else read_frame(job.control)
        result = evaluate(dataset, read_frame(job.rankings), job, control=control)
        metrics = result.to_pandas()
        write_frame(metrics, folder / METRICS_TABLE)
        write_frame(result.lorenz, folder / LORENZ_TABLE)
        write_json({"tail": result.tail, "health": result.health, "metrics": metrics.to_dict("records")},
                   folder / METRICS_FILE)
    track("evaluate", job.tracking, parameters=job, metrics=evaluate_figures(result),
          artifacts=[job.out / name for name in (METRICS_FILE, LORENZ_TABLE)])
    return result
