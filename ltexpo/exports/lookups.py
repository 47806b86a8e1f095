"""Batches of lists → a file for a lookup: Redis commands, CSV, Parquet, JSON lines; one writer each, in one scan."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ltexpo.columns import Columns
from ltexpo.exports.lists import TEXT, ListBatch
from ltexpo.exports.result import ExportedFile
from ltexpo.exports.settings import ExportSettings
from ltexpo.exports.text import content, glue, list_texts, quoted, sizes


class LookupWriter(Protocol):
    """Takes every list in turn; a context, so that the file is closed."""

    def __enter__(self) -> Self:
        """Opens nothing more."""

    def __exit__(self, *error: object) -> None:
        """Closes the file."""

    def write(self, batch: ListBatch) -> None:
        """The next lists."""

    def told(self, lists: int, rows: int) -> ExportedFile:
        """What the file holds, once all is written."""


class _TextWriter:
    """A file of text, in which each list is one piece."""

    def __init__(self, path: Path, key: str, ids: pa.Array, settings: ExportSettings) -> None:
        self.key, self.settings, self.ids = key, settings, quoted(ids)
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


class RedisWriter(_TextWriter):
    """SET commands in Redis' own protocol (RESP), as `redis-cli --pipe` takes them.

    A list is one string of JSON: one command replaces it whole, so that no reader meets an empty or a mixed list.
    """

    def write(self, batch: ListBatch) -> None:
        """The next lists."""
        keys, values = glue(self.settings.prefix, batch.keys), list_texts(batch, self.ids)
        command = glue(
            f"*{3 if self.settings.ttl is None else 5}\r\n$3\r\nSET\r\n$", sizes(keys), "\r\n", keys, "\r\n$",
            sizes(values), "\r\n", values, "\r\n" + self._expiry(),
        )
        self._file.write(content(command))

    def told(self, lists: int, rows: int) -> ExportedFile:
        """What the file holds."""
        return ExportedFile(
            "lists.resp", "redis", lists,
            f"SET '{self.settings.prefix}' + {self.key} → JSON array"
            + ("" if self.settings.ttl is None else f", for {self.settings.ttl:,} s"),
            "redis-cli --pipe < lists.resp",
        )

    def _expiry(self) -> str:
        if self.settings.ttl is None:
            return ""
        seconds = str(self.settings.ttl)
        return f"$2\r\nEX\r\n${len(seconds)}\r\n{seconds}\r\n"


class JsonLinesWriter(_TextWriter):
    """One object a line: the key and its items."""

    def write(self, batch: ListBatch) -> None:
        """The next lists."""
        line = glue(f'{{"{self.key}":', quoted(batch.keys), ',"items":', list_texts(batch, self.ids), "}\n")
        self._file.write(content(line))

    def told(self, lists: int, rows: int) -> ExportedFile:
        """What the file holds."""
        return ExportedFile("lists.jsonl", "jsonl", lists, f"one list a line: {self.key}, items")


class CsvWriter:
    """One row an item: key, rank, item_id, and score and price where they are asked for."""

    def __init__(self, path: Path, key: str, ids: pa.Array, settings: ExportSettings) -> None:
        self.key, self.ids = key, ids
        details = [(Columns.Score, pa.float32()), (Columns.Price, pa.float64())] if settings.details else []
        self._schema = pa.schema([(key, TEXT), (Columns.Rank, pa.int32()), (Columns.Item, TEXT), *details])
        self._file = pcsv.CSVWriter(path, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, batch: ListBatch) -> None:
        """The next lists."""
        lengths = batch.offsets[1:] - batch.offsets[:-1]
        owner = np.repeat(np.arange(len(lengths)), lengths)
        columns = [batch.keys.take(pa.array(owner)), pa.array(batch.ranks), self.ids.take(pa.array(batch.items))]
        columns += [pa.array(part) for part in _details(batch, self._schema)]
        self._file.write_batch(pa.record_batch(columns, schema=self._schema))

    def told(self, lists: int, rows: int) -> ExportedFile:
        """What the file holds."""
        return ExportedFile("lists.csv", "csv", rows, f"one item a row: {', '.join(self._schema.names)}")


class ParquetWriter:
    """One row a list: the key, and its ranks and item_ids (scores, prices) as lists; sorted by key."""

    def __init__(self, path: Path, key: str, ids: pa.Array, settings: ExportSettings) -> None:
        self.ids = ids
        details = [("scores", pa.float32()), ("prices", pa.float64())] if settings.details else []
        self._schema = pa.schema([
            (key, TEXT),
            *((name, pa.large_list(kind)) for name, kind in [("ranks", pa.int32()), ("item_ids", TEXT), *details]),
        ])
        # a reader of one key reads only the row group that holds it
        self._file = pq.ParquetWriter(
            path, self._schema, compression="zstd", store_schema=False, sorting_columns=[pq.SortingColumn(0)],
            use_dictionary=["item_ids.list.element"],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, batch: ListBatch) -> None:
        """The next lists."""
        offsets = pa.array(batch.offsets)
        parts = [pa.array(batch.ranks), self.ids.take(pa.array(batch.items))]
        parts += [pa.array(part) for part in _details(batch, self._schema)]
        lists = [pa.LargeListArray.from_arrays(offsets, part) for part in parts]
        self._file.write_batch(pa.record_batch([batch.keys, *lists], schema=self._schema))

    def told(self, lists: int, rows: int) -> ExportedFile:
        """What the file holds."""
        return ExportedFile("lists.parquet", "parquet", lists, f"one list a row: {', '.join(self._schema.names)}")


WRITERS: dict[str, tuple[str, Callable[[Path, str, pa.Array, ExportSettings], LookupWriter]]] = {
    "redis": ("lists.resp", RedisWriter),
    "csv": ("lists.csv", CsvWriter),
    "parquet": ("lists.parquet", ParquetWriter),
    "jsonl": ("lists.jsonl", JsonLinesWriter),
}
"""Format → file name and its writer."""


def _details(batch: ListBatch, schema: pa.Schema) -> list[pa.Array]:
    """Scores and prices where `schema` has room for them."""
    return [part for part in (batch.scores, batch.prices) if part is not None] if len(schema) > 3 else []
