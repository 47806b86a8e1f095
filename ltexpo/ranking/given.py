"""A table of weights between items, made elsewhere → items next to those of the user's history."""

from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.data.history import History
from ltexpo.data.ids import IdMap
from ltexpo.errors import TableError
from ltexpo.graph.nearest import nearest
from ltexpo.graph.relations import given_relations
from ltexpo.ranking.scorer import Scorer
from ltexpo.sparse import Csr, csr, top_product


class GivenNeighbours(Scorer):
    """score(u, j) = Σ_i profile(u, i) · w_ij, with w (I, I) given in item code order, such as one relation of a graph.

    `name` is what the component is called. Fitted: `profiles_` (U, I). Raises `TableError` when the table does not fit
    the catalogue or holds a negative weight.
    """

    def __init__(self, name: str, weights: Csr, *, profile_half_life: float | None = None) -> None:
        self.name, self.weights, self.profile_half_life = name, csr(weights, dtype=np.float32), profile_half_life  # type: ignore[misc]

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        n = len(items)
        if self.weights.shape != (n, n):
            raise TableError(f"weights of '{self.name}' are {self.weights.shape}, items {n:,}; give one row per item.")
        if (self.weights.data < 0).any():
            raise TableError(f"weights of '{self.name}' hold {self.weights.data.min():g}; give weights of 0 or more.")
        return self.adopt(history)

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        self.profiles_ = history.profiles(self.profile_half_life)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        return top_product(self.profiles_[users], self.weights, n, skip=skip)


def given_scorers(edges: pd.DataFrame | None, item_ids: IdMap) -> list[GivenNeighbours]:
    """One component 'given_RELATION' for each relation of `edges` (source, relation, target), followed both ways."""
    if edges is None:
        return []
    relations, _ = given_relations(edges, item_ids)
    shape = (len(item_ids), len(item_ids))
    return [
        GivenNeighbours(f"given_{name}", both_ways(csr((found.weight, (found.source, found.target)), shape=shape)))
        for name, found in relations.items()
    ]


def both_ways(matrix: Csr, *, discount: float = 0.5) -> Csr:
    """Edges in either direction, c_ij / (n_i ** (1 − discount) · n_j ** discount), n the edges of each: CSR (I, I).

    0.5 is the symmetric normalisation of graph networks; above it, products with few edges gain.
    """
    whole = csr(matrix + matrix.T)
    n = np.maximum(np.asarray(whole.sum(axis=1)).ravel(), 1e-12)
    row = np.repeat(np.arange(whole.shape[0]), np.diff(whole.indptr))
    return csr(
        (whole.data / (n[row] ** (1 - discount) * n[whole.indices] ** discount), whole.indices, whole.indptr),
        shape=whole.shape,
    )


def nearest_weights(
    vectors: npt.NDArray[np.float32], n: int, *, sharpness: float = 4.0, also: npt.NDArray[np.bool_] | None = None,
) -> Csr:
    """cos ** sharpness of each item's `n` nearest by unit `vectors` (I, d), and of its `n` nearest in `also` (I,)."""
    rows = np.arange(len(vectors))
    total = csr((len(vectors), len(vectors)), dtype=np.float32)
    for allowed in (None,) if also is None else (None, also):
        found, alike = nearest(vectors, vectors, n, allowed=allowed, same=rows)
        near = (found >= 0) & (alike > 0)
        source = np.broadcast_to(rows[:, None], found.shape)[near]
        total = csr(total.maximum(csr((alike[near] ** sharpness, (source, found[near])), shape=total.shape)))
    return total
