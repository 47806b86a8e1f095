"""Files ↔ pandas frames: reading Parquet, CSV and JSON lines, and writing so that no reader ever sees half a file."""

import ctypes
import datetime as dt
import glob
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ltexpo.data.scratch import scratch
from ltexpo.errors import FAILING, ColumnError, OutputError, StorageError, TableError, shown

log = logging.getLogger("ltexpo")


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
    with _readable(path):
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
        with _readable(path):
            frame = table.to_pandas(ignore_metadata=True)
    return frame


def _read_parts(path: Path, columns: list[str] | None, required: Sequence[str]) -> pd.DataFrame:
    found = _open_parts(path, required)
    with _refusing(str(path)):
        table: pa.Table = found.to_table(
            columns=columns, fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        )
    return _to_frame(table, path)


def _open_parts(path: Path, required: Sequence[str] = ()) -> ds.Dataset:
    """The parts of the folder `path` with the columns of all of them, those of hive folders last."""
    parts = _parts(path)
    schemas = []
    for part in parts:
        with _readable(part):
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
    with _refusing(str(path)):
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


def last_snapshot(path: Path) -> Path:
    """Of a folder with nothing but folders KEY=DATE, each the whole table as of that day, the last; else `path`."""
    if not path.is_dir():
        return path
    days = {}
    for inner in path.iterdir():
        key, _, value = inner.name.partition("=")
        if key.startswith((".", "_")):
            continue
        try:
            days[dt.date.fromisoformat(value)] = inner
        except ValueError:
            return path
    if len({inner.name.partition("=")[0] for inner in days.values()}) != 1:
        return path
    last = days[max(days)]
    if len(days) > 1:
        log.info("%s: the last of %d days is taken, %s", path, len(days), last.name)
    return last


def refuse_broken_text(column: pa.ChunkedArray | pa.Array, name: str, path: Path | str) -> None:
    """Raise `ColumnError` when texts of `column` are not UTF-8, which no reader of Parquet checks by itself."""
    if pa.types.is_primitive(column.type):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ColumnError(f"{path}: '{name}' holds what is not UTF-8 text. Write it again.") from error


def open_parquet(path: Path, *, columns: Sequence[str], dictionary: Sequence[str] = ()) -> ds.Dataset:
    """The Parquet file, folder of parts, or hive-partitioned folder at `path`, to be read in batches; parts by name.

    Of its columns those among `columns` are seen, with one type over all parts; strings of `dictionary` columns come
    as codes. Raises `TableError` when it is not readable, or when its parts do not hold the same columns.
    """
    path = Path(path)
    parts = _parts(path)
    layout = ds.ParquetFileFormat(dictionary_columns=set(dictionary))
    hive = ds.partitioning(flavor="hive") if path.is_dir() else None
    base = str(path) if path.is_dir() else None
    with _readable(path):
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
        with _refusing(name):
            batch = next(batches, None)
        if batch is None:
            return
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            # a dictionary's codes are Arrow's own, its texts are the file's
            refuse_broken_text(values.dictionary if pa.types.is_dictionary(values.type) else values, column, name)
        if batch.num_rows:
            yield batch


TRAINED_UNTIL = "trained_until"
"""Metadata of candidates and rankings: no event from this moment on was seen in training."""
MADE_BY, BY_MODEL, BY_BLEND = "made_by", "model", "blend"
"""Metadata of the same: who scored them, a trained model or the blend of baselines."""


def read_metadata(path: Path) -> dict[str, Any]:
    """What `write_frame` noted beside the columns of the Parquet file at `path`; empty for files of other writers."""
    raw = _schema(path).metadata or {}
    try:
        noted: dict[str, Any] = json.loads(raw.get(b"ltexpo", b"{}"))
    except ValueError as error:
        raise TableError(f"{path}: its notes by ltexpo are not JSON. Write it again.") from error
    if not isinstance(noted, dict) or not isinstance(noted.get(TRAINED_UNTIL, ""), str):
        raise TableError(f"{path}: its notes by ltexpo are {shown(noted)}, which it never writes. Write it again.")
    return noted


def _schema(path: Path) -> pa.Schema:
    """Schema of a Parquet file, or of the first part of a folder of them."""
    parts = _parts(path)
    with _readable(path):
        return pq.read_schema(parts[0])


