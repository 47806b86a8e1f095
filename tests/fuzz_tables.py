"""Strategies of hypothesis: a sound table → the bytes of a spoilt file."""

import datetime as dt
import decimal
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

ODD_TEXTS = (
    "", " ", "\t", "\n", "a\nb", "a\x00b", "\x1b[31mred", "../../etc/passwd", "/etc/passwd", "a/b", "C:\\x", ".", "..",
    "=cmd|' /C calc'!A0", "@SUM(1)", "-1", "<script>alert(1)</script>", "'; DROP TABLE items; --", "nan", "None",
    "null",
    "\u202egnp.exe", "e\u0301", "\u00e9", "\ufeffi0", "🧦" * 30, "i0 ", "I0", "0", "1e5", "x" * 100_000, "%s%n{0}",
    "2024-01-01", "2024-13-45", "{}", "[]", "\ud7ff\ue000", "head", "tail", "new", "i0",
)
ODD_NUMBERS = (
    float("nan"), float("inf"), float("-inf"), -1.0, 0.0, -0.0, 1e-320, 1e308, -1e308, 1.0, 1.5, 2.0**53 + 2, 2.0**63,
    1e18, 0.1, 3.0, -2.0**31, 2.0**31,
)
ODD_TIMES = (
    "1677-09-22", "1970-01-01", "2262-04-11", "2024-01-06", "2030-01-01", "2200-01-01", None,
)
EDGE_DAYS = (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))


def odd_cells(values: pd.Series) -> st.SearchStrategy[Any]:
    """A cell that would not belong into the column, or hardly."""
    if pd.api.types.is_datetime64_any_dtype(values):
        zone = None if values.dt.tz is None else "UTC"
        return st.sampled_from(ODD_TIMES).map(
            lambda text: pd.NaT if text is None else pd.Timestamp(text, tz=zone).as_unit("us")
        )
    if pd.api.types.is_numeric_dtype(values):
        return st.sampled_from(ODD_NUMBERS)
    return st.one_of(st.sampled_from((None, *ODD_TEXTS)), st.text(max_size=8).filter(_is_utf8))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


Retype = Callable[[pd.Series], Any]


def _invalid_utf8(values: pd.Series) -> pa.Array:
    """Strings whose bytes are none: what a writer makes that does not check."""
    offsets = pa.py_buffer(np.arange(0, 2 * len(values) + 1, 2, dtype=np.int32).tobytes())
    return pa.StringArray.from_buffers(len(values), offsets, pa.py_buffer(b"\xff\xfe" * len(values)))


def _as_times(values: pd.Series, unit: str, zone: str | None) -> pd.Series:
    times = pd.Series(pd.date_range("2024-01-01", periods=len(values), freq="h", tz=zone))
    return times.dt.as_unit(unit)


RETYPES: dict[str, Retype] = {
    "text": lambda values: values.astype(str),
    "float": lambda values: np.arange(len(values), dtype=float),
    "float16": lambda values: pa.array(np.linspace(0, 1, len(values)).astype(np.float16)),
    "int": lambda values: np.arange(len(values)),
    "uint64": lambda values: np.arange(len(values), dtype=np.uint64) + np.uint64(2**63),
    "int8": lambda values: (np.arange(len(values)) % 5).astype(np.int8),
    "bool": lambda values: np.arange(len(values)) % 2 == 0,
    "bytes": lambda values: [str(value).encode() for value in values],
    "no utf-8": _invalid_utf8,
    "category": lambda values: values.astype("category"),
    "category with gaps": lambda values: values.astype(str).where(np.arange(len(values)) > 0).astype("category"),
    "integer category": lambda values: pd.Series(np.arange(len(values)) % 3).astype("category"),
    "list": lambda values: [[str(value)] for value in values],
    "struct": lambda values: [{"a": str(value)} for value in values],
    "map": lambda values: pa.array([[("a", 1)]] * len(values), type=pa.map_(pa.string(), pa.int64())),
    "decimal": lambda values: pa.array([decimal.Decimal("1.50")] * len(values)),
    "null": lambda values: pa.nulls(len(values)),
    "day": lambda values: [dt.date(2024, 1, 1 + row % 28) for row in range(len(values))],
    "edge day": lambda values: pa.array([EDGE_DAYS[row % 2] for row in range(len(values))], type=pa.timestamp("us")),
    "hour": lambda values: [dt.time(1, 2)] * len(values),
    "duration": lambda values: pa.array([1] * len(values), type=pa.duration("s")),
    "seconds": lambda values: _as_times(values, "s", None),
    "nanoseconds": lambda values: _as_times(values, "ns", "America/New_York"),
    "large text": lambda values: pa.array([str(value) for value in values], type=pa.large_string()),
    "text view": lambda values: pa.array([str(value) for value in values], type=pa.string_view()),
    "mixed zones": lambda values: [f"2024-01-0{1 + row % 9}T00:00:00{('Z', '+02:00')[row % 2]}"
                                   for row in range(len(values))],
    "dates in words": lambda values: [f"2024-01-0{1 + row % 9}" for row in range(len(values))],
    "one value": lambda values: pd.Series([values.iloc[0]] * len(values)) if len(values) else values,
    "dictionary of numbers": lambda values: pa.array(np.arange(len(values)) % 4).dictionary_encode(),
}


