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
from safetensors.numpy import load_file, save

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.files import read_json, write_json
from ltexpo.data.history import EVENT_WEIGHTS, History
from ltexpo.data.ids import IdMap
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ColumnError, ConfigError, SplitError
from ltexpo.fusion.settings import FusionSettings, TrainingSettings
from ltexpo.graph import GraphSettings, ProductGraph
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.graph.product_graph import PRODUCT
from ltexpo.progress import Watch, stage
from ltexpo.ranking.asked import Asked, ReadQueries
from ltexpo.ranking.features import Vectors
from ltexpo.ranking.matching import Matcher
from ltexpo.ranking.parts import GRAPH, MATCH, RESERVED

if TYPE_CHECKING:  # bring torch
    from ltexpo.fusion.match import MatchModel
    from ltexpo.graph.encoder import GraphEncoder

EDGES_FILE, DIRECTIONS_FILE = "edges.json", "directions.safetensors"
_SAMPLE = 20_000

Floats = npt.NDArray[np.float32]


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
    compare_width: int = Field(64, ge=1)
    """Wider content vectors are projected onto so many principal directions where products are compared one by one."""
    event_weights: dict[str, float] = Field(dict(EVENT_WEIGHTS))
    """How much each kind of interaction counts; 0 or absent: not at all."""
    device: str = "auto"
    """Where the networks run: auto, cpu, cuda."""

    @property
    def query(self) -> str:
        """The vectors whose encoder reads what users type."""
        return (self.fusion or FusionSettings()).query


