"""Words on a command line → one job; its result printed, or one line that says what to change."""

import json
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler

from ltexpo import __version__
from ltexpo.config import Settings, documented_yaml, read_settings
from ltexpo.errors import outcome
from ltexpo.jobs.demo import DemoJob, run_demo
from ltexpo.jobs.encoding import EncodeJob, run_encode
from ltexpo.jobs.evaluating import EvaluateJob, run_evaluate
from ltexpo.jobs.examining import ExamineJob, run_examine
from ltexpo.jobs.exporting import ExportJob, run_export
from ltexpo.jobs.frontier import FrontierJob, run_frontier
from ltexpo.jobs.graphing import GraphJob, run_graph
from ltexpo.jobs.importing import DescribeJob, ImportJob, run_describe, run_import
from ltexpo.jobs.judging import OpeJob, run_ope
from ltexpo.jobs.monitoring import MonitorJob, run_monitor
from ltexpo.jobs.recommending import RecommendJob, run_recommend
from ltexpo.jobs.reporting import ReportJob, run_report
from ltexpo.jobs.reranking import ExplainJob, RerankJob, run_explain, run_rerank
from ltexpo.jobs.simulating import SimulateJob, run_simulate
from ltexpo.jobs.training import TrainJob, run_train

app = typer.Typer(
    name="ltexpo",
    help="Fair exposure for long-tail products at the lowest cost in clicks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

JOBS: dict[str, type[Settings]] = {
    "demo": DemoJob,
    "import": ImportJob,
    "describe": DescribeJob,
    "encode": EncodeJob,
    "graph": GraphJob,
    "train": TrainJob,
    "recommend": RecommendJob,
    "rerank": RerankJob,
    "explain": ExplainJob,
    "frontier": FrontierJob,
    "evaluate": EvaluateJob,
    "examine": ExamineJob,
    "simulate": SimulateJob,
    "ope": OpeJob,
    "monitor": MonitorJob,
    "export": ExportJob,
    "report": ReportJob,
}
Verb = StrEnum("Verb", {name.upper(): name for name in JOBS})  # type: ignore[misc]

Config = Annotated[Path | None, typer.Option("--config", help="YAML of settings; options given here win over it.")]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of everything random; steps without chance ignore it.")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Log every step; show the trace of an error.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.")]
Data = Annotated[Path | None, typer.Option("--data", help="Dataset folder with items.parquet, events.parquet.")]
K = Annotated[int | None, typer.Option("--k", help="Length of the lists.")]
Engine = Annotated[str | None, typer.Option("--engine", help="Where it runs: local, or spark.")]
Master = Annotated[str | None, typer.Option("--master", help="spark: e.g. local[4] or spark://HOST:7077.")]
Partitions = Annotated[int | None, typer.Option("--partitions", help="spark: parts that the data is cut into.")]


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Same as after the verb.")] = False,
) -> None:
    """Fair exposure for long-tail products at the lowest cost in clicks."""


