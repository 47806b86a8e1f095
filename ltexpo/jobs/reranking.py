"""Dataset folder + candidates.parquet → rankings.parquet, control.parquet and certificate.json."""

from pathlib import Path

from ltexpo.data.dataset import Dataset
from ltexpo.data.tables import output_folder, read_frame, write_frame, write_json
from ltexpo.jobs.job import TRAINED_UNTIL, DataJob, trained_until, training_tiers
from ltexpo.rerank import Reranked, RerankSettings, rerank

RANKINGS_FILE, CONTROL_FILE, CERTIFICATE_FILE = "rankings.parquet", "control.parquet", "certificate.json"


class RerankJob(RerankSettings, DataJob):
    """Settings of 'ltexpo rerank'."""

    candidates: Path
    """Parquet of scored candidates, from 'ltexpo recommend' or your own ranker."""
    out: Path
    """Folder to write rankings.parquet, control.parquet (the plain top k) and certificate.json to."""


def run_rerank(job: RerankJob) -> Reranked:
    """Re-rank and write, all or nothing."""
    dataset = Dataset.load(job.data)
    candidates = read_frame(job.candidates)
    until = trained_until(job.candidates)
    result = rerank(candidates, training_tiers(dataset, job.tail, until), job)
    noted = {TRAINED_UNTIL: until} if until is not None else {}
    with output_folder(job.out) as folder:
        write_frame(result.rankings, folder / RANKINGS_FILE, metadata=noted)
        write_frame(result.control, folder / CONTROL_FILE, metadata=noted)
        write_json(result.certificate, folder / CERTIFICATE_FILE)
    return result
