"""Dataset folder + the arms' rankings → an A/B simulation: experiment.json, and a table for each of its parts."""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import field_validator, model_validator

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.split import as_utc
from ltexpo.data.synthetic.truth import TRUTH_FOLDER, Truth
from ltexpo.data.tables import BY_BLEND, BY_MODEL, read_frame, write_frame
from ltexpo.data.tail import TailSpec
from ltexpo.errors import ConfigError, TableError
from ltexpo.jobs.job import DataJob, scored_by, trained_until, training_tiers
from ltexpo.jobs.makers import ByBlend, ByModel, Maker
from ltexpo.jobs.retraining import RetrainedArm
from ltexpo.jobs.tracked import simulate_figures
from ltexpo.jobs.vectors import ModelInputs
from ltexpo.progress import logged
from ltexpo.ranking.recommend import RecommendSettings
from ltexpo.rerank import RerankSettings
from ltexpo.simulate import Environment, Experiment, ExperimentResult, ExperimentSettings, KnownEnvironment
from ltexpo.simulate.activity import visit_rates
from ltexpo.simulate.designs import ItemSideSettings, simulate_item_designs
from ltexpo.simulate.experiment import CONTROL, Arm, users_of
from ltexpo.simulate.fitted import FitSettings, FittedEnvironment, fidelity, return_strength_of
from ltexpo.simulate.segments import user_segments
from ltexpo.tracking import Tracked, track

EXPERIMENT_FILE = "experiment.json"
FIDELITY_TABLE, DESIGNS_TABLE = "fidelity.parquet", "designs.parquet"
EXPERIMENT_TABLE, LOOKS_TABLE, DAYS_TABLE, ITEMS_TABLE, VALIDITY_TABLE = (
    f"{name}.parquet" for name in ("experiment", "looks", "days", "items", "validity")
)


class RetrainSettings(ModelInputs):
    """How the arms' recommenders learn from what they showed, every `retrain_every` days."""

    model: Path | None = None
    """Folder of the trained model that made the lists: it makes those of later days, too; null: the blend of baselines,
    fitted anew."""
    learn: bool = True
    """Does the model go on learning each time, as by 'ltexpo train --continue-from'? no: as it was trained it reads
    what has happened since, which is much faster."""
    recommend: RecommendSettings = RecommendSettings()
    """How candidates are made; `until` follows the days. With a model only k and explore may be given."""
    rerank: RerankSettings = RerankSettings()
    """How the treatment re-ranks them, to lists as long as the first ones; the control shows the plain best. Give the
    goals that the treatment was made with: they are not read from it."""


class SimulateJob(ExperimentSettings, Tracked, DataJob):
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
    retrain: RetrainSettings = RetrainSettings()
    """With retrain_every: how the lists of later days are made."""
    candidates: Path | None = None
    """Candidates behind the lists: with boosts, item-side designs are simulated as well (designs.parquet)."""
    boosts: Path | None = None
    """boosts.parquet of 'ltexpo rerank': the products under an item-side experiment, and their boosts."""
    item_side: ItemSideSettings = ItemSideSettings()
    """How item-side designs are simulated; k, days, level and behaviour are those of the test where not given."""
    tail: TailSpec = TailSpec()
    """Which items count as the tail in the metrics."""
    out: Path
    """Folder to write experiment.json, experiment.parquet (effects), looks.parquet, days.parquet, items.parquet to,
    and validity.parquet (with certify), fidelity.parquet (with fit.until), designs.parquet (with boosts)."""

    @field_validator("treatment", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        """--treatment FILE, or several times --treatment NAME=FILE."""
        if not isinstance(given, list | tuple):
            return given
        if len(given) == 1:
            return given[0]
        named = [str(one).partition("=") for one in given]
        arms = {name: path for name, equals, path in named if name and equals and path}
        if len(arms) < len(given):
            raise ValueError("several treatments need a name of its own each: give name=FILE for every one")
        return arms

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.candidates is None) != (self.boosts is None):
            raise ValueError("candidates and boosts go together: give both for item-side designs, or neither")
        return self


