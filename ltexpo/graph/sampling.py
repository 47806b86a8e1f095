"""Seed products and sparse relations → the part of the graph that their vectors depend on, thinned by chance.

Neighbour sampling after Hamilton, Ying & Leskovec (2017): from every node that was reached, at most `fanout` edges of
each relation are followed. torch-geometric's own sampler needs compiled extensions that have no wheels everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ltexpo.sparse import Csr, csr

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Relation:
    """Weighted edges by which nodes of `target` hear from nodes of `source`: `matrix` (targets, sources)."""

    name: str
    target: str
    source: str
    matrix: Csr


@dataclass(frozen=True, eq=False)
class Subgraph:
    """Nodes of each type (their codes in the whole graph), and the relations among them in local codes."""

    nodes: Mapping[str, Codes]
    relations: tuple[Relation, ...]


def sample_neighbours(
    relations: tuple[Relation, ...], seeds: Mapping[str, Codes], *, hops: int, fanout: int,
    rng: np.random.Generator,
) -> Subgraph:
    """What the `seeds` (type → codes) hear within `hops`, at most `fanout` edges of each node and relation.

    Seeds come first in the local codes of their type, in the order given.
    """
    place: dict[str, dict[int, int]] = {kind: {int(code): i for i, code in enumerate(codes)}
                                        for kind, codes in seeds.items()}
    frontier = dict(seeds)
    found: dict[str, list[tuple[Codes, Codes, npt.NDArray[np.float32]]]] = {r.name + "→" + r.target: []
                                                                           for r in relations}
    for _ in range(hops):
        reached: dict[str, list[Codes]] = {}
        for relation in relations:
            rows = frontier.get(relation.target)
            if rows is None or not len(rows):
                continue
            start, picked = _pick(
                relation.matrix.indptr.astype(np.int64), rows, fanout, rng
            )
            edge_rows = np.repeat(rows, np.diff(start))
            columns = relation.matrix.indices[picked].astype(np.int64)
            weights = relation.matrix.data[picked].astype(np.float32)
            found[relation.name + "→" + relation.target].append((edge_rows, columns, weights))
            reached.setdefault(relation.source, []).append(columns)
        frontier = {}
        for kind, parts in reached.items():
            known = place.setdefault(kind, {})
            fresh = [int(code) for code in np.unique(np.concatenate(parts)) if int(code) not in known]
            for code in fresh:
                known[code] = len(known)
            frontier[kind] = np.array(fresh, dtype=np.int64)
    nodes = {kind: np.fromiter(known, dtype=np.int64, count=len(known)) for kind, known in place.items()}
    local = []
    for relation in relations:
        targets, sources = place.get(relation.target, {}), place.get(relation.source, {})
        parts_of = found[relation.name + "→" + relation.target]
        rows = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts_of)])
        columns = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts_of)])
        weights = np.concatenate([np.empty(0, np.float32), *(part[2] for part in parts_of)])
        matrix = csr(
            (weights, (_local(targets, rows), _local(sources, columns))), shape=(len(targets), len(sources))
        )
        local.append(Relation(relation.name, relation.target, relation.source, matrix))
    return Subgraph(nodes, tuple(local))


def _local(place: Mapping[int, int], codes: Codes) -> Codes:
    known, back = np.unique(codes, return_inverse=True)
    return np.fromiter((place[int(code)] for code in known), dtype=np.int64, count=len(known))[back]


@numba.njit(cache=True)
def _pick(indptr: Codes, rows: Codes, fanout: int, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Of each row's stored entries at most `fanout`, drawn without replacement → offsets (R+1,), entry numbers."""
    start = np.zeros(rows.size + 1, np.int64)
    for r in range(rows.size):
        start[r + 1] = start[r] + min(fanout, indptr[rows[r] + 1] - indptr[rows[r]])
    picked = np.empty(start[-1], np.int64)
    for r in range(rows.size):
        lo, size = indptr[rows[r]], indptr[rows[r] + 1] - indptr[rows[r]]
        out = start[r]
        if size <= fanout:
            for i in range(size):
                picked[out + i] = lo + i
            continue
        # Floyd's sampling: every subset of the size asked is equally likely
        for i in range(size - fanout, size):
            drawn = lo + rng.integers(0, i + 1)
            for j in range(out, start[r] + i - (size - fanout)):
                if picked[j] == drawn:
                    drawn = lo + i
                    break
            picked[start[r] + i - (size - fanout)] = drawn
    return start, picked