def _parts(path: Path) -> list[Path]:
    """The Parquet files at `path`, by name."""
    if not Path(path).is_dir():
        return [Path(path)]
    # names that begin with a dot or a line are what another writer has not finished
    parts = sorted(
        part for part in Path(path).rglob("*.parquet")
        if not any(name.startswith((".", "_")) for name in part.relative_to(path).parts)
    )
    if not parts:
        raise TableError(f"{path}: is a folder without .parquet parts. Check the path.")
    return parts


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what Arrow says of a file that it cannot read into a `TableError`."""
    if not Path(path).exists():
        raise TableError(f"{path}: no such file. Check the path.")
    with _refusing(str(path)):
        yield


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowMemoryError as error:
        reason = first_line(error)
        raise TableError(f"{path}: does not fit into memory ({reason}). Give more, or a sound file.") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = first_line(error)
        raise TableError(f"{path}: is not readable Parquet ({reason}). Write it again or give another file.") from error


def first_line(error: Exception) -> str:
    """What `error` says, of a report of many lines the first."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def write_frame(frame: pd.DataFrame, path: Path, *, metadata: Mapping[str, Any] | None = None) -> Path:
    """`frame` as one Parquet file at `path`, renamed into place when complete; `metadata` travels in it as JSON."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if metadata:
        noted = {b"ltexpo": json.dumps(dict(metadata), sort_keys=True).encode()}
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **noted})
    with replacing(path) as beside:
        pq.write_table(table, beside, compression="zstd", write_page_checksum=True)
    return path


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
            writer.add_key_value_metadata({"ltexpo": json.dumps(dict(metadata), sort_keys=True)})


def write_json(value: Any, path: Path) -> Path:
    """`value` as indented JSON at `path`, renamed into place when complete; NaN and infinity become null."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(text, path)


def write_text(text: str, path: Path) -> Path:
    """`text` as UTF-8 at `path`, renamed into place when complete."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def read_json(path: Path) -> Any:
    """The JSON at `path`; a `TableError` says why it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except ValueError as error:
        raise TableError(f"{path}: is not JSON ({error}). Write it again.") from error


@contextmanager
def output_folder(out: Path, *, verb: str, inputs: Iterable[Path | None] = ()) -> Iterator[Path]:
    """A scratch folder beside `out` to write into; on success it takes the place of `out`, on failure nothing remains.

    An existing `out` is replaced only if it is empty, or if the same `verb` wrote it and it holds nothing else: what
    somebody else put there is never deleted. Raises `OutputError`, also when one of the `inputs` lies in `out`.
    """
    out = Path(out).resolve()  # through a link, so that what it points to is written
    _refuse_foreign(out, verb)
    for given in inputs:
        if given is not None and Path(given).resolve().is_relative_to(out):
            raise OutputError(f"--out {out}: holds the input {given}. Give another folder.")
    absent = [parent for parent in out.parents if not parent.exists()]
    try:
        with ExitStack() as held:
            try:
                beside = held.enter_context(scratch(out, folder=True))
                _put_back(out)
            except OSError as error:
                raise OutputError(f"--out {out}: cannot write there ({error.strerror}).") from error
            beside.chmod(0o777 & ~_umask())
            yield beside
            (beside / _MARK).write_text(json.dumps({"verb": verb, "files": sorted(_files(beside))}) + "\n")
            if out.exists():
                _refuse_foreign(out, verb)  # again: a long job leaves time for somebody to put a file there
                if not _exchange(beside, out):
                    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
                    out.replace(old / _REPLACED)
                    beside.replace(out)
                    shutil.rmtree(old, ignore_errors=True)
            else:
                beside.replace(out)
    finally:
        if not out.exists():
            for parent in absent:
                with suppress(OSError):
                    parent.rmdir()


_REPLACED = "replaced"


def _put_back(out: Path) -> None:
    """Where folders cannot change places, a kill between two renames leaves `out` under another name: undo that."""
    for old in out.parent.glob(f".{glob.escape(out.name)}.old.*/{_REPLACED}"):
        if not out.exists():
            old.replace(out)
        shutil.rmtree(old.parent, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, so that a reader, or a kill, finds either and never none; False
    where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0)


_MARK = ".ltexpo"
"""File that names the verb which wrote a folder, and what it wrote."""


def _refuse_foreign(out: Path, verb: str) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"--out {out}: is a file. Give a folder.")
    files = _files(out)
    if not files:
        return
    try:
        mark = json.loads((out / _MARK).read_text(encoding="utf-8"))
        written_by, listed = str(mark["verb"]), set(mark["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(
            f"--out {out}: holds files that ltexpo did not write. Give an empty or a new folder."
        ) from None
    if written_by != verb:
        raise OutputError(f"--out {out}: was written by '{written_by}', not by '{verb}'. Give another folder.")
    foreign = sorted(files - listed - {_MARK})
    if foreign:
        raise OutputError(
            f"--out {out}: holds '{foreign[0]}', which ltexpo did not write. Move it away or give another folder."
        )


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch file beside `path` to write into; it takes the place of `path` when the block ends without an error.

    Raises `OutputError` where nothing can be written, and `StorageError` when a disk is full or fails on the way.
    """
    path = Path(path)
    with ExitStack() as held:
        try:
            beside = held.enter_context(scratch(path, folder=False))
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}).") from error
        try:
            yield beside
            beside.chmod(0o666 & ~_umask())
            beside.replace(path)
        except OSError as error:
            if error.errno not in FAILING:
                raise
            raise StorageError(f"{path}: cannot be written ({os.strerror(error.errno or 0)}).") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _finite(value: Any) -> Any:
    """`value` with numpy scalars unwrapped and non-finite floats as None, ready for strict JSON."""
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Path | pd.Timestamp):
        return str(value)
    return value
