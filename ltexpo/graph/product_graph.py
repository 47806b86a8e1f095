"""Catalogue and training events → the typed graph of products and their attributes."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.attributes import attribute_values
from ltexpo.data.files import read_json, write_json
from ltexpo.data.ids import IdMap
from ltexpo.data.output_folder import output_folder
from ltexpo.data.split import as_utc
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import SplitError, TableError
from ltexpo.graph.pairs import PairSettings
from ltexpo.graph.relations import Edges, bought_together, given_relations, similar, viewed_together
from ltexpo.sparse import Csr, csr

PRODUCT = "product"
BOUGHT, VIEWED = "bought_together", "viewed_together"
NODES_FILE, EDGES_FILE, GRAPH_FILE = "nodes.parquet", "edges.parquet", "graph.json"


class GraphSettings(Settings):
    """How the product graph is built."""

    max_share: float = Field(0.2, gt=0, le=1)
    """Attribute values on more than this share of products join too many and are left out."""
    pairs: PairSettings = PairSettings()
    """Which purchases, or clicks of a session, make a pair."""
    session_minutes: float = Field(30.0, gt=0)
    """A longer pause between two clicks of a user begins a new session."""
    neighbours: int = Field(20, ge=1)
    """The strongest this many edges of each product and relation are kept."""
    shrinkage: float = Field(1.0, ge=0)
    """Mean counts added to each product before the cosine, so that a single pair of rare products proves little."""
    similar_neighbours: int = Field(10, ge=1)
    """The most alike this many products, for every set of vectors."""
    similar_least: float = Field(0.3, ge=-1, le=1)
    """Least cosine at which two products are alike."""


@dataclass(frozen=True, eq=False)
class ProductGraph:
    """Products, attribute values, and the edges from products to either.

    An attribute relation is named after its column (`brand`, `category` …) and leads to nodes of that type; every
    other relation leads to products. Edges among products are directed: each product's strongest.
    """

    nodes: Mapping[str, IdMap]
    """Node type → ids; 'product' holds the full catalogue."""
    edges: Mapping[str, Edges]
    """Relation → edges."""
    until: str | None
    """Events from this moment on were not looked at; None: all events were."""
    notes: Mapping[str, int]
    """What was left out → how many."""

    @classmethod
    def build(
        cls, items: pd.DataFrame, events: pd.DataFrame | None = None, *, until: str | dt.date | None,
        settings: GraphSettings | None = None,
        vectors: Content | None = None,
        given: pd.DataFrame | None = None,
    ) -> "ProductGraph":
        """The graph of the full catalogue `items`, with edges from events before `until` only (None: all of them).

        `vectors`: name → unit vectors (I, d) in the row order of `items` and which rows are valid (I,): one relation
        'similar_NAME' each. `given`: a table source, relation, target of item ids, such as also_bought. Raises
        `TableError` or `ColumnError` on what cannot be used, `SplitError` when no event lies before `until`.
        """
        settings = settings or GraphSettings()
        item_ids = IdMap.of(items[Columns.Item])
        place = item_ids.codes(items[Columns.Item])
        nodes, edges = {PRODUCT: item_ids}, {}
        notes: dict[str, int] = {}
        most = max(1, int(settings.max_share * len(items)))
        for column, rows, values in attribute_values(items):
            codes, names = pd.factorize(values, sort=True)
            held = np.bincount(codes, minlength=len(names))
            # a value on one product alone joins it to nothing
            kept = (held >= 2) & (held <= most)
            if not kept.any():
                continue
            usable = kept[codes]
            code = np.cumsum(kept) - 1
            nodes[column] = IdMap(pd.Index(names[kept]))
            shape = (len(items), int(kept.sum()))
            matrix = csr((np.ones(usable.sum()), (place[rows[usable]], code[codes[usable]])), shape=shape)
            edges[column] = Edges.of(matrix)
        if events is not None:
            known = events
            if until is not None:
                moment = as_utc(until)
                known = events[events[Columns.Timestamp] < moment]
                if known.empty:
                    first = events[Columns.Timestamp].min()
                    raise SplitError(
                        f"no event before until = {moment:%Y-%m-%d %H:%M}; the first is at {first:%Y-%m-%d %H:%M}. "
                        "Give a later moment, or leave the events out for a graph of the catalogue alone."
                    )
                notes["events from 'until' on, not looked at"] = len(events) - len(known)
            edges[BOUGHT] = bought_together(
                known, item_ids, settings.pairs, neighbours=settings.neighbours, shrinkage=settings.shrinkage
            )
            edges[VIEWED] = viewed_together(
                known, item_ids, settings.pairs, session_minutes=settings.session_minutes,
                neighbours=settings.neighbours, shrinkage=settings.shrinkage,
            )
        for name, (rows_of, mask) in (vectors or {}).items():
            if len(rows_of) != len(items) or len(mask) != len(items):
                raise TableError(f"vectors '{name}': {len(rows_of):,} rows for {len(items):,} items. Encode again.")
            by_code, valid = np.empty_like(rows_of), np.empty_like(mask)
            by_code[place], valid[place] = rows_of, mask
            edges[f"similar_{name}"] = similar(
                by_code, valid, neighbours=settings.similar_neighbours, least=settings.similar_least
            )
        if given is not None:
            more, unknown = given_relations(given, item_ids)
            clash = sorted(set(more) & set(edges))
            if clash:
                raise TableError(f"edges: relation '{clash[0]}' is one that the graph makes itself. Rename it.")
            edges |= more
            notes["given edges without a known product on both ends"] = unknown
        edges = {name: found for name, found in edges.items() if len(found)}
        return cls(nodes, edges, None if until is None else str(as_utc(until)), notes)

    @property
    def n_products(self) -> int:
        """I."""
        return len(self.nodes[PRODUCT])

    def target_type(self, relation: str) -> str:
        """Type of the nodes that a relation leads to."""
        return relation if relation in self.nodes else PRODUCT

    def matrix(self, relation: str) -> Csr:
        """CSR (I, targets) of one relation's weights."""
        edges = self.edges[relation]
        shape = (self.n_products, len(self.nodes[self.target_type(relation)]))
        return csr((edges.weight, (edges.source, edges.target)), shape=shape)

    def statistics(self) -> pd.DataFrame:
        """One row per relation: target nodes, edges, mean edges of the products that have one, share of products."""
        rows = []
        for name, edges in self.edges.items():
            having = len(np.unique(edges.source))
            rows.append({
                "relation": name,
                "leads_to": self.target_type(name),
                "targets": len(np.unique(edges.target)),
                "edges": len(edges),
                "mean_edges": len(edges) / having,
                "products_with": having / self.n_products,
            })
        return pd.DataFrame(rows, columns=[
            "relation", "leads_to", "targets", "edges", "mean_edges", "products_with",
        ])

    def __str__(self) -> str:
        shown = self.statistics()
        shown["mean_edges"] = shown["mean_edges"].map("{:.1f}".format)
        shown["products_with"] = shown["products_with"].map("{:.1%}".format)
        head = f"{self.n_products:,} products; events: {'all' if self.until is None else f'before {self.until}'}"
        return f"{head}\n{shown.to_string(index=False)}"

    def save(self, out: Path) -> Path:
        """Write nodes.parquet (type, id), edges.parquet (relation, source, target, weight) and graph.json."""
        with output_folder(out, verb="graph") as folder:
            self.write_into(folder)
        return Path(out)

    def write_into(self, folder: Path) -> None:
        """The files of `save`, into a folder that the caller makes appear at once."""
        nodes = [pd.DataFrame({"type": kind, "id": ids.ids}) for kind, ids in self.nodes.items()]
        parts = [
            pd.DataFrame({
                "relation": name,
                "source": self.nodes[PRODUCT].decode(edges.source),
                "target": self.nodes[self.target_type(name)].decode(edges.target),
                "weight": edges.weight,
            })
            for name, edges in self.edges.items()
        ]
        empty = pd.DataFrame({"relation": [], "source": [], "target": []}, dtype=str).assign(weight=np.zeros(0))
        write_frame(pd.concat(nodes, ignore_index=True), folder / NODES_FILE)
        write_frame(pd.concat(parts, ignore_index=True) if parts else empty, folder / EDGES_FILE)
        facts: dict[str, Any] = {
            "until": self.until, "products": self.n_products, "left_out": dict(self.notes),
            "relations": self.statistics().to_dict("records"),
        }
        write_json(facts, folder / GRAPH_FILE)

    @classmethod
    def load(cls, folder: Path) -> "ProductGraph":
        """Read what `save` wrote; raises `TableError`."""
        facts = read_json(Path(folder) / GRAPH_FILE)
        nodes_table, edges_table = read_frame(Path(folder) / NODES_FILE), read_frame(Path(folder) / EDGES_FILE)
        nodes = {str(kind): IdMap(pd.Index(ids)) for kind, ids in nodes_table.groupby("type", sort=False)["id"]}
        edges = {}
        for relation, rows in edges_table.groupby("relation", sort=False):
            target = nodes[str(relation)] if relation in nodes else nodes[PRODUCT]
            edges[str(relation)] = Edges(
                nodes[PRODUCT].codes(rows["source"], what=f"{EDGES_FILE}: source").astype(np.int32),
                target.codes(rows["target"], what=f"{EDGES_FILE}: target").astype(np.int32),
                rows["weight"].to_numpy(np.float32),
            )
        return cls(nodes, edges, facts["until"], facts["left_out"])
