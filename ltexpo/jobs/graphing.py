"""Dataset folder (+ vectors, given edges) → the product graph, and with `train` what a graph network reads from it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.encoders.item_vectors import Content, write_vectors
from ltexpo.graph import GraphSettings, ProductGraph
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.jobs.job import DataJob
from ltexpo.jobs.vectors import stored_content
from ltexpo.tracking import scalars

MODEL_FOLDER, VECTORS_FOLDER = "model", "vectors"


class GraphJob(GraphSettings, DataJob):
    """Settings of 'ltexpo graph'."""

    out: Path
    """Folder to write nodes.parquet, edges.parquet and graph.json to; with train also model/ and vectors/."""
    until: str | dt.datetime | dt.date | None = None
    """Only events before this moment make edges; null: all events."""
    vectors: Path | None = None
    """Folder that 'ltexpo encode' wrote: products that are alike get edges, and the network reads their content."""
    edges: Path | None = None
    """Parquet of further edges between products: source, relation, target, such as also_bought."""
    train: bool = False
    """Train a graph network, and write each product's vector: vectors/graph.safetensors, as 'ltexpo encode' does."""
    network: GraphEncoderSettings = Field(default_factory=GraphEncoderSettings)
    """The graph network."""
    tensorboard: Path | None = None
    """Folder for the event files of TensorBoard, which show the losses while training goes on; needs ltexpo[tracking].
    null: none."""


@dataclass(frozen=True)
class GraphResult:
    """The graph, and how its network's loss on held-out pairs fell; prints as a table."""

    graph: ProductGraph
    losses: tuple[float, ...] = ()

    def to_pandas(self) -> pd.DataFrame:
        """One row per relation."""
        return self.graph.statistics()

    def __str__(self) -> str:
        if not self.losses:
            return str(self.graph)
        return f"{self.graph}\nloss on held-out pairs: {self.losses[0]:.3f} → {min(self.losses):.3f}"


def run_graph(job: GraphJob) -> GraphResult:
    """Build and write, all or nothing."""
    with output_folder(job.out, verb="graph", inputs=(job.data, job.vectors, job.edges)) as folder:
        dataset = Dataset.load(job.data)
        content = stored_content([] if job.vectors is None else [job.vectors], dataset.items)
        graph = ProductGraph.build(
            dataset.items, dataset.events, until=job.until,
            settings=GraphSettings(**job.model_dump(include=set(GraphSettings.model_fields))),
            vectors=content, given=None if job.edges is None else read_frame(job.edges),
        )
        graph.write_into(folder)
        losses: tuple[float, ...] = ()
        if job.train:
            losses = _train(job, graph, dataset.items, content, folder)
    return GraphResult(graph, losses)


def _train(
    job: GraphJob, graph: ProductGraph, items: pd.DataFrame, content: Content, folder: Path
) -> tuple[float, ...]:
    from ltexpo.graph.encoder import GraphEncoder

    place = np.argsort(graph.nodes["product"].codes(items[Columns.Item]))
    by_code = {name: (vectors[place], there[place]) for name, (vectors, there) in content.items()}
    with scalars(job.tensorboard) as watch:
        encoder = GraphEncoder(job.network).fit(graph, by_code, rng=job.seed, watch=watch)
    (folder / MODEL_FOLDER).mkdir()
    (folder / VECTORS_FOLDER).mkdir()
    encoder.write_into(folder / MODEL_FOLDER)
    vectors = encoder.encode(graph, by_code)
    states = np.full(len(vectors), State.OK, dtype=np.uint8)
    write_vectors(
        folder / VECTORS_FOLDER, graph.nodes["product"].ids, {"graph": Encoded(vectors, states, len(vectors))},
        {"items": len(vectors), "until": graph.until, "network": job.network.model_dump(mode="json")},
    )
    return tuple(encoder.history_)
