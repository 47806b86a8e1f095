"""Files as sources publish them (CSV, Parquet, JSON lines, gzip or not) → frames of the columns that are wanted."""

import csv
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset

from ltexpo.data.parquet import first_line
from ltexpo.data.tables import read_frame
from ltexpo.errors import ColumnError, ImportFormatError, TableError


def find_file(folder: Path, *names: str, source: str) -> Path:
    """The first of `names` (plain or with .gz) in `folder`; an `ImportFormatError` says what lies there instead."""
    found = find_optional(folder, *names)
    if found is None:
        raise ImportFormatError(
            f"{folder}: holds no {' or '.join(names)}, which '{source}' needs; found {listing(folder)}. "
            "Give the folder with those files."
        )
    return found


def find_optional(folder: Path, *names: str) -> Path | None:
    """The first of `names` (plain or with .gz) in `folder`, or None."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def listing(folder: Path) -> str:
    """The first names in `folder`, for an error message."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return (", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")) or "nothing"


def read_columns(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), *, separator: str = ","
) -> pd.DataFrame:
    """The named columns of a CSV (every value as text, empty = missing) or Parquet file (in its types).

    Optional columns that are not there are left away. Raises `ColumnError` naming the required ones that are not.
    """
    wanted = [*required, *optional]
    names = column_names(path, separator=separator)
    if missing := [name for name in required if name not in names]:
        lacks = ", ".join(f"'{name}'" for name in missing)
        raise ColumnError(
            f"{path}: lacks {lacks}; found {', '.join(names)}. Give the file as its publisher made it."
        )
    if doubled := [name for name in wanted if names.count(name) > 1]:
        raise ColumnError(f"{path}: has two columns named '{doubled[0]}'. Rename one.")
    chosen = [name for name in names if name in wanted]
    return read_frame(path, columns=chosen) if path.suffix == ".parquet" else _read_csv(path, chosen, separator)


def column_names(path: Path, *, separator: str = ",") -> list[str]:
    """The column names of a CSV or Parquet file."""
    if path.suffix == ".parquet":
        if not path.exists():
            raise TableError(f"{path}: no such file. Check the path.")
        try:
            names: list[str] = pyarrow.dataset.dataset(path).schema.names
        except (pa.ArrowInvalid, OSError) as error:
            raise TableError(f"{path}: is not readable Parquet ({first_line(error)}). Write it again.") from error
        return names
    with open_text(path) as lines:
        try:
            header = next(csv.reader(lines, delimiter=separator), None)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise TableError(f"{path}: is not readable text ({first_line(error)}). Save it as UTF-8.") from error
    if not header:
        raise TableError(f"{path}: is empty. Give a file with a header line.")
    return header


def _read_csv(path: Path, names: list[str], separator: str) -> pd.DataFrame:
    convert = pa.csv.ConvertOptions(
        include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True,
        quoted_strings_can_be_null=True, null_values=[""],
    )
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    try:
        table = pa.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except (pa.ArrowInvalid, OSError):
        # Only a serial reader knows which row it stumbled over.
        try:
            table = pa.csv.read_csv(
                path, pa.csv.ReadOptions(use_threads=False), parse_options=parse, convert_options=convert
            )
        except (pa.ArrowInvalid, OSError) as error:
            # what Arrow quotes of the row may hold a user's id
            told = re.sub(r"(got \d+): .*", r"\1", first_line(error))[:200]
            raise TableError(f"{path}: is not readable CSV ({told}). Mend that row.") from error
    frame: pd.DataFrame = table.to_pandas()
    return frame


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line; raises `ImportFormatError` at the first that is not an object."""
    for number, line in text_lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ImportFormatError(
                f"{path} line {number}: is not JSON ({error}). Give one JSON object a line; mend or delete this one."
            ) from error
        if not isinstance(value, dict):
            raise ImportFormatError(
                f"{path} line {number}: holds a {type(value).__name__}, expected a JSON object {{...}} on each line."
            )
        yield number, value


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line number (from 1) and text of each line of a UTF-8 file, gzip or not."""
    number = 0
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TableError(
            f"{path}: is not readable after line {number} ({first_line(error)}). Get the file again."
        ) from error


def open_text(path: Path) -> TextIO:
    """The UTF-8 file at `path`, gzip or not, for reading; a byte order mark is skipped."""
    try:
        if path.suffix == ".gz":
            return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
