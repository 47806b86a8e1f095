"""Dataset folder with a log of propensities + a policy's table → what it would have earned: ope.json, ope.parquet."""

from pathlib import Path

from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.jobs.job import DataJob
from ltexpo.simulate.ope import OpeResult, OpeSettings, context_of, evaluate_policy, read_log, read_policy

OPE_TABLE, OPE_FILE = "ope.parquet", "ope.json"


class OpeJob(OpeSettings, DataJob):
    """Settings of 'ltexpo ope'."""

    policy: Path
    """Parquet of the policy to judge: item_id, rank, probability, and request_id, user_id or columns of events or
    users where it depends on them; or lists (rankings), each item certain at its rank."""
    out: Path
    """Folder to write ope.json and ope.parquet to."""


def run_ope(job: OpeJob) -> OpeResult:
    """Judge the policy and write, all or nothing."""
    with output_folder(job.out, verb="ope", inputs=(job.data, job.policy)) as folder:
        table = read_frame(job.policy)
        log = read_log(Dataset.load(job.data), job, context=context_of(table))
        result = evaluate_policy(log, read_policy(table, log, repeats=job.repeats), job, rng=job.seed)
        write_frame(result.to_pandas(), folder / OPE_TABLE)
        settings = {
            "policy": str(job.policy), "propensities": job.propensities, "segment": job.segment, "seed": job.seed,
        }
        write_json({**result.to_dict(), **settings}, folder / OPE_FILE)
    return result
