"""Catalogue and its vectors → what the item tower reads of every product."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.attributes import attribute_values
from ltexpo.data.ids import IdMap
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import TableError
from ltexpo.sparse import Csr, csr

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Vocabulary:
    """What a model knows by name: attribute values, the scale of prices, and the products with behaviour."""

    values: pd.Index
    """'column\\tvalue' of every attribute value."""
    price: tuple[float, float]
    """Mean and standard deviation of log(1 + price)."""
    products: pd.Index
    """item_id of the products that have a behaviour vector."""

    @classmethod
    def of(cls, items: pd.DataFrame, taken: npt.ArrayLike) -> "Vocabulary":
        """The vocabulary of a catalogue; `taken`: item_ids with training interactions."""
        held = pd.concat([_named(column, values) for column, _, values in attribute_values(items)] or [_NONE])
        counts = held.value_counts()
        values = pd.Index(sorted(counts.index[counts >= 2]), dtype=object)
        known = _log_price(items)
        known = known[np.isfinite(known)]
        scale = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
        return cls(values, scale, pd.Index(sorted(pd.unique(pd.Series(taken))), dtype=object))


@dataclass(frozen=True, eq=False)
class ItemInputs:
    """One row for each of I products, in the order of `item_ids`."""

    item_ids: IdMap
    content: Content
    attributes: Csr
    """(I, V) 1 where a product holds a known attribute value."""
    price: Floats
    """(I, 2) standardised log price, and 1 where there is one."""
    behaviour: npt.NDArray[np.int64]
    """(I,) row of the product's behaviour vector, −1 for a product without."""

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def of(cls, items: pd.DataFrame, vocabulary: Vocabulary, content: Content) -> "ItemInputs":
        """Inputs of the catalogue `items`; `content` in the row order of `items`. Raises `TableError`."""
        item_ids = IdMap.of(items[Columns.Item])
        place = item_ids.codes(items[Columns.Item])
        order = np.argsort(place)
        for name, (vectors, there) in content.items():
            if len(vectors) != len(items) or len(there) != len(items):
                raise TableError(f"vectors '{name}': {len(vectors):,} rows for {len(items):,} items. Encode again.")
        rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for column, held, values in attribute_values(items):
            code = vocabulary.values.get_indexer(pd.Index(_named(column, values)))
            rows.append(place[held[code >= 0]])
            columns.append(code[code >= 0])
        row, code = np.concatenate(rows), np.concatenate(columns)
        attributes = csr(
            (np.ones(len(row), np.float32), (row, code)), shape=(len(items), len(vocabulary.values))
        )
        price = np.zeros((len(items), 2), dtype=np.float32)
        given = _log_price(items)[order]
        priced = np.isfinite(given)
        price[priced, 0] = (given[priced] - vocabulary.price[0]) / vocabulary.price[1]
        price[priced, 1] = 1
        return cls(
            item_ids, {name: (vectors[order], there[order]) for name, (vectors, there) in content.items()},
            attributes, price, vocabulary.products.get_indexer(pd.Index(item_ids.ids)).astype(np.int64),
        )


_NONE: "pd.Series[str]" = pd.Series([], dtype=object)


def _named(column: str, values: "pd.Series[str]") -> "pd.Series[str]":
    return column + "\t" + values.astype(object)


def _log_price(items: pd.DataFrame) -> npt.NDArray[np.float64]:
    if Columns.Price not in items.columns:
        return np.full(len(items), np.nan)
    priced: npt.NDArray[np.float64] = np.log1p(items[Columns.Price].to_numpy(np.float64, na_value=np.nan))
    return priced
