"""Verbs that make candidates: data, vectors, the graph, the model, scored lists."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from ltexpo.cli.options import Config, Data, Engine, K, Master, Out, Partitions, Seed, Verbose
from ltexpo.cli.saying import say, say_facts
from ltexpo.config import read_settings
from ltexpo.jobs.demo import DemoJob, run_demo
from ltexpo.jobs.encoding import EncodeJob, run_encode
from ltexpo.jobs.graphing import GraphJob, run_graph
from ltexpo.jobs.importing import DescribeJob, ImportJob, run_describe, run_import
from ltexpo.jobs.recommending import RecommendJob, run_recommend
from ltexpo.jobs.training import TrainJob, run_train


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
    say(f"Report: {run_demo(job)}")


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
    say_facts(run_import(job))


def describe(
    data: Annotated[Path | None, typer.Argument(help="Dataset folder.")] = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Check a dataset folder and print sizes, time range, tail curve and what is missing."""
    say_facts(run_describe(read_settings(DescribeJob, config, {"data": data})))


def encode(
    data: Data = None, out: Out = None,
    text: Annotated[
        str | None, typer.Option(help="tfidf, minilm, a model's folder (for yesterday's model: tfidf/ of its vectors), "
                                       "an id of the Hugging Face hub, or none.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="A model's folder (for yesterday's model: pair/ of its vectors), an architecture "
                                      "of open_clip, or none.")
    ] = None,
    pretrained: Annotated[str | None, typer.Option(help="With an architecture: a tag or a file of weights.")] = None,
    train: Annotated[
        bool | None, typer.Option("--train", help="Train a small pair of encoders on this catalogue and use it; "
                                           "one trained on the same is used again.")
    ] = None,
    engine: Engine = None, master: Master = None, partitions: Partitions = None,
    config: Config = None, seed: Seed = None, verbose: Verbose = False,
) -> None:
    """Turn titles and pictures into vectors: text, image, title (.safetensors), items.parquet, encode.json."""
    job = read_settings(EncodeJob, config, {
        "data": data, "out": out, "text": text, "image": image, "pretrained": pretrained, "train": train, "seed": seed,
        "engine": engine, "master": master, "partitions": partitions,
    })
    say(run_encode(job))


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
    say(run_graph(job))


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
    say(run_train(job))


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
    say(run_recommend(job))
