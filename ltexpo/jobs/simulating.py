"""Dataset folder + the arms' rankings → an A/B simulation: experiment.json, and a table for each of its parts."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ltexpo.data.dataset import Dataset
from ltexpo.data.synthetic.truth import TRUTH_FOLDER, Truth
from ltexpo.data.tables import output_folder, read_frame, write_frame, write_json
from ltexpo.data.tail import TailSpec
from ltexpo.errors import ConfigError, TableError
from ltexpo.jobs.job import DataJob, trained_until, training_tiers
from ltexpo.progress import logged
from ltexpo.simulate import Environment, Experiment, ExperimentResult, ExperimentSettings, KnownEnvironment
from ltexpo.simulate.activity import visit_rates
from ltexpo.simulate.experiment import CONTROL, users_of
from ltexpo.simulate.fitted import FitSettings, FittedEnvironment
from ltexpo.simulate.segments import user_segments

EXPERIMENT_FILE = "experiment.json"
EXPERIMENT_TABLE, LOOKS_TABLE, DAYS_TABLE, ITEMS_TABLE, VALIDITY_TABLE = (
    f"{name}.parquet" for name in ("experiment", "looks", "days", "items", "validity")
)


class SimulateJob(ExperimentSettings, DataJob):
    """Settings of 'ltexpo simulate'."""

    control: Path
    """Parquet of the control's rankings, e.g. control.parquet of 'ltexpo rerank'."""
    treatment: Path | dict[str, Path]
    """Parquet of the treatment's rankings, e.g. rankings.parquet of 'ltexpo rerank'; or several by name."""
    environment: Literal["auto", "known", "fitted"] = "auto"
    """Where clicks come from: known preferences (a made shop's truth/ folder), or a model fitted on events that the
    ranker has not seen. auto: known where there is a truth/ folder."""
    fit: FitSettings = FitSettings()
    """How an environment is fitted."""
    tail: TailSpec = TailSpec()
    """Which items count as the tail in the metrics."""
    out: Path
    """Folder to write experiment.json, experiment.parquet (effects), looks.parquet, days.parquet, items.parquet and,
    with certify, validity.parquet to."""


def run_simulate(job: SimulateJob) -> ExperimentResult:
    """Simulate and write, all or nothing."""
    paths = job.treatment if isinstance(job.treatment, dict) else {"treatment": job.treatment}
    with output_folder(job.out, verb="simulate", inputs=(job.data, job.control, *paths.values())) as folder:
        dataset = Dataset.load(job.data)
        control = read_frame(job.control)
        arms = {name: read_frame(path) for name, path in paths.items()}
        until = _trained_until([job.control, *paths.values()])
        with logged("environment"):
            environment = environment_for(job, dataset, control, until)
        users = users_of(control, CONTROL)
        seen = dataset.events
        result = Experiment(job).simulate(
            control, arms, environment, items=dataset.items, tiers=training_tiers(dataset, job.tail, until),
            segments=user_segments(users, seen, dataset.items, until=until),
            activity=None if seen is None else visit_rates(users, seen, until=until), rng=job.seed,
        )
        for table, name in (
            (result.effects, EXPERIMENT_TABLE), (result.looks, LOOKS_TABLE), (result.days, DAYS_TABLE),
            (result.items, ITEMS_TABLE),
        ):
            write_frame(table, folder / name)
        if result.validity is not None:
            write_frame(result.validity, folder / VALIDITY_TABLE)
        write_json({**result.facts, "verdicts": result.verdicts, "seed": job.seed}, folder / EXPERIMENT_FILE)
    return result


def environment_for(job: SimulateJob, dataset: Dataset, control: pd.DataFrame, until: str | None) -> Environment:
    """What `job.environment` asks for; a fitted one learns from events that the rankings' makers had not seen."""
    truth = job.data / TRUTH_FOLDER
    if job.environment == "known" or (job.environment == "auto" and truth.is_dir()):
        if not truth.is_dir():
            raise TableError(f"{job.data}: holds no {TRUTH_FOLDER}/ folder, so preferences are not known. "
                             "Give environment: fitted, or a made shop ('ltexpo demo' makes one).")
        return KnownEnvironment(Truth.load(truth))
    if job.fit.since is None and until is None:
        raise ConfigError(
            "fit.since is missing, and the rankings do not say up to when their maker had seen events. Give the date "
            "from which on the ranker had seen nothing."
        )
    settings = job.fit if job.fit.since is not None else job.fit.model_copy(update={"since": until})
    events = dataset.require_events("a fitted environment")
    fitted = FittedEnvironment.fit(dataset.items, events, settings, rng=np.random.default_rng(job.seed))
    if fitted.has_impressions:
        return fitted
    return fitted.scaled_to(control, settings.mean_attraction)


def _trained_until(tables: list[Path]) -> str | None:
    """The latest moment up to which a maker of these tables had seen events."""
    moments: list[Any] = [pd.Timestamp(moment) for moment in map(trained_until, filter(Path.exists, tables)) if moment]
    return str(max(moments)) if moments else None
