"""Verbs with the settings of their jobs → the command line."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from ltexpo import __version__
from ltexpo.cli import judging, making, ranking
from ltexpo.config import Settings, documented_yaml
from ltexpo.jobs.demo import DemoJob
from ltexpo.jobs.encoding import EncodeJob
from ltexpo.jobs.evaluating import EvaluateJob
from ltexpo.jobs.examining import ExamineJob
from ltexpo.jobs.exporting import ExportJob
from ltexpo.jobs.frontier import FrontierJob
from ltexpo.jobs.graphing import GraphJob
from ltexpo.jobs.importing import DescribeJob, ImportJob
from ltexpo.jobs.judging import OpeJob
from ltexpo.jobs.monitoring import MonitorJob
from ltexpo.jobs.recommending import RecommendJob
from ltexpo.jobs.reporting import ReportJob
from ltexpo.jobs.reranking import ExplainJob, RerankJob
from ltexpo.jobs.simulating import SimulateJob
from ltexpo.jobs.training import TrainJob

app = typer.Typer(
    name="ltexpo",
    help="Fair exposure for long-tail products at the lowest cost in clicks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

VERBS: dict[str, tuple[Callable[..., None], type[Settings]]] = {
    "demo": (making.demo, DemoJob),
    "import": (making.import_, ImportJob),
    "describe": (making.describe, DescribeJob),
    "encode": (making.encode, EncodeJob),
    "graph": (making.graph, GraphJob),
    "train": (making.train, TrainJob),
    "recommend": (making.recommend, RecommendJob),
    "rerank": (ranking.rerank, RerankJob),
    "explain": (ranking.explain, ExplainJob),
    "frontier": (ranking.frontier, FrontierJob),
    "evaluate": (judging.evaluate, EvaluateJob),
    "examine": (judging.examine, ExamineJob),
    "simulate": (judging.simulate, SimulateJob),
    "ope": (judging.ope, OpeJob),
    "monitor": (judging.monitor, MonitorJob),
    "export": (ranking.export, ExportJob),
    "report": (judging.report, ReportJob),
}
"""Verb → what runs it, and its settings; in this order they are shown."""
JOBS = {name: job for name, (_, job) in VERBS.items()}
Verb = StrEnum("Verb", {name.upper(): name for name in JOBS})  # type: ignore[misc]


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Same as after the verb.")] = False,
) -> None:
    """Fair exposure for long-tail products at the lowest cost in clicks."""


for _name, (_run, _) in VERBS.items():
    app.command(_name)(_run)


@app.command()
def config(verb: Annotated[Verb, typer.Argument(help="The verb whose settings to print.")]) -> None:
    """Print a verb's settings as a documented YAML."""
    typer.echo(documented_yaml(JOBS[verb.value]), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
