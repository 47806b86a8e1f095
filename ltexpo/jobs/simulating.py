"""Dataset folder with a known truth + two arms' rankings → experiment.json and experiment.parquet."""

from pathlib import Path

from ltexpo.data.dataset import Dataset
from ltexpo.data.synthetic.truth import TRUTH_FOLDER, Truth
from ltexpo.data.tables import output_folder, read_frame, write_frame, write_json
from ltexpo.data.tail import TailSpec
from ltexpo.errors import TableError
from ltexpo.jobs.job import DataJob, trained_until, training_tiers
from ltexpo.simulate import Experiment, SimulateSettings, simulate

EXPERIMENT_TABLE, EXPERIMENT_FILE = "experiment.parquet", "experiment.json"


class SimulateJob(SimulateSettings, DataJob):
    """Settings of 'ltexpo simulate'."""

    control: Path
    """Parquet of the control's rankings, e.g. control.parquet of 'ltexpo rerank'."""
    treatment: Path
    """Parquet of the treatment's rankings, e.g. rankings.parquet of 'ltexpo rerank'."""
    tail: TailSpec = TailSpec()
    """Which items count as the tail in the metrics."""
    out: Path
    """Folder to write experiment.json and experiment.parquet to."""


def run_simulate(job: SimulateJob) -> Experiment:
    """Simulate and write, all or nothing."""
    with output_folder(job.out, verb="simulate", inputs=(job.data, job.control, job.treatment)) as folder:
        dataset = Dataset.load(job.data)
        truth_folder = Path(job.data) / TRUTH_FOLDER
        if not truth_folder.is_dir():
            raise TableError(
                f"{job.data}: holds no {TRUTH_FOLDER}/ folder, so the users' preferences are unknown and clicks cannot "
                "be simulated. Give a made shop ('ltexpo demo' makes one)."
            )
        tiers = training_tiers(dataset, job.tail, trained_until(job.treatment) if job.treatment.exists() else None)
        result = simulate(
            read_frame(job.control), read_frame(job.treatment), Truth.load(truth_folder), dataset.items, tiers, job,
            rng=job.seed,
        )
        write_frame(result.metrics, folder / EXPERIMENT_TABLE)
        write_json({**result.facts, "seed": job.seed, "metrics": result.metrics.to_dict("records")},
                   folder / EXPERIMENT_FILE)
    return result
