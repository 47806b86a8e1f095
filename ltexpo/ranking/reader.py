"""Catalogue + content vectors + interactions → what the networks read of every product: vectors, and who matches it.

The graph network first (its vectors become one more content token), then the match model on top. Both are inductive:
they read products and users that came after their training.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.history import EVENT_WEIGHTS, History
from ltexpo.data.ids import IdMap
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError
from ltexpo.fusion.settings import FusionSettings, TrainingSettings
from ltexpo.graph import GraphSettings, ProductGraph
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.progress import stage
from ltexpo.ranking.features import Vectors
from ltexpo.ranking.matching import Matcher

if TYPE_CHECKING:  # bring torch
    from ltexpo.fusion.match import MatchModel
    from ltexpo.graph.encoder import GraphEncoder

GRAPH, MATCH = "graph", "match"


class ReaderSettings(Settings):
    """The networks."""

    graph: GraphSettings | None = GraphSettings()
    """How the product graph is built; null: without one."""
    network: GraphEncoderSettings = GraphEncoderSettings()
    """The graph network and its training."""
    fusion: FusionSettings | None = FusionSettings()
    """The towers of the match model; null: without them."""
    training: TrainingSettings = TrainingSettings()
    """The training of the match model."""
    event_weights: dict[str, float] = Field(dict(EVENT_WEIGHTS))
    """How much each kind of interaction counts; 0 or absent: not at all."""
    device: str = "auto"
    """Where the networks run: auto, cpu, cuda."""


class Reader:
    """The two networks. Fitted: `graph_`, `match_`, each None where the settings leave it out."""

    graph_: "GraphEncoder | None"
    match_: "MatchModel | None"

    def __init__(self, settings: ReaderSettings | None = None) -> None:
        self.settings = settings or ReaderSettings()

    def fit(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, *, users: pd.DataFrame | None = None,
        edges: pd.DataFrame | None = None, rng: int | np.random.Generator = 0,
    ) -> Self:
        """Learn from `events` alone; `content` is in the row order of `items`, `edges` are given (source, relation,
        target). On a reader that is fitted the match model goes on learning."""
        settings, rng = self.settings, np.random.default_rng(rng)
        before = getattr(self, "match_", None)
        self.graph_, self.match_ = None, None
        if settings.graph is not None:
            from ltexpo.graph.encoder import GraphEncoder

            with stage("product graph"):
                graph = self._graph(items, events, content, edges)
                self.graph_ = GraphEncoder(settings.network, device=settings.device).fit(
                    graph, _by_id(content, items), rng=rng
                )
        if settings.fusion is not None:
            from ltexpo.fusion.match import MatchModel

            history = History.of(items, events, event_weights=settings.event_weights)
            with stage("match model"):
                made = before or MatchModel(settings.fusion, settings.training, device=settings.device)
                self.match_ = made.fit(
                    items, history, self._with_graph(items, events, content, edges), users=users, rng=rng
                )
        return self

    def read(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, *, users: pd.DataFrame | None = None,
        edges: pd.DataFrame | None = None,
    ) -> tuple[Vectors, Matcher | None]:
        """Unit vectors of every product by name, (I, d) in item_id order, 0 where it has none, and the matcher."""
        every = self._with_graph(items, events, content, edges)
        place = IdMap.of(items[Columns.Item]).codes(items[Columns.Item])
        order = np.argsort(place)
        vectors = {name: _unit(rows, there)[order] for name, (rows, there) in every.items()}
        if self.match_ is None:
            return vectors, None
        matcher = Matcher.of(self.match_, items, every, users)
        return {**vectors, MATCH: matcher.directions}, matcher

    def save(self, folder: Path) -> None:
        """Write graph/ and match/ into `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, network in ((GRAPH, self.graph_), (MATCH, self.match_)):
            if network is not None:
                (folder / name).mkdir()
                network.write_into(folder / name)

    @classmethod
    def load(cls, folder: Path, settings: ReaderSettings) -> Self:
        """Read what `save` wrote of a reader with `settings`."""
        reader = cls(settings)
        reader.graph_, reader.match_ = None, None
        if settings.graph is not None:
            from ltexpo.graph.encoder import GraphEncoder

            reader.graph_ = GraphEncoder.load(folder / GRAPH, device=settings.device)
        if settings.fusion is not None:
            from ltexpo.fusion.match import MatchModel

            reader.match_ = MatchModel.load(folder / MATCH, device=settings.device)
        return reader

    def _graph(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, edges: pd.DataFrame | None
    ) -> ProductGraph:
        return ProductGraph.build(
            items, events, until=None, settings=self.settings.graph,
            vectors={name: (_unit(rows, there), there) for name, (rows, there) in content.items()}, given=edges,
        )

    def _with_graph(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, edges: pd.DataFrame | None
    ) -> Content:
        if self.graph_ is None:
            return content
        if GRAPH in content:
            raise ConfigError("vectors 'graph' are given, and settings ask for a graph network too. Set graph: null.")
        found = self.graph_.encode(self._graph(items, events, content, edges), _by_id(content, items))
        place = IdMap.of(items[Columns.Item]).codes(items[Columns.Item])
        return {**content, GRAPH: (found[place], np.ones(len(items), dtype=bool))}


def _by_id(content: Content, items: pd.DataFrame) -> Content:
    """`content` from the row order of `items` to that of sorted ids."""
    order = np.argsort(IdMap.of(items[Columns.Item]).codes(items[Columns.Item]))
    return {name: (rows[order], there[order]) for name, (rows, there) in content.items()}


def _unit(rows: npt.NDArray[np.float32], there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(there[:, None], rows / np.maximum(length, 1e-9), 0).astype(np.float32)
