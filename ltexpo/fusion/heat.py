"""Interactions + what products have in common → how much each product, and what it is related to, is taken lately.

A popularity that a model must learn product by product is noise for all that were taken once or never; given as an
input, it is learnt as one function, and relatives stand in for products without any interaction.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.data.history import History
from ltexpo.fusion.inputs import ItemInputs
from ltexpo.sparse import Csr

Floats = npt.NDArray[np.float32]

WINDOWS = (1.0, 7.0, 30.0)
"""Days over which a product's own interactions are counted, beside all of them."""
HALF_LIFE = 3.0
"""Days after which an interaction counts half in the heat of relatives."""
BESIDE = (1, 5)
"""Knots of the order of arrival, to each side, over which the heat of neighbours in time is averaged."""
_PER = 1e5
OWN = len(WINDOWS) + 1
"""Features of a product itself; the rest tell of its relatives."""


@dataclass(frozen=True, eq=False)
class Heat:
    """Shares of interactions, by the names that a vocabulary knows."""

    own: Floats
    """(P, OWN) of each product with behaviour: share of the interactions of each window, then of all."""
    count: Floats
    """(P,) interactions."""
    values: Floats
    """(V, 2) of each attribute value: decayed share, and products that hold it."""
    product: Floats
    """(P,) decayed share, which a product's relatives do without."""
    arrival: Floats
    """(K,) decayed share for each product about each knot of the order of arrival."""

    @classmethod
    def of(cls, history: History, inputs: ItemInputs, keep: npt.NDArray[np.bool_]) -> "Heat":
        """From the interactions marked in `keep` (N,); `inputs` of the catalogue in the code order of `history`."""
        item, age = history.item[keep], history.now - history.day[keep]
        n, known = history.n_items, np.flatnonzero(inputs.product >= 0)
        counts = [np.bincount(item[age < days], minlength=n) for days in WINDOWS] + [np.bincount(item, minlength=n)]
        heat = np.bincount(item, weights=0.5 ** (age / HALF_LIFE), minlength=n)
        decayed = np.asarray(heat / max(float(heat.sum()), 1e-9), dtype=np.float64)
        n_products = int(inputs.product.max(initial=-1)) + 1
        own, count = np.zeros((n_products, OWN), np.float32), np.zeros(n_products, np.float32)
        product = np.zeros(n_products, np.float32)
        at = inputs.product[known]
        for column, counted in enumerate(counts):
            own[at, column] = counted[known] / max(int(counted.sum()), 1)
        count[at], product[at] = counts[-1][known], decayed[known]
        held = inputs.attributes.astype(bool).T
        values = np.stack([held @ decayed, held @ np.ones(n)], axis=1)
        knot = np.floor(inputs.arrival * (inputs.knots - 1)).astype(np.int64)
        there = inputs.arrival >= 0
        of_knot = np.bincount(knot[there], weights=decayed[there], minlength=inputs.knots)
        in_knot = np.bincount(knot[there], minlength=inputs.knots)
        about = (of_knot / np.maximum(in_knot, 1)).astype(np.float32)
        return cls(own, count, values.astype(np.float32), product, about)

    def counts(self, inputs: ItemInputs) -> Floats:
        """(I,) interactions of each product."""
        return _of_products(self.count, inputs)

    def features(self, inputs: ItemInputs) -> Floats:
        """(I, OWN + arrival + columns): logs of shares; 0 where nothing is known."""
        own, mine = _of_products(self.own, inputs), _of_products(self.product, inputs)
        held: Csr = inputs.attributes
        row = np.repeat(np.arange(len(inputs)), np.diff(held.indptr))
        # the mean heat of the others that hold the value
        others = np.maximum(self.values[held.indices, 0] - mine[row], 0) / np.maximum(
            self.values[held.indices, 1] - 1, 1
        )
        place = row * inputs.columns + inputs.column_of[held.indices]
        kin = np.bincount(place, weights=others * held.data, minlength=len(inputs) * inputs.columns)
        beside = np.zeros((len(inputs), len(BESIDE)))
        there = inputs.arrival >= 0
        knot = np.floor(inputs.arrival[there] * (inputs.knots - 1)).astype(np.int64)
        for column, side in enumerate(BESIDE):
            kernel = np.ones(2 * side + 1)
            smooth = np.convolve(self.arrival, kernel)[side : side + len(self.arrival)]
            smooth = smooth / np.convolve(np.ones(len(self.arrival)), kernel)[side : side + len(self.arrival)]
            beside[there, column] = smooth[knot]
        # columns last: a model that is trained on may come to know further ones
        everything = np.concatenate([own, beside, kin.reshape(len(inputs), inputs.columns)], axis=1)
        return np.log1p(_PER * everything).astype(np.float32)


def _of_products(values: Floats, inputs: ItemInputs) -> Floats:
    """Rows of `values` (P, …) for every product (I, …), 0 for those without interactions."""
    out = np.zeros((len(inputs), *values.shape[1:]), dtype=np.float32)
    known = inputs.product >= 0
    out[known] = values[inputs.product[known]]
    return out
