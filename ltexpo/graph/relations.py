"""Events, vectors and given tables → weighted edges between products."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.ids import IdMap
from ltexpo.errors import ColumnError
from ltexpo.graph.nearest import nearest
from ltexpo.graph.pairs import PairSettings, count_pairs, interaction_weights
from ltexpo.sparse import Csr, csr, top_rows

_DAY_US = 86_400_000_000
_MINUTES_A_DAY = 1440.0

GIVEN_COLUMNS = ("source", "relation", "target")


@dataclass(frozen=True, eq=False)
class Edges:
    """E edges from product `source[e]` to node `target[e]`, both dense codes, with a weight > 0."""

    source: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def of(cls, matrix: Csr) -> "Edges":
        """Every stored entry of a sparse matrix (products, targets), by source, then target."""
        matrix = matrix.sorted_indices()
        source = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
        return cls(source, matrix.indices.astype(np.int32), matrix.data.astype(np.float32))


def bought_together(
    events: pd.DataFrame, item_ids: IdMap, settings: PairSettings, *, neighbours: int, shrinkage: float
) -> Edges:
    """Products that the same users bought (or rated) near each other: cosine of decayed counts."""
    bought = events[events[Columns.Event].isin([EventKind.Purchase, EventKind.Rating])]
    owner, item, day = _timed(bought, item_ids)
    return _together(owner, item, day, item_ids, settings, neighbours, shrinkage)


def viewed_together(
    events: pd.DataFrame, item_ids: IdMap, settings: PairSettings, *, session_minutes: float, neighbours: int,
    shrinkage: float,
) -> Edges:
    """Products that were clicked in one session: a user's clicks without a longer pause between them."""
    clicked = events[events[Columns.Event] == EventKind.Click]
    owner, item, day = _timed(clicked, item_ids)
    paused = np.diff(day, prepend=day[:1]) * _MINUTES_A_DAY > session_minutes
    session = np.cumsum(paused | (np.diff(owner, prepend=owner[:1]) != 0))
    return _together(session, item, day, item_ids, settings, neighbours, shrinkage)


def similar(vectors: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], *, neighbours: int, least: float) -> Edges:
    """Each product's nearest by cosine: unit `vectors` (I, d) of the products in `mask` (I,), cosine ≥ `least`."""
    rows = np.flatnonzero(mask)
    found, alike = nearest(vectors[rows], vectors, neighbours, allowed=mask, same=rows)
    near = (found >= 0) & (alike >= least)
    source = np.broadcast_to(rows[:, None], found.shape)[near]
    shape = (len(vectors), len(vectors))
    return Edges.of(csr((alike[near], (source, found[near])), shape=shape))


def given_relations(table: pd.DataFrame, item_ids: IdMap) -> tuple[Mapping[str, Edges], int]:
    """Edges of a table `source, relation, target` of item ids, by relation, and how many rows name no known item."""
    missing = [column for column in GIVEN_COLUMNS if column not in table.columns]
    if missing:
        raise ColumnError(
            f"edges lacks '{missing[0]}'; found {', '.join(map(str, table.columns))}. Give source, relation, target."
        )
    source = item_ids.codes_or_missing(table["source"].astype(str))
    target = item_ids.codes_or_missing(table["target"].astype(str))
    known = (source >= 0) & (target >= 0) & (source != target)
    relation = table["relation"].astype(str).to_numpy()
    shape = (len(item_ids), len(item_ids))
    edges = {}
    for name in sorted(set(relation[known])):
        rows = known & (relation == name)
        matrix = csr((np.ones(rows.sum()), (source[rows], target[rows])), shape=shape)
        matrix.data[:] = 1.0  # a row given twice counts once
        edges[name] = Edges.of(matrix)
    return edges, int((~known).sum())


def _timed(
    events: pd.DataFrame, item_ids: IdMap
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Owner, item and time in days, sorted by owner, time and item."""
    owner = pd.factorize(events[Columns.User], sort=True)[0].astype(np.int64)
    item = item_ids.codes(events[Columns.Item], what="events: item_id")
    day = events[Columns.Timestamp].to_numpy(dtype="datetime64[us]").astype(np.int64) / _DAY_US
    order = np.lexsort((item, day, owner))
    return owner[order], item[order], day[order]


def _together(
    owner: npt.NDArray[np.int64], item: npt.NDArray[np.int64], day: npt.NDArray[np.float64], item_ids: IdMap,
    settings: PairSettings, neighbours: int, shrinkage: float,
) -> Edges:
    n = len(item_ids)
    if not len(owner):
        return Edges.of(csr((n, n)))
    now = float(day.max())
    pairs = count_pairs(owner, item, day, settings, n_items=n, now=now)
    mass = np.bincount(item, weights=interaction_weights(owner, day, settings, now=now), minlength=n)
    mass = mass + shrinkage * mass[mass > 0].mean()
    row = np.repeat(np.arange(n), np.diff(pairs.indptr))
    cosine = pairs.data / np.sqrt(mass[row] * mass[pairs.indices])
    return Edges.of(top_rows(csr((cosine, pairs.indices, pairs.indptr), shape=pairs.shape), neighbours))
