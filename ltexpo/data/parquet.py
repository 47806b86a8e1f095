"""A path → the Parquet files there, and in words what Arrow cannot read of them."""

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from ltexpo.errors import ColumnError, TableError

log = logging.getLogger("ltexpo")


def parquet_parts(path: Path) -> list[Path]:
    """The Parquet file at `path`, or those of the folder there, by name; a `TableError` where it holds none."""
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


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what Arrow says of a file that it cannot read into a `TableError`."""
    if not Path(path).exists():
        raise TableError(f"{path}: no such file. Check the path.")
    with refusing(str(path)):
        yield


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """`readable` of what is known to be there."""
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


def refuse_broken_text(column: pa.ChunkedArray | pa.Array, name: str, path: Path | str) -> None:
    """Raise `ColumnError` when texts of `column` are not UTF-8, which no reader of Parquet checks by itself."""
    if pa.types.is_primitive(column.type):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ColumnError(f"{path}: '{name}' holds what is not UTF-8 text. Write it again.") from error
