"""An encoded job and its chosen slots → rankings, the plain lists and the promotions, as record batches or frames."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ltexpo.columns import Columns
from ltexpo.data.batches import write_batches
from ltexpo.data.ids import IdMap
from ltexpo.rerank.encode import Encoded
from ltexpo.rerank.passes import Slots
from ltexpo.rerank.rows import count_promoted, fill_lists, fill_promotions
from ltexpo.rerank.selection import Lists
from ltexpo.rerank.task import Boosts

BATCH_ROWS = 2**20
"""Rows of a written batch, about."""

Fill = Callable[[int, int], dict[str, pa.Array]]


_ID = pa.dictionary(pa.int32(), pa.large_string())


def _schema(columns: list[tuple[str, pa.DataType]]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns])


PROMOTIONS = _schema([
    (Columns.Request, _ID), (Columns.Item, _ID), ("rank_before", pa.float64()), (Columns.Rank, pa.int32()),
    ("goal", _ID), (Columns.Price, pa.float64()), ("displaced", _ID), ("clicks_given_up", pa.float64()),
])
"""Columns of the promotions."""


def list_schema(*, users: bool) -> pa.Schema:
    """Columns of the final and of the plain lists."""
    return _schema([
        (Columns.Request, _ID), *([(Columns.User, _ID)] if users else []), (Columns.Rank, pa.int32()),
        (Columns.Item, _ID), (Columns.Score, pa.float32()), (Columns.Exposure, pa.float64()),
        (Columns.Price, pa.float64()), (Columns.Boosted, pa.bool_()),
    ])


class ListTables(Protocol):
    """The final lists beside the plain ones and their promotions: as batches, or written as Parquet."""

    @property
    def n_promoted(self) -> int:
        """Promotions of all lists."""

    @property
    def rankings_schema(self) -> pa.Schema:
        """Columns of `rankings` and `control`."""

    @property
    def promotions_schema(self) -> pa.Schema:
        """Columns of `promotions`."""

    def rankings(self) -> Iterator[pa.RecordBatch]:
        """The final lists."""

    def control(self) -> Iterator[pa.RecordBatch]:
        """The plain lists."""

    def promotions(self) -> Iterator[pa.RecordBatch]:
        """One row per promoted item."""

    def write(self, rankings: Path, control: Path, promotions: Path, *, noted: Mapping[str, Any]) -> None:
        """All three as Parquet; `noted` is kept with the first two."""


@dataclass(frozen=True, eq=False)
class CodedLists:
    """R final lists in memory, still in codes → record batches."""

    lists: Lists
    slots: Slots
    """(R, k) offsets in each list, −1 = empty."""
    plain: Slots
    """(R, k)"""
    boosts: Boosts
    """(I,)"""
    paying: npt.NDArray[np.object_]
    """(I,) the goal that pays most of each boost, in words."""
    item_ids: IdMap
    requests: pa.Array
    """(R,)"""
    users: pa.Array | None

    @cached_property
    def promoted(self) -> npt.NDArray[np.int16]:
        """(R,) how many items of each list stand above their plain slot thanks to a boost."""
        count = np.zeros(len(self.requests), np.int16)
        count_promoted(self.lists, self.slots, self.plain, self.boosts, count)
        return count

    def rankings(self) -> Iterator[pa.RecordBatch]:
        """The final lists, by request and rank: exposure = attention × weight of the request; price = boost."""
        return self._batches(self.slots, self.boosts)

    def control(self) -> Iterator[pa.RecordBatch]:
        """The plain lists of the same candidates."""
        return self._batches(self.plain, np.zeros_like(self.boosts))

    def promotions(self) -> Iterator[pa.RecordBatch]:
        """One row per promoted item (`boosted` in the rankings), by request and rank.

        rank_before: its rank in the plain list, missing when it was not in it. goal: the goal that pays most of its
        boost; price: its boost. displaced: the item that the plain list has in this slot. clicks_given_up: exposure ×
        (score of the displaced item − score of the promoted item), negative where the better item was promoted;
        summed over all slots of a list, promoted or not, this is exactly what the list gave up.
        """
        goals, codes = np.unique(np.array(["" if name is None else name for name in self.paying]), return_inverse=True)
        names = pa.array(goals.tolist(), pa.large_string())
        for first, last in _spans(len(self.requests), self.slots.shape[1]):
            n = int(self.promoted[first:last].sum(dtype=np.int64))
            if not n:
                continue
            row, item, displaced = (np.empty(n, np.int32) for _ in range(3))
            rank, before = np.empty(n, np.int32), np.empty(n, np.int32)
            lost = np.empty(n)
            fill_promotions(
                self.lists, self.slots, self.plain, self.boosts, first, last, row, item, rank, before,
                displaced, lost,
            )
            goal = codes[item].astype(np.int32)
            yield pa.record_batch([
                _coded(row, self.requests[first:last]), _coded(item, self._item_ids),
                pa.array(before.astype(np.float64), mask=before < 0), pa.array(rank),
                _coded(goal, names, goals[goal] == ""), pa.array(self.boosts[item].astype(np.float64)),
                _coded(displaced, self._item_ids, displaced < 0), pa.array(lost),
            ], schema=PROMOTIONS)

    @cached_property
    def _item_ids(self) -> pa.Array:
        return pa.array(self.item_ids.ids.to_numpy(dtype=object), pa.large_string())

    def _batches(self, slots: Slots, boosts: npt.NDArray[np.float32]) -> Iterator[pa.RecordBatch]:
        schema, k = list_schema(users=self.users is not None), slots.shape[1]
        for first, last in _spans(len(self.requests), self.slots.shape[1]):
            n = (last - first) * k
            row, rank, item = (np.empty(n, np.int32) for _ in range(3))
            score, exposure, price = np.empty(n, np.float32), np.empty(n), np.empty(n)
            boosted = np.empty(n, np.bool_)
            n = fill_lists(
                self.lists, slots, self.plain, boosts, first, last, row, rank, item, score, exposure, price,
                boosted,
            )
            owner = [_coded(row[:n], self.requests[first:last])]
            if self.users is not None:
                # Parquet takes a dictionary as it is, so no value may stand in it twice
                users = self.users[first:last].dictionary_encode()
                owner.append(_coded(users.indices.to_numpy()[row[:n]], users.dictionary))
            yield pa.record_batch([
                *owner, pa.array(rank[:n]), _coded(item[:n], self._item_ids), pa.array(score[:n]),
                pa.array(exposure[:n]), pa.array(price[:n]), pa.array(boosted[:n]),
            ], schema=schema)


@dataclass(frozen=True, eq=False)
class FinalLists:
    """`ListTables` of lists in memory, still in codes."""

    encoded: Encoded
    slots: Slots
    """(R, k) offsets in each list, −1 = empty."""
    boosts: Boosts
    """(I,)"""
    paying: npt.NDArray[np.object_]
    """(I,) the goal that pays most of each boost, in words."""

    @property
    def n_promoted(self) -> int:
        """Promotions of all lists."""
        return int(self._coded.promoted.sum(dtype=np.int64))

    @property
    def rankings_schema(self) -> pa.Schema:
        """Columns of `rankings` and `control`."""
        return list_schema(users=self.encoded.users is not None)

    @property
    def promotions_schema(self) -> pa.Schema:
        """Columns of `promotions`."""
        return PROMOTIONS

    def write(self, rankings: Path, control: Path, promotions: Path, *, noted: Mapping[str, Any]) -> None:
        """All three as Parquet files, each on a thread of its own."""
        with ThreadPoolExecutor() as threads:
            files = [
                threads.submit(write_batches, batches, schema, path, metadata=metadata)
                for batches, schema, path, metadata in (
                    (self.rankings(), self.rankings_schema, rankings, noted),
                    (self.control(), self.rankings_schema, control, noted),
                    (self.promotions(), self.promotions_schema, promotions, {}),
                )
            ]
            for file in files:
                file.result()

    def rankings(self) -> Iterator[pa.RecordBatch]:
        """See `CodedLists.rankings`."""
        return self._coded.rankings()

    def control(self) -> Iterator[pa.RecordBatch]:
        """The plain lists of the same candidates."""
        return self._coded.control()

    def promotions(self) -> Iterator[pa.RecordBatch]:
        """See `CodedLists.promotions`."""
        return self._coded.promotions()

    @cached_property
    def _coded(self) -> CodedLists:
        encoded = self.encoded
        return CodedLists(
            encoded.problem.lists, self.slots, encoded.plain, self.boosts, self.paying, encoded.item_ids,
            encoded.requests, encoded.users,
        )


def to_frame(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> pd.DataFrame:
    """All batches as one frame, ids as strings."""
    plain = pa.schema([
        pa.field(field.name, pa.large_string() if pa.types.is_dictionary(field.type) else field.type)
        for field in schema
    ])
    frame: pd.DataFrame = pa.Table.from_batches(batches, schema=schema).cast(plain).to_pandas()
    return frame


def _spans(n_lists: int, k: int) -> Iterator[tuple[int, int]]:
    size = max(BATCH_ROWS // k, 1)
    for first in range(0, n_lists, size):
        yield first, min(first + size, n_lists)


def _coded(
    codes: npt.NDArray[np.int32], ids: pa.Array, missing: npt.NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), ids)