@app.command()
def demo(
    out: Out = None,
    n_items: Annotated[int | None, typer.Option(help="Products of the made shop.")] = None,
    n_users: Annotated[int | None, typer.Option(help="Its users.")] = None,
    n_days: Annotated[int | None, typer.Option(help="Days of its history; the last two are held out.")] = None,
    k: K = None,
    tail_share: Annotated[float | None, typer.Option(help="Goal: exposure share of tail and new products.")] = None,
    model: Annotated[
        bool | None, typer.Option("--model/--no-model", help="Recommend by a trained model, or by the blend.")
    ] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Make a shop, train, recommend, re-rank, simulate, and write the report."""
    logging.getLogger("ltexpo").setLevel(logging.INFO)  # a demo shows its steps unasked
    job = read_settings(DemoJob, config, {
        "out": out, "n_items": n_items, "n_users": n_users, "n_days": n_days, "k": k,
        "tail_share": tail_share, "model": model, "seed": seed,
    })
    _say(f"Report: {run_demo(job)}")


@app.command("import")
def import_(
    source: Annotated[str | None, typer.Argument(help="hm, movielens, amazon-reviews, amazon-kg, open-bandit, olist, "
                                               "myntra, or generic.")] = None,
    path: Annotated[Path | None, typer.Argument(help="Where the source's files lie.")] = None,
    out: Out = None,
    column_map: Annotated[Path | None, typer.Option("--map", help="Column map YAML, for generic.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Turn a source's files into a dataset folder."""
    job = read_settings(ImportJob, config, {"source": source, "path": path, "out": out, "map": column_map})
    _say_facts(run_import(job))


@app.command()
def describe(
    data: Annotated[Path | None, typer.Argument(help="Dataset folder.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Check a dataset folder and print sizes, time range, tail curve and what is missing."""
    _say_facts(run_describe(read_settings(DescribeJob, config, {"data": data})))


@app.command()
def encode(
    data: Data = None, out: Out = None,
    text: Annotated[
        str | None, typer.Option(help="tfidf, minilm, a model's folder, an id of the Hugging Face hub, or none.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="A model's folder, an architecture of open_clip, or none.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="With an architecture: a tag or a file of weights.")] = None,
    train: Annotated[
        bool | None, typer.Option("--train", help="Train a small pair of encoders on this catalogue and use it.")
    ] = None,
    engine: Engine = None, master: Master = None, partitions: Partitions = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Turn titles and pictures into vectors: text, image, title (.safetensors), items.parquet, encode.json."""
    job = read_settings(EncodeJob, config, {
        "data": data, "out": out, "text": text, "image": image, "pretrained": pretrained, "train": train, "seed": seed,
        "engine": engine, "master": master, "partitions": partitions,
    })
    _say(run_encode(job))


@app.command()
def graph(
    data: Data = None, out: Out = None,
    until: Annotated[str | None, typer.Option(help="Only events before this date make edges.")] = None,
    vectors: Annotated[Path | None, typer.Option(help="Folder that 'ltexpo encode' wrote.")] = None,
    edges: Annotated[Path | None, typer.Option(help="Parquet of further edges: source, relation, target.")] = None,
    train: Annotated[
        bool | None, typer.Option("--train", help="Train a graph network and write every product's vector.")
    ] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Build the product graph: nodes.parquet, edges.parquet, graph.json."""
    job = read_settings(GraphJob, config, {
        "data": data, "out": out, "until": until, "vectors": vectors, "edges": edges, "train": train, "seed": seed,
    })
    _say(run_graph(job))


@app.command()
def train(
    data: Data = None, out: Out = None,
    until: Annotated[str | None, typer.Option(help="Train on events before this date.")] = None,
    vectors: Annotated[
        list[Path] | None, typer.Option(help="Folder that 'ltexpo encode' wrote; may be given several times.")
    ] = None,
    edges: Annotated[Path | None, typer.Option(help="Parquet of given edges: source, relation, target.")] = None,
    continue_from: Annotated[Path | None, typer.Option(help="Go on from this model, on new days.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Train the model (networks, features, ranker) into a folder that 'recommend --model' reads."""
    job = read_settings(TrainJob, config, {
        "data": data, "out": out, "until": until, "vectors": vectors, "edges": edges, "continue_from": continue_from,
        "seed": seed,
    })
    _say(run_train(job))


@app.command()
def recommend(
    data: Data = None, out: Out = None, k: K = None,
    until: Annotated[str | None, typer.Option(help="Learn from events before this date.")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder that 'ltexpo train' wrote.")] = None,
    vectors: Annotated[list[Path] | None, typer.Option(help="The vectors that the model reads.")] = None,
    edges: Annotated[Path | None, typer.Option(help="The given edges that the model reads.")] = None,
    candidates: Annotated[Path | None, typer.Option(help="With a model: lists made elsewhere, to be scored.")] = None,
    engine: Engine = None, master: Master = None, partitions: Partitions = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Score candidates for every user, or those given: candidates.parquet."""
    job = read_settings(RecommendJob, config, {
        "data": data, "out": out, "k": k, "until": until, "model": model, "vectors": vectors, "edges": edges,
        "candidates": candidates, "seed": seed,
        "engine": engine, "master": master, "partitions": partitions,
    })
    _say(run_recommend(job))


@app.command()
def rerank(
    data: Data = None,
    candidates: Annotated[Path | None, typer.Option(help="Parquet of scored candidates.")] = None,
    out: Out = None, k: K = None,
    tail_share: Annotated[
        float | None, typer.Option(help="The one goal: at least this share of exposure for tail and new products.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Tiers count events before this date.")] = None,
    prices: Annotated[Path | None, typer.Option(help="Apply this prices.parquet without solving.")] = None,
    elastic: Annotated[
        bool | None, typer.Option("--elastic", help="Come as near as possible to goals that cannot be met.")
    ] = None,
    exact: Annotated[
        bool | None, typer.Option("--exact", help="Check a small job against the linear program's optimum.")
    ] = None,
    memory_limit: Annotated[
        float | None, typer.Option(help="GB that candidates may take in memory; more lie in files beside the output.")
    ] = None,
    engine: Engine = None, master: Master = None, partitions: Partitions = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Meet exposure goals at the least cost in clicks: lists, prices and a certificate."""
    job = read_settings(RerankJob, config, {
        "data": data, "candidates": candidates, "out": out, "k": k, "goals": _tail_goal(tail_share),
        "until": until, "prices": prices, "elastic": elastic, "exact": exact,
        "memory_limit": memory_limit, "seed": seed,
        "engine": engine, "master": master, "partitions": partitions,
    })
    _say(run_rerank(job))


@app.command()
def explain(
    data: Data = None,
    rankings: Annotated[Path | None, typer.Option(help="Folder that 'ltexpo rerank' wrote.")] = None,
    request: Annotated[str | None, typer.Option(help="The request_id whose list to explain.")] = None,
    model: Annotated[Path | None, typer.Option(help="The model that scored it: says what matches are made of.")] = None,
    vectors: Annotated[list[Path] | None, typer.Option(help="The vectors that the model reads.")] = None,
    edges: Annotated[Path | None, typer.Option(help="The given edges that the model reads.")] = None,
    query: Annotated[str | None, typer.Option(help="What was typed for it, where the model reads queries.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Show one list before and after: who was promoted for which goal, what it costs, what matches hold."""
    job = read_settings(ExplainJob, config, {
        "data": data, "rankings": rankings, "request": request, "model": model, "vectors": vectors, "edges": edges,
        "query": query,
    })
    _say(run_explain(job))


@app.command()
def frontier(
    data: Data = None,
    candidates: Annotated[Path | None, typer.Option(help="Parquet of scored candidates.")] = None,
    out: Out = None, k: K = None,
    n_points: Annotated[int | None, typer.Option(help="Tail shares to solve for.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """What every tail share would cost in clicks: frontier.parquet and frontier.json."""
    job = read_settings(FrontierJob, config, {
        "data": data, "candidates": candidates, "out": out, "k": k, "n_points": n_points, "seed": seed,
    })
    _say(run_frontier(job))


@app.command()
def evaluate(
    data: Data = None,
    rankings: Annotated[Path | None, typer.Option(help="Parquet of the lists to judge.")] = None,
    control: Annotated[Path | None, typer.Option(help="Parquet of lists to compare with.")] = None,
    out: Out = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="Cutoff; may be given several times.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Test on events from this date on; without it only exposure is measured.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Test on events before this date.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Measure lists on held-out events: metrics.parquet and metrics.json."""
    job = read_settings(EvaluateJob, config, {
        "data": data, "rankings": rankings, "control": control, "out": out, "k": tuple(k) if k else None,
        "since": since, "until": until, "seed": seed,
    })
    _say(run_evaluate(job))


@app.command()
def examine(
    data: Data = None, out: Out = None, k: K = None,
    model: Annotated[str | None, typer.Option(help="all, pbm, cm, dcm, dbn or ubm.")] = None,
    surface: Annotated[str | None, typer.Option(help="Events column that tells surfaces apart.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Learn from logged impressions how often each slot is examined: examination.parquet, clicks.json."""
    job = read_settings(ExamineJob, config, {
        "data": data, "out": out, "k": k, "model": model, "surface": surface, "seed": seed,
    })
    _say(run_examine(job))


@app.command()
def simulate(
    data: Data = None,
    control: Annotated[Path | None, typer.Option(help="Parquet of the control's lists.")] = None,
    treatment: Annotated[
        list[str] | None,
        typer.Option(help="Parquet of the treatment's lists; several arms by name: --treatment NAME=FILE for each."),
    ] = None,
    out: Out = None,
    days: Annotated[int | None, typer.Option(help="Length of the test.")] = None,
    certify: Annotated[
        bool | None, typer.Option("--certify", help="Try the tests themselves on these users, 1,000 times.")
    ] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Simulate an A/B test of lists, one or several treatments against a control: what each does, what a test would
    say, and a verdict."""
    job = read_settings(SimulateJob, config, {
        "data": data, "control": control, "treatment": treatment or None, "out": out, "days": days,
        "certify": 1_000 if certify else None, "seed": seed,
    })
    _say(run_simulate(job))


@app.command()
def ope(
    data: Data = None,
    policy: Annotated[
        Path | None, typer.Option(help="Parquet of the policy to judge: item_id, rank, probability; or lists.")
    ] = None,
    out: Out = None,
    estimator: Annotated[
        list[str] | None, typer.Option(help="all, or an estimator's name; may be given several times.")
    ] = None,
    propensities: Annotated[
        str | None, typer.Option(help="What the log holds: conditional, marginal; or estimated where it has none.")
    ] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Judge a policy from logs alone: ope.json and ope.parquet."""
    job = read_settings(OpeJob, config, {
        "data": data, "policy": policy, "out": out, "estimator": tuple(estimator) if estimator else None,
        "propensities": propensities, "seed": seed,
    })
    _say(run_ope(job))


@app.command()
def monitor(
    data: Data = None,
    rankings: Annotated[Path | None, typer.Option(help="Folder of the rerank whose lists were shown.")] = None,
    day: Annotated[str | None, typer.Option(help="The day to judge, e.g. 2024-05-31; else the last one.")] = None,
    history: Annotated[Path | None, typer.Option(help="Folder that 'ltexpo monitor' wrote for an earlier day.")] = None,
    out: Out = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Judge a day of real traffic: metrics.parquet, metrics.prom, monitor.json, tomorrow's prices.parquet."""
    job = read_settings(MonitorJob, config, {
        "data": data, "rankings": rankings, "day": day, "history": history, "out": out, "seed": seed,
    })
    _say(run_monitor(job))


@app.command()
def export(
    data: Data = None,
    rankings: Annotated[Path | None, typer.Option(help="Folder that 'ltexpo rerank' wrote.")] = None,
    out: Out = None,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", help="function_score or rank_feature (Elasticsearch, OpenSearch), redis, csv, parquet "
                                      "or jsonl; may be given several times."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="Look lists up by request or by user.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Write what search engines and lookups load: boosts, lists by key, and export.json, which says how."""
    job = read_settings(ExportJob, config, {
        "data": data, "rankings": rankings, "out": out, "formats": tuple(format_) if format_ else None, "key": key,
    })
    _say(run_export(job))


@app.command()
def report(
    run: Annotated[Path | None, typer.Option(help="Run folder, as 'ltexpo demo' writes it.")] = None,
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Write one self-contained page about a run."""
    _say(f"Report: {run_report(read_settings(ReportJob, config, {'run': run, 'data': data, 'out': out}))}")


@app.command()
def config(verb: Annotated[Verb, typer.Argument(help="The verb whose settings to print.")]) -> None:
    """Print a verb's settings as a documented YAML."""
    typer.echo(documented_yaml(JOBS[verb.value]), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; unless all is done (0), with one line on stderr.

    2 bad input, 3 goals that cannot be met, 4 a guardrail breached and nothing published, 1 the rest.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "-v" in words or "--verbose" in words
    log = logging.getLogger("ltexpo")
    if not log.handlers:
        log.addHandler(RichHandler(console=_stderr(), show_path=False, show_level=False, markup=False))
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    # A scheduler stops jobs with SIGTERM: leave as for an error, so that scratch folders and workers go too.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(args=words, standalone_mode=False)
    except typer.Abort:
        code = _refuse("stopped.", 1)
    except typer.TyperException as error:
        # A usage error words itself best through the method that adds the option's name and near misses.
        code = _refuse(str(getattr(error, "format_message", error.__str__)()), 2)
    except (Exception, KeyboardInterrupt) as error:
        if verbose:
            traceback.print_exc()
        code = _refuse(*outcome(error))
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


LONGEST = 1_000
"""Characters of a refusal; a value of a table can be of any length."""


def _refuse(message: str, code: int) -> int:
    line = _plain(" ".join(message.split()))
    if len(line) > LONGEST:
        half = LONGEST // 2
        line = f"{line[:half]} … {line[-half:]}"
    typer.echo(f"ltexpo: {line}", err=True)
    return code


def _plain(text: str) -> str:
    """`text` without what would steer a terminal: a title or an id may hold any character."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _tail_goal(share: float | None) -> list[dict[str, Any]] | None:
    return None if share is None else [{"group": "tail", "min_share": share}]


def _say(result: object) -> None:
    typer.echo(_plain(str(result)))


def _say_facts(facts: dict[str, Any]) -> None:
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))
