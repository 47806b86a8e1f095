"""Catalogue and its vectors → what the item tower reads of every product."""

from dataclasses import dataclass
from typing import Literal

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

Arrival = Literal["auto", "created_at", "id", "none"]

KNOTS = 4_096
"""Most products that mark the order of arrival."""
WAVES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Half periods of the waves that tell a place in the order of arrival."""
LONGEST = 32
"""Marks that half a period holds at least."""


@dataclass(frozen=True)
class Vocabulary:
    """What a model knows by name: attribute values, prices, the products with behaviour, the order of arrival."""

    values: pd.Index
    """'column\\tvalue' of every attribute value."""
    price: tuple[float, float]
    """Mean and standard deviation of log(1 + price)."""
    products: pd.Index
    """item_id of the products that have interactions."""
    arrivals: pd.Index
    """Marks that are met, evenly spaced, when a catalogue is walked in order of arrival (see `_marks`); sorted."""

    @classmethod
    def of(cls, items: pd.DataFrame, taken: npt.ArrayLike, *, arrival: Arrival = "auto") -> "Vocabulary":
        """The vocabulary of a catalogue; `taken`: item_ids with training interactions."""
        held = pd.concat([_named(column, values) for column, _, values in attribute_values(items)] or [_NONE])
        counts = held.value_counts()
        values = pd.Index(sorted(counts.index[counts >= 2]), dtype=object)
        known = _log_price(items)
        known = known[np.isfinite(known)]
        scale = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
        marks = np.sort(_marks(items, arrival).dropna().to_numpy(dtype=object))
        if len(marks) > KNOTS:
            marks = marks[np.linspace(0, len(marks) - 1, KNOTS).astype(np.int64)]
        products = pd.Index(sorted(pd.unique(pd.Series(taken))), dtype=object)
        return cls(values, scale, products, pd.Index(marks, dtype=object))

    @property
    def columns(self) -> "pd.Index[str]":
        """Columns of the attribute values, in order of appearance."""
        return pd.Index(list(dict.fromkeys(_column_of(self.values))), dtype=object)


@dataclass(frozen=True, eq=False)
class ItemInputs:
    """One row for each of I products, in the order of `item_ids`."""

    item_ids: IdMap
    content: Content
    attributes: Csr
    """(I, V) a product's known attribute values: those of one column sum to 1."""
    column_of: npt.NDArray[np.int64]
    """(V,) the column of each value."""
    columns: int
    price: Floats
    """(I, 2) standardised log price, and 1 where there is one."""
    product: npt.NDArray[np.int64]
    """(I,) place in the vocabulary's products, −1 for a product without interactions."""
    arrival: Floats
    """(I,) place in the order of arrival, 0 to 1; −1 where unknown."""
    knots: int
    """Marks in the vocabulary's order of arrival."""

    def waves(self) -> Floats:
        """(I, 2 · waves + 1) sine and cosine of the place in the order of arrival, and 1 where it is known."""
        there = self.arrival >= 0
        # what turns within a few products would tell them apart instead of dating them
        slow = np.array(WAVES) * LONGEST <= self.knots
        angle = np.pi * np.where(there, self.arrival, 0)[:, None] * np.array(WAVES)
        both = np.concatenate([np.sin(angle) * slow, np.cos(angle) * slow], axis=1)
        return np.concatenate([both * there[:, None], there[:, None]], axis=1).astype(np.float32)

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def of(
        cls, items: pd.DataFrame, vocabulary: Vocabulary, content: Content, *, arrival: Arrival = "auto"
    ) -> "ItemInputs":
        """Inputs of the catalogue `items`; `content` in the row order of `items`. Raises `TableError`."""
        item_ids = IdMap.of(items[Columns.Item])
        place = item_ids.codes(items[Columns.Item])
        order = np.argsort(place)
        for name, (vectors, there) in content.items():
            if len(vectors) != len(items) or len(there) != len(items):
                raise TableError(f"vectors '{name}': {len(vectors):,} rows for {len(items):,} items. Encode again.")
        rows, codes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        weights = [np.empty(0, np.float32)]
        for column, held, values in attribute_values(items):
            code = vocabulary.values.get_indexer(pd.Index(_named(column, values)))
            row = place[held[code >= 0]]
            rows.append(row)
            codes.append(code[code >= 0])
            weights.append((1 / np.bincount(row, minlength=len(items))[row]).astype(np.float32))
        attributes = csr(
            (np.concatenate(weights), (np.concatenate(rows), np.concatenate(codes))),
            shape=(len(items), len(vocabulary.values)),
        )
        price = np.zeros((len(items), 2), dtype=np.float32)
        given = _log_price(items)[order]
        priced = np.isfinite(given)
        price[priced, 0] = (given[priced] - vocabulary.price[0]) / vocabulary.price[1]
        price[priced, 1] = 1
        marks, arrived = _marks(items, arrival).iloc[order], np.full(len(items), -1, dtype=np.float32)
        if len(vocabulary.arrivals):
            known = marks.notna().to_numpy()
            after = np.searchsorted(vocabulary.arrivals.to_numpy(), marks[known].to_numpy(dtype=object), side="right")
            arrived[known] = np.maximum(after - 1, 0) / max(len(vocabulary.arrivals) - 1, 1)
        columns = vocabulary.columns.get_indexer(pd.Index(_column_of(vocabulary.values), dtype=object))
        return cls(
            item_ids, {name: (vectors[order], there[order]) for name, (vectors, there) in content.items()},
            attributes, columns.astype(np.int64), len(vocabulary.columns), price,
            vocabulary.products.get_indexer(pd.Index(item_ids.ids)).astype(np.int64), arrived,
            max(len(vocabulary.arrivals), 1),
        )


_NONE: "pd.Series[str]" = pd.Series([], dtype=object)


def _named(column: str, values: "pd.Series[str]") -> "pd.Series[str]":
    return column + "\t" + values.astype(object)


def _column_of(values: pd.Index) -> list[str]:
    return [name.split("\t", 1)[0] for name in values]


def _log_price(items: pd.DataFrame) -> npt.NDArray[np.float64]:
    if Columns.Price not in items.columns:
        return np.full(len(items), np.nan)
    priced: npt.NDArray[np.float64] = np.log1p(items[Columns.Price].to_numpy(np.float64, na_value=np.nan))
    return priced


def _marks(items: pd.DataFrame, arrival: Arrival) -> "pd.Series[str]":
    """What sorts products by their arrival: created_at as text, or the id."""
    if arrival == "auto":
        arrival = "created_at" if Columns.CreatedAt in items.columns else "id"
    if arrival == "id":
        return items[Columns.Item].astype(object)
    if arrival == "created_at" and Columns.CreatedAt in items.columns:
        stamps: pd.Series[str] = pd.to_datetime(items[Columns.CreatedAt], utc=True).dt.strftime("%Y-%m-%dT%H:%M:%S")
        return stamps.astype(object)
    return pd.Series([None] * len(items), index=items.index, dtype=object)
