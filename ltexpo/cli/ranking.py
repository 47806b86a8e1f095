"""Verbs that make the lists to be shown, explain and export them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ltexpo.cli.options import Config, Data, Engine, K, Master, Out, Partitions, Seed, Verbose
from ltexpo.cli.saying import say
from ltexpo.config import read_settings
from ltexpo.jobs.exporting import ExportJob, run_export
from ltexpo.jobs.frontier import FrontierJob, run_frontier
from ltexpo.jobs.reranking import ExplainJob, RerankJob, run_explain, run_rerank


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
    say(run_rerank(job))


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
    say(run_explain(job))


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
    say(run_frontier(job))


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
    say(run_export(job))


def _tail_goal(share: float | None) -> list[dict[str, Any]] | None:
    return None if share is None else [{"group": "tail", "min_share": share}]