class Reader:
    """The two networks.

    Fitted: `graph_`, `match_`, each None where the settings leave it out; `given_`, relations of the given edges;
    `directions_`, name → (d, compare_width) of vectors that are projected.
    """

    def __init__(self, settings: ReaderSettings | None = None) -> None:
        self.settings = settings or ReaderSettings()
        self.graph_: GraphEncoder | None = None
        self.match_: MatchModel | None = None
        self.given_: tuple[str, ...] = ()
        self.directions_: dict[str, Floats] = {}

    def fit(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, *, users: pd.DataFrame | None = None,
        edges: pd.DataFrame | None = None, rng: int | np.random.Generator = 0,
    ) -> Self:
        """Learn from `events` alone; `content` is in the row order of `items`, `edges` are given (source, relation,
        target). On a reader that is fitted or loaded the match model goes on learning, and the graph network, which
        it reads, stays."""
        self.fit_read(items, events, content, users=users, edges=edges, rng=rng)
        return self

    def fit_read(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, *, users: pd.DataFrame | None = None,
        edges: pd.DataFrame | None = None, read_queries: ReadQueries | None = None,
        rng: int | np.random.Generator = 0, watch: Watch | None = None,
    ) -> tuple[Vectors, Matcher | None]:
        """`fit`, then `read` of the same tables. `read_queries`: by the encoder of the vectors that the match model
        takes queries for (`fusion.query`); none: what users typed is not looked at. `watch` is told the losses of both
        networks as they come."""
        settings, rng = self.settings, np.random.default_rng(rng)
        taken = sorted(set(content) & set(RESERVED))
        if taken:
            raise ConfigError(f"vectors may not be called '{taken[0]}', which names another part of the model.")
        if settings.graph is None and edges is not None:
            raise ConfigError("edges feed the graph network, which the settings leave out. Leave edges out too.")
        if self.graph_ is None and self.match_ is None:
            self.directions_ = {
                name: _principal(_unit(rows[there], there[there]), settings.compare_width)
                for name, (rows, there) in content.items() if rows.shape[1] > settings.compare_width
            }
        narrow = self._narrow(content)
        graph = None
        if settings.graph is not None:
            from ltexpo.graph.encoder import GraphEncoder

            with stage("product graph"):
                if edges is not None and "relation" not in edges.columns:
                    raise ColumnError(f"edges lacks 'relation'; found {', '.join(map(str, edges.columns))}.")
                if self.graph_ is None:
                    self.given_ = () if edges is None else tuple(sorted(edges["relation"].unique()))
                graph = self._graph(items, events, narrow, edges)
            if self.graph_ is None:
                with stage("graph network"):
                    self.graph_ = GraphEncoder(settings.network, device=settings.device).fit(
                        graph, _by_id(narrow, items), rng=rng, watch=watch
                    )
        extra = self._graph_vectors(graph, items, narrow)
        if settings.fusion is not None:
            from ltexpo.fusion.match import MatchModel

            history, queries = History.of(items, events, event_weights=settings.event_weights), None
            if read_queries is not None and Columns.Query in events.columns:
                from ltexpo.fusion.queries import Queries

                queries = Queries.of(history, events, read_queries)
            with stage("match model"):
                made = self.match_ or MatchModel(settings.fusion, settings.training, device=settings.device)
                self.match_ = made.fit(
                    items, history, {**content, **extra}, users=users, queries=queries, rng=rng, watch=watch
                )
        return self._read(items, content, narrow, extra, users)

    def continued(self, settings: ReaderSettings, *, before: pd.Timestamp) -> Self:
        """This reader, to go on learning by `settings` from events before `before`.

        Raises `ConfigError` when `settings` ask for other networks, `SplitError` when its own have seen later events.
        """
        for name in ("graph", "network", "fusion"):
            if getattr(settings, name) != getattr(self.settings, name):
                raise ConfigError(
                    f"'{name}' is not as in the model to continue from. Leave it as it was, or train from scratch."
                )
        if self.match_ is not None:
            seen = pd.Timestamp(self.match_.until_, unit="D", tz="UTC")
            if seen > before:
                raise SplitError(
                    f"the model to continue from has learnt from events up to {seen:%Y-%m-%d %H:%M}, later than the "
                    f"start of the label days ({before:%Y-%m-%d}). Give newer events or an older model."
                )
            self.match_.training = settings.training
        self.settings = settings
        return self

    def read(
        self, items: pd.DataFrame, events: pd.DataFrame, content: Content, *, users: pd.DataFrame | None = None,
        edges: pd.DataFrame | None = None, as_new: npt.NDArray[np.object_] | None = None,
    ) -> tuple[Vectors, Matcher | None]:
        """Unit vectors of every product by name, (I, d) in item_id order, 0 where it has none, and the matcher.

        The products `as_new` (item_ids) are read as if nobody had ever seen them.
        """
        if as_new is not None:
            events = events[~events[Columns.Item].isin(as_new)]
        narrow = self._narrow(content)
        graph = None if self.graph_ is None else self._graph(items, events, narrow, edges)
        return self._read(items, content, narrow, self._graph_vectors(graph, items, narrow), users, as_new)

    def asked(self, content: Content, read_queries: ReadQueries | None) -> Asked:
        """How what users type is read beside `content`. Raises `ConfigError`."""
        name = self.settings.query
        if name not in content:
            raise ConfigError(f"query '{name}' is not among the vectors; there are {', '.join(content) or 'none'}.")
        return Asked(name, content[name][0].shape[1], self.directions_.get(name), read_queries)

    def save(self, folder: Path) -> None:
        """Write edges.json, graph/ and match/ into `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(list(self.given_), folder / EDGES_FILE)
        for name, network in ((GRAPH, self.graph_), (MATCH, self.match_)):
            if network is not None:
                (folder / name).mkdir()
                network.write_into(folder / name)
        (folder / DIRECTIONS_FILE).write_bytes(save(self.directions_))  # save_file would let nobody else read it

    @classmethod
    def load(cls, folder: Path, settings: ReaderSettings) -> Self:
        """Read what `save` wrote of a reader with `settings`."""
        reader = cls(settings)
        reader.directions_ = load_file(folder / DIRECTIONS_FILE)
        reader.given_ = tuple(read_json(folder / EDGES_FILE))
        if settings.graph is not None:
            from ltexpo.graph.encoder import GraphEncoder

            reader.graph_ = GraphEncoder.load(folder / GRAPH, device=settings.device)
        if settings.fusion is not None:
            from ltexpo.fusion.match import MatchModel

            reader.match_ = MatchModel.load(folder / MATCH, device=settings.device)
        return reader

    def _read(
        self, items: pd.DataFrame, content: Content, narrow: Content, extra: Content, users: pd.DataFrame | None,
        as_new: npt.NDArray[np.object_] | None = None,
    ) -> tuple[Vectors, Matcher | None]:
        vectors = {name: rows for name, (rows, _) in _by_id({**narrow, **extra}, items).items()}
        if self.match_ is None:
            return vectors, None
        return vectors, Matcher.of(self.match_, items, {**content, **extra}, users, as_new=as_new)

    def _narrow(self, content: Content) -> Content:
        """Unit vectors of at most `compare_width`, 0 where there is none."""
        narrow = {}
        for name, (rows, there) in content.items():
            unit = _unit(rows, there)
            narrow[name] = (_unit(unit @ self.directions_[name], there) if name in self.directions_ else unit, there)
        return narrow

    def _graph(
        self, items: pd.DataFrame, events: pd.DataFrame, narrow: Content, edges: pd.DataFrame | None
    ) -> ProductGraph:
        if (edges is None) != (not self.given_):
            raise ConfigError(
                f"the graph network learnt from given edges ({', '.join(self.given_)}). Give today's with 'edges'."
                if self.given_ else "the graph network learnt without given edges. Leave 'edges' out."
            )
        return ProductGraph.build(
            items, events, until=None, settings=self.settings.graph, vectors=narrow, given=edges,
        )

    def _graph_vectors(self, graph: ProductGraph | None, items: pd.DataFrame, narrow: Content) -> Content:
        if graph is None or self.graph_ is None:
            return {}
        if GRAPH in narrow:
            raise ConfigError("vectors 'graph' are given, and settings ask for a graph network too. Set graph: null.")
        found = self.graph_.encode(graph, _by_id(narrow, items))
        place = graph.nodes[PRODUCT].codes(items[Columns.Item])
        return {GRAPH: (found[place], np.ones(len(items), dtype=bool))}


def _by_id(content: Content, items: pd.DataFrame) -> Content:
    """`content` from the row order of `items` to that of sorted ids."""
    order = np.argsort(IdMap.of(items[Columns.Item]).codes(items[Columns.Item]))
    return {name: (rows[order], there[order]) for name, (rows, there) in content.items()}


def _principal(unit: Floats, width: int) -> Floats:
    """(d, width): the directions in which evenly drawn rows of `unit` (n, d) are longest, so that cosines are kept."""
    some = unit[:: max(1, len(unit) // _SAMPLE)]
    _, directions = np.linalg.eigh(some.T.astype(np.float64) @ some)
    return np.ascontiguousarray(directions[:, ::-1][:, :width], dtype=np.float32)


def _unit(rows: npt.NDArray[np.float32], there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(there[:, None], rows / np.maximum(length, 1e-9), 0).astype(np.float32)
