"""Verbs that judge lists, before they are shown and after, and report."""

from pathlib import Path
from typing import Annotated

import typer

from ltexpo.cli.options import Config, Data, K, Out, Seed, Verbose
from ltexpo.cli.saying import say
from ltexpo.config import read_settings
from ltexpo.jobs.evaluating import EvaluateJob, run_evaluate
from ltexpo.jobs.examining import ExamineJob, run_examine
from ltexpo.jobs.judging import OpeJob, run_ope
from ltexpo.jobs.monitoring import MonitorJob, run_monitor
from ltexpo.jobs.reporting import ReportJob, run_report
from ltexpo.jobs.simulating import SimulateJob, run_simulate


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
    say(run_evaluate(job))


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
    say(run_examine(job))


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
    say(run_simulate(job))


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
    say(run_ope(job))


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
    say(run_monitor(job))


def report(
    run: Annotated[Path | None, typer.Option(help="Run folder, as 'ltexpo demo' writes it.")] = None,
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Write one self-contained page about a run."""
    say(f"Report: {run_report(read_settings(ReportJob, config, {'run': run, 'data': data, 'out': out}))}")
