"""A pipeline's settings → its stages in order: each with its job, what it reads and where it writes.

The jobs' modules are imported by name and only for stages that are run: some bring libraries that take seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ltexpo.config import Settings, check_settings
from ltexpo.jobs.pipeline import STAGES, Pipeline

_DATA = {"data": "data"}
_CANDIDATES = "candidates/candidates.parquet"
_RANKINGS, _CONTROL = "rankings/rankings.parquet", "rankings/control.parquet"
_NOT_READ = ("out", "cache", "tracking", "tensorboard")
"""Settings whose paths are written to, or are nothing that a result depends on."""
_REPORTED = ("candidates", "rankings", "frontier", "evaluation", "experiment", "ope", "monitor")


@dataclass(frozen=True)
class Step:
    """How a stage is made from settings."""

    module: str
    """Module in ltexpo.jobs that holds the job's settings and its function."""
    settings: str
    run: str
    place: str
    """Where it writes in the run folder."""
    paths: Mapping[str, str]
    """Setting → where that lies in the run folder."""
    words: tuple[str, ...] = ()
    """Settings of words that may name a file or folder instead."""

    @property
    def model(self) -> type[Settings]:
        """The settings of its job."""
        model: type[Settings] = getattr(import_module(f"ltexpo.jobs.{self.module}"), self.settings)
        return model

    @property
    def function(self) -> Callable[[Any], object]:
        """Runs its job."""
        function: Callable[[Any], object] = getattr(import_module(f"ltexpo.jobs.{self.module}"), self.run)
        return function


STEPS: dict[str, Step] = {
    "import": Step("importing", "ImportJob", "run_import", "data", {}),
    "monitor": Step("monitoring", "MonitorJob", "run_monitor", "monitor", _DATA),
    "encode": Step("encoding", "EncodeJob", "run_encode", "vectors", _DATA, ("text", "image", "pretrained")),
    "train": Step("training", "TrainJob", "run_train", "model", _DATA),
    "recommend": Step("recommending", "RecommendJob", "run_recommend", "candidates", _DATA),
    "rerank": Step("reranking", "RerankJob", "run_rerank", "rankings", _DATA | {"candidates": _CANDIDATES},
                   ("attention",)),
    "frontier": Step("frontier", "FrontierJob", "run_frontier", "frontier", _DATA | {"candidates": _CANDIDATES},
                     ("attention",)),
    "evaluate": Step("evaluating", "EvaluateJob", "run_evaluate", "evaluation",
                     _DATA | {"rankings": _RANKINGS, "control": _CONTROL}, ("attention",)),
    "simulate": Step("simulating", "SimulateJob", "run_simulate", "experiment",
                     _DATA | {"control": _CONTROL, "treatment": _RANKINGS}, ("attention",)),
    "report": Step("reporting", "ReportJob", "run_report", "report.html", _DATA | {"run": ""}),
    "gate": Step("gating", "GateJob", "run_gate", "gate", {}),
    "export": Step("exporting", "ExportJob", "run_export", "export", _DATA | {"rankings": "rankings"}),
    "publish": Step("publishing", "PublishJob", "run_publish", "published.json", {"rankings": "rankings"}),
}
assert tuple(STEPS) == STAGES


@dataclass(frozen=True)
class Stage:
    """A stage that is ready to run."""

    name: str
    job: Settings
    inputs: list[Path]
    """Files and folders that it reads, there or not yet."""
    out: Path

    def run(self) -> object:
        """Do the work; returns the job's result."""
        return STEPS[self.name].function(self.job)


def stages(pipeline: Pipeline, source: str) -> list[Stage]:
    """The stages that `pipeline` names, wired to each other; raises `ConfigError` where a setting is wrong."""
    made = []
    for name in STAGES:
        given = pipeline.given(name)
        if given is None:
            continue
        step = STEPS[name]
        model = step.model
        wired: dict[str, Any] = {key: pipeline.out / place for key, place in step.paths.items()}
        wired |= {"out": pipeline.out / step.place} | _from_run(name, pipeline)
        if "seed" in model.model_fields:
            wired["seed"] = pipeline.seed
        if "tracking" in model.model_fields:
            wired["tracking"] = pipeline.tracking
        if "data" in wired and pipeline.data is not None:
            wired["data"] = Path(pipeline.data)
        job = check_settings(model, wired | given, f"{source}, {name}")
        inputs = list(dict.fromkeys(_paths(job, step.words)))
        if name == "report":
            inputs = [pipeline.out / place for place in _REPORTED if (pipeline.out / place).exists()
                      or any(STEPS[other].place == place for other in pipeline.named)]
            inputs.append(job.data or pipeline.out / "data")  # type: ignore[attr-defined]
        made.append(Stage(name, job, inputs, pipeline.out / step.place))
    return made


def _from_run(name: str, pipeline: Pipeline) -> dict[str, Any]:
    """What a stage is told because another is named, because of the day, or because of yesterday's run."""
    out, named = pipeline.out, pipeline.named
    told: dict[str, Any] = {}
    if pipeline.day is not None:
        told |= pipeline.of_day.get(name, {})
    if name in ("train", "recommend") and "train" in named and "encode" in named:
        told["vectors"] = [out / "vectors"]
    if name == "recommend" and "train" in named:
        told["model"] = out / "model"
    if name == "frontier":
        from ltexpo.rerank import RerankSettings

        shared = {*RerankSettings.model_fields, "candidates"}
        told |= {key: value for key, value in (pipeline.given("rerank") or {}).items() if key in shared}
    if name == "gate":
        told["certificate"] = out / "rankings" / "certificate.json" if "rerank" in named else None
        told["experiment"] = out / "experiment" / "experiment.json" if "simulate" in named else None
        told["monitor"] = out / "monitor" / "monitor.json" if "monitor" in named else None
    if name == "publish" and "export" in named:
        told["export"] = out / "export"
    for key, path in pipeline.carried.get(name, {}).items():
        told[key] = path if key in STEPS[name].words else Path(path)
    if name == "rerank" and "warm_start" in told and "monitor" in named:
        told["prices" if pipeline.steer else "warm_start"] = out / "monitor" / "prices.parquet"
        if pipeline.steer:
            del told["warm_start"]
    return told


def _paths(settings: object, words: tuple[str, ...] = ()) -> Iterator[Path]:
    """Every path that `settings` hold, but for where they write; of `words` those that lead somewhere."""
    if isinstance(settings, Path):
        yield settings
    elif isinstance(settings, Settings):
        for field in type(settings).model_fields:
            value = getattr(settings, field)
            if field in words and isinstance(value, str) and Path(value).exists():
                yield Path(value)
            elif field not in _NOT_READ:
                yield from _paths(value)
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from _paths(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _paths(value)
