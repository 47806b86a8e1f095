"""Lists → counts by key and examination cell, and EM on them: the evidence of the models without a walk.

Given the clicks above, a slot of the position-based and the user browsing model is clicked with γ_cell · a_key,
independently of the other slots, so that (key, cell, clicks, skips) is all a log says.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ltexpo.simulate.clicks.draw import ClickParameters
from ltexpo.simulate.clicks.em import Counts, Floats, Theta
from ltexpo.simulate.clicks.sessions import Codes, Sessions


@dataclass(frozen=True)
class CellEvidence:
    """n rows, one for each key and cell that met."""

    key: Codes
    """(n,)"""
    cell: Codes
    """(n,)"""
    clicked: Floats
    """(n,) impressions of the key in the cell that were clicked."""
    skipped: Floats
    """(n,) and that were not."""
    n_keys: int
    fixed: npt.NDArray[np.bool_]
    """(G,) the cell of rank 1 on each surface, which is always examined: only ratios of examination can be learnt."""
    rank: Codes
    """(G,) rank of each cell."""
    make: Callable[[Floats], tuple[ClickParameters, ...]]
    """(G,) cells → parameters of each surface."""

    @classmethod
    def of(
        cls, sessions: Sessions, cell: Codes, fixed: npt.NDArray[np.bool_], rank: Codes,
        make: Callable[[Floats], tuple[ClickParameters, ...]],
    ) -> "CellEvidence":
        """cell: (R, K) the cell of every slot."""
        shown = sessions.shown
        n_cells = len(fixed)
        code = sessions.items[shown].astype(np.int64) * n_cells + cell[shown]
        codes, row = np.unique(code, return_inverse=True)
        clicked = np.bincount(row, weights=sessions.clicks[shown], minlength=len(codes))
        skipped = np.bincount(row, weights=~sessions.clicks[shown], minlength=len(codes))
        return cls(
            codes // n_cells, codes % n_cells, clicked.astype(np.float64), skipped.astype(np.float64),
            len(sessions.keys), fixed, rank, make,
        )

    def start(self) -> Floats:
        """Half-way between never and always, above which the first step already goes."""
        return np.where(self.fixed, 1.0, 0.5)

    def expect(self, theta: Theta) -> Counts:
        """Expected examinations of every key and cell; an attraction is tried only where the slot was examined."""
        n_cells = len(self.fixed)
        counts = np.zeros((2, self.n_keys)), np.zeros((2, n_cells))
        value = _expect(self.key, self.cell, self.clicked, self.skipped, theta.attraction, theta.slots, *counts)
        keys, cells = counts
        none = np.zeros(0)
        return Counts((keys[0], keys[1]), (none, none), (cells[0], cells[1]), value)

    def scores(self, theta: Theta) -> sparse.csr_array:
        """Two rows for each of the evidence's, clicked and skipped, each times the root of how often it came."""
        a, gamma = theta.attraction[self.key], theta.slots[self.cell]
        miss = np.maximum(1 - a * gamma, 1e-12)
        weights = np.concatenate([np.sqrt(self.clicked), np.sqrt(self.skipped)])
        by_key = weights * np.concatenate([1 / a, -gamma / miss])
        by_cell = weights * np.concatenate([1 / gamma, -a / miss])
        rows = np.arange(len(weights))
        return sparse.csr_array(
            (
                np.concatenate([by_key, by_cell]),
                (
                    np.concatenate([rows, rows]),
                    np.concatenate([self.key, self.key, self.n_keys + self.cell, self.n_keys + self.cell]),
                ),
            ),
            shape=(len(weights), self.n_keys + len(self.fixed)),
        )

    def parameters(self, slots: Floats) -> tuple[ClickParameters, ...]:
        """One set per surface."""
        return self.make(slots)

    def learnable(self) -> npt.NDArray[np.bool_]:
        """(G,) cells that keys link to a fixed one: only their examination can be told apart from attraction.

        Keys that moved between two cells link them; so do chains of such keys.
        """
        n_cells = len(self.fixed)
        size = self.n_keys + n_cells
        graph = sparse.coo_array(
            (np.ones(len(self.key), dtype=np.int8), (self.key, self.n_keys + self.cell)), shape=(size, size)
        )
        part = connected_components(graph, directed=False)[1][self.n_keys:]
        return np.isin(part, part[self.fixed])

    def moved(self) -> float:
        """Share of the impressions that belong to keys seen at more than one rank."""
        rank = self.rank[self.cell]
        deepest = np.zeros(self.n_keys, dtype=np.int64)
        np.maximum.at(deepest, self.key, rank)
        moves = np.zeros(self.n_keys, dtype=np.bool_)
        moves[self.key[rank < deepest[self.key]]] = True
        total = self.clicked + self.skipped
        return float(total[moves[self.key]].sum() / total.sum())


@njit(cache=True, nogil=True)
def _expect(key, cell, clicked, skipped, attraction, gamma, keys, cells):
    value = 0.0
    for n in range(key.size):
        i, g = key[n], cell[n]
        a, e = attraction[i], gamma[g]
        seen = clicked[n]
        if clicked[n] > 0:
            value += clicked[n] * np.log(a * e)
        if skipped[n] > 0:
            miss = 1.0 - a * e
            value += skipped[n] * np.log(miss)
            seen += skipped[n] * e * (1.0 - a) / miss
        keys[0, i] += clicked[n]
        keys[1, i] += seen
        cells[0, g] += seen
        cells[1, g] += clicked[n] + skipped[n]
    return value
