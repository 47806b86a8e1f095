"""Parquet ↔ batches of rows, for tables that need not fit in memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ltexpo.data.files import replacing
from ltexpo.data.parquet import first_line, parquet_parts, readable, refuse_broken_text, refusing
from ltexpo.data.tables import NOTES, told_as
from ltexpo.errors import TableError


def open_parquet(path: Path, *, columns: Sequence[str], dictionary: Sequence[str] = ()) -> ds.Dataset:
    """The Parquet file, folder of parts, or hive-partitioned folder at `path`, to be read in batches; parts by name.

    Of its columns those among `columns` are seen, with one type over all parts; strings of `dictionary` columns come
    as codes. Raises `TableError` when it is not readable, or when its parts do not hold the same columns.
    """
    path = Path(path)
    parts = parquet_parts(path)
    layout = ds.ParquetFileFormat(dictionary_columns=set(dictionary))
    hive = ds.partitioning(flavor="hive") if path.is_dir() else None
    base = str(path) if path.is_dir() else None
    with readable(path):
        # each part is looked at, so that a bad one is refused before the others are read
        found = ds.dataset(
            [str(part) for part in parts], format=layout, partitioning=hive, partition_base_dir=base
        )
        schemas = [fragment.physical_schema for fragment in found.get_fragments()]
    kept = []
    for part, schema in zip(parts, schemas, strict=True):
        for column in columns:
            if schemas[0].names.count(column) != schema.names.count(column):
                raise TableError(f"{part}: '{column}' is in some parts of {path} only. Write all parts alike.")
        kept.append(pa.schema([field for field in schema if field.name in columns]))
    try:
        merged = pa.unify_schemas(kept, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        reason = first_line(error)
        raise TableError(f"{path}: its parts differ in type ({reason}). Write all parts alike.") from error
    folders = pa.schema([field for field in found.schema if field.name not in schemas[0].names])
    whole: ds.Dataset = found.replace_schema(pa.schema([*merged, *(f for f in folders if f.name in columns)]))
    return whole


def read_batches(dataset: ds.Dataset, columns: Sequence[str], *, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of `dataset` in order, `rows` or fewer at a time; a `TableError` says why not."""
    name = os.path.commonpath(dataset.files) if isinstance(dataset, ds.FileSystemDataset) else "the dataset"
    scan = dataset.scanner(
        columns=list(columns), batch_size=rows, batch_readahead=2, fragment_readahead=1,
        fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True),
    )
    batches = scan.to_batches()
    while True:
        with refusing(name):
            batch = next(batches, None)
        if batch is None:
            return
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            if not pa.types.is_dictionary(values.type):
                refuse_broken_text(values, column, name)
                continue
            refuse_broken_text(values.dictionary, column, name)
            with refusing(name):  # damage may lie in the codes, too
                values.validate(full=True)
        if batch.num_rows:
            yield batch


def write_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, *, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Like `write_frame` for a table that comes in `batches`, which need not fit in memory; each is a row group.

    Dictionary columns are strings to whoever reads the file.
    """
    with batch_writer(schema, path, metadata=metadata) as write:
        for batch in batches:
            write(batch)
    return path


@contextmanager
def batch_writer(
    schema: pa.Schema, path: Path, *, metadata: Mapping[str, Any] | None = None
) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Writes the batches that it is called with to `path`, which is renamed into place when the block ends well."""
    # a column of many different numbers gains nothing from a dictionary
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    with replacing(path) as beside, pq.ParquetWriter(
        beside, schema, compression="zstd", store_schema=False, use_dictionary=coded, write_page_checksum=True,
    ) as writer:
        yield writer.write_batch
        if metadata:
            writer.add_key_value_metadata({NOTES: told_as(metadata)})