def run_simulate(job: SimulateJob) -> ExperimentResult:
    """Simulate and write, all or nothing."""
    paths = job.treatment if isinstance(job.treatment, dict) else {"treatment": job.treatment}
    inputs = (
        job.data, job.control, *paths.values(), job.candidates, job.boosts, job.retrain.model, *job.retrain.vectors,
        job.retrain.edges,
    )
    with output_folder(job.out, verb="simulate", inputs=inputs) as folder:
        dataset = Dataset.load(job.data)
        control = read_frame(job.control)
        arms = {name: read_frame(path) for name, path in paths.items()}
        until = _trained_until([job.control, *paths.values()])
        with logged("environment"):
            environment = environment_for(job, dataset, control, until)
        users = users_of(control, CONTROL)
        seen, tiers = dataset.events, training_tiers(dataset, job.tail, until)
        activity = None
        if seen is not None and job.behaviour.visits_per_day is None:
            activity = visit_rates(users, seen, until=until)
        job, returning = _with_returning(job, environment, seen)
        by = {who for who in map(scored_by, (job.control, *paths.values())) if who is not None}
        shown = _retrained(job, {CONTROL: control, **arms}, dataset, until, users, by)
        result = Experiment(job).simulate(
            shown[CONTROL], {name: arm for name, arm in shown.items() if name != CONTROL}, environment,
            items=with_prices(dataset.items, seen, until), tiers=tiers,
            segments=user_segments(users, seen, dataset.items, until=until),
            activity=activity, rng=job.seed,
        )
        for table, name in (
            (result.effects, EXPERIMENT_TABLE), (result.looks, LOOKS_TABLE), (result.days, DAYS_TABLE),
            (result.items, ITEMS_TABLE),
        ):
            write_frame(table, folder / name)
        if result.validity is not None:
            write_frame(result.validity, folder / VALIDITY_TABLE)
        retrained = {name: arm.told for name, arm in shown.items() if isinstance(arm, RetrainedArm)}
        facts = {**result.facts, "retrained": retrained, "verdicts": result.verdicts, "seed": job.seed}
        if returning is not None:
            facts["returning"] = returning
            result.notes.append(_returning_note(returning))
        if isinstance(environment, FittedEnvironment) and job.fit.until is not None:
            events = dataset.require_events("fidelity")
            told = fidelity(dataset.items, events, _fit_settings(job, until),
                            events[events[Columns.Timestamp] >= as_utc(job.fit.until)], rng=job.seed)
            write_frame(told.table, folder / FIDELITY_TABLE)
            facts["fidelity"] = {"clicks_off": told.off, "intervals_that_hold": told.held, "level": told.level}
            result.notes.append(
                f"The environment on events from {job.fit.until} on: clicks {told.off:+.1%} off, {told.held:.0%} of "
                f"the {told.level:.0%} intervals hold no difference (fidelity.parquet)."
            )
        if job.candidates is not None and job.boosts is not None:
            side = _item_side(job, control)
            designs = simulate_item_designs(
                read_frame(job.candidates), read_frame(job.boosts), environment, side,
                items=dataset.items, tiers=tiers, rng=job.seed,
            )
            write_frame(designs.table, folder / DESIGNS_TABLE)
            facts["item_side"] = {**side.model_dump(), "items": designs.items}
            result.notes.append(
                f"Item-side designs: gain of one of {designs.items:,} boosted items over {side.days} days, if all are "
                f"boosted instead of none.\n{designs}"
            )
        write_json(facts, folder / EXPERIMENT_FILE)
    track("simulate", job.tracking, parameters=job, metrics=simulate_figures(result),
          artifacts=[job.out / name for name in (EXPERIMENT_FILE, EXPERIMENT_TABLE, LOOKS_TABLE, DAYS_TABLE)])
    return result


def _with_returning(
    job: SimulateJob, environment: Environment, events: pd.DataFrame | None
) -> tuple[SimulateJob, dict[str, Any] | None]:
    """The job with the return strength that the log tells, and what to say of it; None where nothing was fitted."""
    if not (isinstance(environment, FittedEnvironment) and job.fit.returning) or events is None:
        return job, None
    if job.fit.until is not None:
        events = events[events[Columns.Timestamp] < as_utc(job.fit.until)]
    behaviour, told = return_strength_of(events, job.behaviour, level=job.level)
    return job.model_copy(update={"behaviour": behaviour}), told


def _returning_note(told: dict[str, Any]) -> str:
    if not told["learnt"]:
        return (f"How satisfaction brings users back is assumed (return_strength {told['strength']:g}): "
                f"{told['reason']}.")
    found = told["found"]
    return (f"How satisfaction brings users back is learnt from the log: return_strength {told['strength']:.2f}, "
            f"{found['level']:.0%} interval {found['low']:.2f} to {found['high']:.2f} ({found['users']:,} users over "
            f"{found['days']} days, each compared with herself).")


