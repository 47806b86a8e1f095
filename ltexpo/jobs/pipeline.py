"""Settings of several verbs → one run folder, each step fed from the one before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from ltexpo.config import Settings, check_settings
from ltexpo.jobs.encoding import EncodeJob, run_encode
from ltexpo.jobs.evaluating import EvaluateJob, run_evaluate
from ltexpo.jobs.frontier import FrontierJob, run_frontier
from ltexpo.jobs.importing import ImportJob, run_import
from ltexpo.jobs.recommending import CANDIDATES_FILE, RecommendJob, run_recommend
from ltexpo.jobs.reporting import ReportJob, run_report
from ltexpo.jobs.reranking import CONTROL_FILE, RANKINGS_FILE, RerankJob, run_rerank
from ltexpo.jobs.simulating import SimulateJob, run_simulate
from ltexpo.jobs.training import TrainJob, run_train
from ltexpo.progress import stage
from ltexpo.rerank import RerankSettings
from ltexpo.tracking import TrackingSettings, tracked_run

StepSettings = dict[str, Any] | None


class Pipeline(Settings):
    """A run: the steps that are named are run in this order; what feeds what is wired within the run folder."""

    out: Path
    """Run folder; each step writes its own folder in it."""
    seed: int = Field(0, ge=0)
    """Seed of every step that does not name its own."""
    import_: StepSettings = Field(None, alias="import")
    """Settings of 'ltexpo import'; leave it out when OUT/data is there already."""
    encode: StepSettings = None
    """Settings of 'ltexpo encode'."""
    train: StepSettings = None
    """Settings of 'ltexpo train'; it reads what encode wrote, where that is named."""
    recommend: StepSettings = None
    """Settings of 'ltexpo recommend'; by the model, where train is named."""
    rerank: StepSettings = None
    """Settings of 'ltexpo rerank'."""
    frontier: StepSettings = None
    """Settings of 'ltexpo frontier'; goals and guardrails it does not name are those of rerank."""
    evaluate: StepSettings = None
    """Settings of 'ltexpo evaluate'."""
    simulate: StepSettings = None
    """Settings of 'ltexpo simulate'; needs a dataset whose truth is known."""
    report: StepSettings = None
    """Settings of 'ltexpo report'."""
    tracking: TrackingSettings = TrackingSettings()
    """Tell an MLflow store of the run, its steps nested in it, and the report; steps need not name it again."""


@dataclass(frozen=True)
class _Step:
    name: str
    model: type[Settings]
    run: Callable[[Any], object]
    paths: Mapping[str, str]
    """Setting → where it lies in the run folder."""


_DATA = {"data": "data"}
_STEPS = (
    _Step("import", ImportJob, run_import, {"out": "data"}),
    _Step("encode", EncodeJob, run_encode, _DATA | {"out": "vectors"}),
    _Step("train", TrainJob, run_train, _DATA | {"out": "model"}),
    _Step("recommend", RecommendJob, run_recommend, _DATA | {"out": "candidates"}),
    _Step("rerank", RerankJob, run_rerank,
          _DATA | {"candidates": f"candidates/{CANDIDATES_FILE}", "out": "rankings"}),
    _Step("frontier", FrontierJob, run_frontier,
          _DATA | {"candidates": f"candidates/{CANDIDATES_FILE}", "out": "frontier"}),
    _Step("evaluate", EvaluateJob, run_evaluate,
          _DATA | {"rankings": f"rankings/{RANKINGS_FILE}", "control": f"rankings/{CONTROL_FILE}",
                   "out": "evaluation"}),
    _Step("simulate", SimulateJob, run_simulate,
          _DATA | {"control": f"rankings/{CONTROL_FILE}", "treatment": f"rankings/{RANKINGS_FILE}",
                   "out": "experiment"}),
    _Step("report", ReportJob, run_report, _DATA | {"run": "", "out": "report.html"}),
)


def run_pipeline(pipeline: Pipeline, *, source: str = "pipeline") -> dict[str, object]:
    """Check every step's settings, then run them; returns each step's result by its name."""
    jobs = []
    for step in _STEPS:
        given = getattr(pipeline, "import_" if step.name == "import" else step.name)
        if given is None:
            continue
        wired: dict[str, Any] = {name: pipeline.out / path for name, path in step.paths.items()}
        if "seed" in step.model.model_fields:
            wired["seed"] = pipeline.seed
        if "tracking" in step.model.model_fields:
            wired["tracking"] = pipeline.tracking
        if step.name in ("train", "recommend") and pipeline.train is not None and pipeline.encode is not None:
            wired["vectors"] = [pipeline.out / "vectors"]
        if step.name == "recommend" and pipeline.train is not None:
            wired["model"] = pipeline.out / "model"
        if step.name == "frontier":
            shared = (pipeline.rerank or {}).items()
            wired |= {name: value for name, value in shared if name in RerankSettings.model_fields}
        jobs.append((step, check_settings(step.model, wired | given, f"{source}, {step.name}")))
    results = {}
    page = pipeline.out / "report.html"
    with tracked_run("pipeline", pipeline.tracking, parameters=pipeline, artifacts=[page]):
        for step, job in jobs:
            with stage(step.name):
                results[step.name] = step.run(job)
    return results
