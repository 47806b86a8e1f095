"""Bundles of items → who envies whom, and the bundles handed round until no circle of users would swap (FairRec+)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ltexpo.rerank.peers.peer import Floats


@dataclass(frozen=True, eq=False)
class Bundles:
    """held (R, I) 0/1; worth (R, R): value of v's bundle to user u; allowed (R, R): all of it are u's candidates."""

    held: csr_array
    worth: Floats
    allowed: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, values: csr_array, taken: npt.NDArray[np.bool_]) -> "Bundles":
        """From values (R, I) over candidates and the candidates each list holds (nnz,)."""
        # a copy: zeros are dropped in place
        held = csr_array((taken.astype(np.float64), values.indices, values.indptr), shape=values.shape, copy=True)
        held.eliminate_zeros()
        candidate = csr_array((np.ones(len(taken)), values.indices, values.indptr), shape=values.shape)
        size = np.diff(held.indptr)
        worth = np.asarray((values @ held.T).todense())
        allowed = np.asarray((candidate @ held.T).todense()) >= size[None, :]
        return cls(held, worth, allowed)


def without_envy_cycles(bundles: Bundles) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]:
    """Whose bundle each user has after all envy cycles are gone (None: unchanged), and an order with enviers first.

    Lipton, Markakis, Mossel & Saberi (EC 2004): on a cycle everyone takes the bundle of the user they envy; each swap
    lowers the number of envy edges, so it ends.
    """
    worth, allowed = bundles.worth.copy(), bundles.allowed.copy()
    owner = np.arange(len(worth))
    changed = False
    while True:
        envy = allowed & (worth > np.diagonal(worth)[:, None] + 1e-12)
        cycle = _cycle(envy)
        if cycle is None:
            return (owner if changed else None), _enviers_first(envy)
        changed = True
        to, source = cycle, np.roll(cycle, -1)
        owner[to], worth[:, to], allowed[:, to] = owner[source], worth[:, source], allowed[:, source]


def _cycle(envy: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64] | None:
    """Users u0, u1, … each envying the next and the last the first; None if there is no such circle."""
    _, part = connected_components(csr_array(envy.astype(np.int8)), directed=True, connection="strong")
    sizes = np.bincount(part)
    if sizes.max(initial=0) < 2:
        return None
    inside = np.flatnonzero(part == int(np.flatnonzero(sizes > 1)[0]))
    path = [int(inside[0])]
    seen = {path[0]: 0}
    while True:
        step = int(inside[np.argmax(envy[path[-1], inside])])
        if step in seen:
            return np.array(path[seen[step] :], np.int64)
        seen[step] = len(path)
        path.append(step)


def _enviers_first(envy: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Topological order of an acyclic envy graph, layer by layer, inside a layer by number."""
    envied = envy.sum(axis=0)
    waiting = np.ones(len(envy), np.bool_)
    order: list[npt.NDArray[np.int64]] = []
    while waiting.any():
        layer = np.flatnonzero(waiting & (envied == 0))
        order.append(layer)
        waiting[layer] = False
        envied = envied - envy[layer].sum(axis=0)
    return np.concatenate(order) if order else np.empty(0, np.int64)