@st.composite
def spoilt_parquet(draw: st.DrawFn, frame: pd.DataFrame, metadata: dict[bytes, bytes]) -> bytes:
    """A Parquet file of `frame` after one to three mischiefs; `metadata` as the sound file had it."""
    columns: dict[str, Any] = {str(name): frame[name].reset_index(drop=True) for name in frame.columns}
    rows = len(frame)
    names = list(columns)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from((
            "drop", "rename", "retype", "retype", "cell", "cell", "cell", "cells", "add", "repeat", "cut", "shuffle",
        )))
        column = draw(st.sampled_from(names)) if names else None
        if column is None:
            break
        held = columns[column]
        if kind == "drop":
            del columns[column]
        elif kind == "rename":
            other = draw(st.sampled_from((*names, "", "tier", "x", "index", "__index_level_0__", "title", "a.b", "é")))
            columns = {other if name == column else name: values for name, values in columns.items()}
        elif kind == "retype":
            columns[column] = RETYPES[draw(st.sampled_from(sorted(RETYPES)))](_series(held))
        elif kind in ("cell", "cells") and rows:
            values = _series(held)
            cell = draw(odd_cells(values))
            where = range(rows) if kind == "cells" else [draw(st.integers(0, rows - 1))]
            if pd.api.types.is_numeric_dtype(values):
                values = values.astype(float)
            held = values.tolist()
            for row in where:
                held[row] = cell
            columns[column] = pd.Series(held, dtype=values.dtype) if not _is_text(values) else held
        elif kind == "add":
            other = draw(st.sampled_from(("", "tier", "more", "segment", "weight", "boost", "group", "\n", "query")))
            columns[other] = RETYPES[draw(st.sampled_from(sorted(RETYPES)))](_series(held))
        elif kind in ("repeat", "cut", "shuffle"):
            order = list(range(rows))
            if kind == "repeat":
                order = order + order[: draw(st.integers(1, 3))]
            elif kind == "cut":
                order = order[: draw(st.sampled_from((0, 0, 1, 2)))]
            else:
                order = order[::-1]
            columns = {name: _take(values, order) for name, values in columns.items()}
            rows = len(order)
        names = list(columns)
    table = _table(columns, rows)
    if names and draw(st.integers(0, 19)) == 0:
        table = pa.Table.from_arrays([*table.columns, table.columns[0]], names=[*names, names[0]])
    noted = dict(metadata)
    if draw(st.integers(0, 9)) == 0:
        noted[draw(st.sampled_from((b"ltexpo", b"pandas")))] = draw(st.sampled_from((
            b"", b"no json", b"[]", b"\xff", b"{}", b'{"trained_until": "soon"}', b'{"trained_until": 3}',
            b'{"trained_until": []}', b'{"trained_until": "2999-01-01"}', b'{"columns": 3}',
        )))
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(noted), target)
    content = target.getvalue()
    return draw(spoilt_bytes(content)) if draw(st.integers(0, 7)) == 0 else content


def _series(values: Any) -> pd.Series:
    if not isinstance(values, pa.Array):
        return pd.Series(values)
    try:
        found: pd.Series = values.to_pandas()
        found.tolist()  # texts that are not UTF-8 are seen only now
        return found
    except (pa.ArrowException, UnicodeDecodeError, ValueError):
        return pd.Series(["?"] * len(values))


def _is_text(values: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values))


def _take(values: Any, order: list[int]) -> Any:
    array = _array(values)
    try:
        return array.take(pa.array(order, type=pa.int64()))
    except pa.ArrowNotImplementedError:  # of a type without that kernel
        return pa.concat_arrays([array[row : row + 1] for row in order]) if order else array[:0]


def _array(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _table(columns: dict[str, Any], rows: int) -> pa.Table:
    if not columns:
        return pa.table({})
    return pa.table({name: _array(values) for name, values in columns.items()})


@st.composite
def spoilt_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A file that was cut, overwritten, emptied, or is something else."""
    kind = draw(st.sampled_from(("cut", "flip", "flip", "zero", "empty", "double", "text")))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        spoilt = bytearray(content)
        for where in draw(st.lists(st.integers(0, max(0, len(content) - 1)), min_size=1, max_size=8)):
            spoilt[where] ^= draw(st.integers(1, 255))
        return bytes(spoilt)
    if kind == "zero":
        return content[:at] + bytes(len(content) - at)
    if kind == "double":
        return content + content
    return b"" if kind == "empty" else b"request_id,item_id,score\nu,a,1\n"


@st.composite
def spoilt_csv(draw: st.DrawFn, content: bytes) -> bytes:
    """A CSV with other cells, columns, rows or bytes."""
    if draw(st.integers(0, 5)) == 0:
        return draw(spoilt_bytes(content))
    lines = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        if not lines:
            break
        kind = draw(st.sampled_from((
            "cell", "cell", "header", "drop row", "long row", "short row", "drop column", "cut",
        )))
        row = draw(st.integers(0, len(lines) - 1))
        if kind in ("cell", "header") and lines[row]:
            row = 0 if kind == "header" else row
            if not lines[row]:
                continue
            at = draw(st.integers(0, len(lines[row]) - 1))
            lines[row][at] = draw(st.sampled_from((*ODD_TEXTS, '"', '"a', "a,b", "1e999", "-5", "inf", "\r")))
        elif kind == "drop row":
            del lines[row]
        elif kind == "long row":
            lines[row] = [*lines[row], "more"]
        elif kind == "short row":
            lines[row] = lines[row][:1]
        elif kind == "drop column":
            at = draw(st.integers(0, 3))
            lines = [[cell for place, cell in enumerate(line) if place != at] for line in lines]
        else:
            lines = lines[: draw(st.integers(0, 2))]
    return "\n".join(",".join(line) for line in lines).encode()