def _retrained(
    job: SimulateJob, arms: dict[str, pd.DataFrame], dataset: Dataset, until: str | None, users: "pd.Index[str]",
    by: set[str],
) -> dict[str, Arm]:
    """The arms' rankings as they are, or with `retrain_every` as recommenders that begin with them; `by`: who is noted
    to have made them."""
    if job.retrain_every is None:
        return dict(arms)
    if until is None:
        raise ConfigError("retrain_every needs to know where the simulation begins, but the rankings do not say up to "
                          "when their maker had seen events. Make them with 'ltexpo recommend --until'.")
    if len(arms) > 2:
        raise ConfigError(f"retrain_every re-ranks as retrain.rerank says, which fits one treatment, not "
                          f"{len(arms) - 1}. Give one, or pass recommenders to ltexpo.simulate.Experiment.")
    if BY_MODEL in by and job.retrain.model is None:
        raise ConfigError("the lists were made by a trained model, but those of later days would be made by the blend "
                          "of baselines. Give retrain.model, the folder of that model (with retrain.vectors, if it "
                          "reads some), or leave retrain_every out.")
    if BY_BLEND in by and job.retrain.model is not None:
        raise ConfigError("the lists were made by the blend of baselines, but those of later days would be made by "
                          "retrain.model. Leave it out, or make the lists by 'ltexpo recommend --model'.")
    k, rerank = int(arms[CONTROL][Columns.Rank].max()), job.retrain.rerank
    if "k" in rerank.model_fields_set and rerank.k != k:
        raise ConfigError(f"retrain.rerank.k is {rerank.k}, but the control's lists have {k} slots. Leave it out.")
    rerank = rerank.model_copy(update={"k": k})
    return {
        name: RetrainedArm(
            rankings, dataset, until, _maker(job, dataset), None if name == CONTROL else rerank, k, users, job.seed,
        )
        for name, rankings in arms.items()
    }


def _maker(job: SimulateJob, dataset: Dataset) -> Maker:
    """One for each arm: a model goes on learning from what its own arm showed."""
    if job.retrain.model is None:
        return ByBlend(job.retrain.recommend, job.seed)
    return ByModel(job.retrain, dataset, job.retrain.recommend, learn=job.retrain.learn, seed=job.seed)


def _item_side(job: SimulateJob, control: pd.DataFrame) -> ItemSideSettings:
    of_test: dict[str, Any] = {
        "k": int(control[Columns.Rank].max()), "days": job.days, "level": job.level, "behaviour": job.behaviour,
    }
    given = job.item_side.model_fields_set
    return job.item_side.model_copy(update={name: value for name, value in of_test.items() if name not in given})


def _fit_settings(job: SimulateJob, until: str | None) -> FitSettings:
    if job.fit.since is None and until is None:
        raise ConfigError(
            "fit.since is missing, and the rankings do not say up to when their maker had seen events. Give the date "
            "from which on the ranker had seen nothing."
        )
    return job.fit if job.fit.since is not None else job.fit.model_copy(update={"since": until})


def environment_for(job: SimulateJob, dataset: Dataset, control: pd.DataFrame, until: str | None) -> Environment:
    """What `job.environment` asks for; a fitted one learns from events that the rankings' makers had not seen."""
    truth = job.data / TRUTH_FOLDER
    if job.environment == "known" or (job.environment == "auto" and truth.is_dir()):
        if not truth.is_dir():
            raise TableError(f"{job.data}: holds no {TRUTH_FOLDER}/ folder, so preferences are not known. "
                             "Give environment: fitted, or a made shop ('ltexpo demo' makes one).")
        return KnownEnvironment(Truth.load(truth))
    settings = _fit_settings(job, until)
    events = dataset.require_events("a fitted environment")
    fitted = FittedEnvironment.fit(dataset.items, events, settings, rng=np.random.default_rng(job.seed))
    if fitted.has_impressions:
        return fitted
    return fitted.scaled_to(control, settings.mean_attraction)


def with_prices(items: pd.DataFrame, events: pd.DataFrame | None, until: str | None) -> pd.DataFrame:
    """`items`; without prices of their own, with the middle price of each item's events before `until`."""
    if Columns.Price in items.columns or events is None or Columns.Price not in events.columns:
        return items
    paid = events if until is None else events[events[Columns.Timestamp] < as_utc(until)]
    return items.assign(price=items[Columns.Item].map(paid.groupby(Columns.Item)[Columns.Price].median()))


def _trained_until(tables: list[Path]) -> str | None:
    """The latest moment up to which a maker of these tables had seen events."""
    moments: list[Any] = [pd.Timestamp(moment) for moment in map(trained_until, filter(Path.exists, tables)) if moment]
    return str(max(moments)) if moments else None
