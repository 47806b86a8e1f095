"""Parquet ↔ pandas frames, with what their maker notes beside the columns."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ltexpo.data.files import replacing
from ltexpo.data.parquet import parquet_parts, readable, refuse_broken_text, refusing
from ltexpo.errors import ColumnError, TableError, shown

log = logging.getLogger("ltexpo")

TRAINED_UNTIL = "trained_until"
"""Metadata of candidates and rankings: no event from this moment on was seen in training."""
MADE_BY, BY_MODEL, BY_BLEND = "made_by", "model", "blend"
"""Metadata of the same: who scored them, a trained model or the blend of baselines."""
MODEL_KEY = "model_key"
"""Metadata of the same: which trained model, as a hash of its files."""
NOTES = b"ltexpo"
"""Under which name a file keeps them."""


def read_frame(path: Path, *, columns: list[str] | None = None, required: Sequence[str] = ()) -> pd.DataFrame:
    """The Parquet file at `path`, or the folder of parts, hive-partitioned or not, as a frame; or a `TableError`.

    Parts come by name. A column that only some of them have is missing in the rows of the others, which is said;
    where it is among `required` that is a `ColumnError`.
    """
    if Path(path).is_dir():
        return _read_parts(Path(path), columns, required)
    names = _schema(path).names
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise ColumnError(f"{path}: has two columns named '{doubled}'. Rename one.")
    with readable(path):
        table: pa.Table = pq.read_table(path, columns=columns, page_checksum_verification=True)
    return _to_frame(table, path)


def _to_frame(table: pa.Table, path: Path) -> pd.DataFrame:
    for name, column in zip(table.column_names, table.columns, strict=True):
        refuse_broken_text(column, name, path)
    frame: pd.DataFrame
    try:
        frame = table.to_pandas()
    # What a writer noted of its pandas types need not fit its columns, and can be any text: many ways to fail.
    except Exception as error:
        log.warning("%s: its notes for pandas are not usable (%s), the columns are read as they are.", path,
                    type(error).__name__)
        with readable(path):
            frame = table.to_pandas(ignore_metadata=True)
    return frame


def _read_parts(path: Path, columns: list[str] | None, required: Sequence[str]) -> pd.DataFrame:
    found = _open_parts(path, required)
    with refusing(str(path)):
        table: pa.Table = found.to_table(
            columns=columns, fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        )
    return _to_frame(table, path)


def _open_parts(path: Path, required: Sequence[str] = ()) -> ds.Dataset:
    """The parts of the folder `path` with the columns of all of them, those of hive folders last."""
    parts = parquet_parts(path)
    schemas = []
    for part in parts:
        with readable(part):
            schemas.append(pq.read_schema(part))
        names = schemas[-1].names
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise ColumnError(f"{part}: has two columns named '{doubled}'. Rename one.")
    try:
        merged = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TableError(
            f"{path}: its parts differ in type ({str(error).splitlines()[0]}). Write all parts alike."
        ) from error
    for name in merged.names:
        held = sum(name in schema.names for schema in schemas)
        if held < len(parts) and name in required:
            lacking = next(part for part, schema in zip(parts, schemas, strict=True) if name not in schema.names)
            raise ColumnError(f"{lacking}: lacks '{name}', which {held} of the {len(parts)} parts hold. Write it there "
                              "too.")
        if held < len(parts):
            log.warning("%s: '%s' is in %d of %d parts only; it is missing in the rows of the others.", path, name,
                        held, len(parts))
    with refusing(str(path)):
        found: ds.Dataset = ds.dataset(
            [str(part) for part in parts], format="parquet", partitioning=ds.partitioning(flavor="hive"),
            partition_base_dir=str(path),
        )
        folders = [field for field in found.schema if all(field.name not in schema.names for schema in schemas)]
        whole: ds.Dataset = found.replace_schema(pa.schema([*merged, *folders], metadata=merged.metadata))
    return whole


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns that `read_frame` gives."""
    names: list[str] = (_open_parts(path).schema if Path(path).is_dir() else _schema(path)).names
    return names


def write_frame(frame: pd.DataFrame, path: Path, *, metadata: Mapping[str, Any] | None = None) -> Path:
    """`frame` as one Parquet file at `path`, renamed into place when complete; `metadata` travels in it as JSON."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if metadata:
        noted = {NOTES: told_as(metadata)}
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **noted})
    with replacing(path) as beside:
        pq.write_table(table, beside, compression="zstd", write_page_checksum=True)
    return path


def read_metadata(path: Path) -> dict[str, Any]:
    """What `write_frame` noted beside the columns of the Parquet file at `path`; empty for files of other writers."""
    raw = _schema(path).metadata or {}
    try:
        noted: dict[str, Any] = json.loads(raw.get(NOTES, b"{}"))
    except ValueError as error:
        raise TableError(f"{path}: its notes by ltexpo are not JSON. Write it again.") from error
    if not isinstance(noted, dict) or not isinstance(noted.get(TRAINED_UNTIL, ""), str):
        raise TableError(f"{path}: its notes by ltexpo are {shown(noted)}, which it never writes. Write it again.")
    return noted


def told_as(metadata: Mapping[str, Any]) -> bytes:
    """`metadata` as a file keeps it."""
    return json.dumps(dict(metadata), sort_keys=True).encode()


def _schema(path: Path) -> pa.Schema:
    """Schema of a Parquet file, or of the first part of a folder of them."""
    parts = parquet_parts(path)
    with readable(path):
        return pq.read_schema(parts[0])
