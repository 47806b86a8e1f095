"""Candidates as they come (a frame, an Arrow table, Parquet on disk) → record batches, as often as needed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ltexpo.columns import Columns
from ltexpo.data.batches import open_parquet, read_batches
from ltexpo.data.schema import CANDIDATES, Contract, check_column, check_names, column_error, wrong_type
from ltexpo.errors import ColumnError, ConfigError, TableError

Candidates: TypeAlias = pd.DataFrame | pa.Table | ds.Dataset | Path | str

BATCH_ROWS = 2**20
"""Rows of a batch: a few MB a column, and long enough that a call costs nothing."""
_IDS = (Columns.Request, Columns.Item, Columns.User)


class Source:
    """Candidates with their columns checked by name; `batches` reads columns of them in order, as often as needed."""

    name = CANDIDATES.name
    contract: Contract = CANDIDATES

    def __init__(self, candidates: Candidates) -> None:
        if isinstance(candidates, pd.DataFrame):
            candidates = _arrow(candidates)
        elif isinstance(candidates, Path | str):
            # the same strings stand in row after row: as codes they are read without being copied
            candidates = open_parquet(Path(candidates), columns=tuple(CANDIDATES.kinds), dictionary=_IDS)
        self._data: pa.Table | ds.Dataset = candidates
        self.schema: pa.Schema = candidates.schema
        check_names(self.schema.names, self.contract)
        self.n_rows = candidates.num_rows if isinstance(candidates, pa.Table) else candidates.count_rows()
        if self.n_rows == 0:
            raise TableError(f"{self.name}: {self.name} is empty. Give at least one row.")

    def __contains__(self, column: str) -> bool:
        return column in self.schema.names

    @property
    def files(self) -> ds.FileSystemDataset:
        """The Parquet it is on disk; raises `ConfigError` when it is a table in memory."""
        if not isinstance(self._data, ds.FileSystemDataset):
            raise ConfigError("candidates: a table in memory cannot be read by an engine. Give the path of Parquet.")
        return self._data

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Every row, in order, `BATCH_ROWS` or fewer at a time."""
        if isinstance(self._data, pa.Table):
            batches = self._data.select(list(columns)).to_batches(max_chunksize=BATCH_ROWS)
            yield from (batch for batch in batches if batch.num_rows)
        else:
            yield from read_batches(self._data, columns, rows=BATCH_ROWS)

    def refuse(
        self, column: str, bad: Callable[[pa.Array], npt.NDArray[np.bool_]], what: str, mend: str
    ) -> ColumnError:
        """The refusal that names the first row of `column` where `bad` holds, and counts these rows."""
        first, count, seen = -1, 0, 0
        value: object = None
        for batch in self.batches([column]):
            values = batch.column(0)
            found = bad(values)
            if first < 0 and found.any():
                at = int(np.flatnonzero(found)[0])
                first, value = seen + at, values[at : at + 1].to_pandas().iloc[0]
            count += int(found.sum())
            seen += len(values)
        return column_error(self.name, column, first, value, what, count, mend)

    def ids(self, values: pa.Array, column: str, notes: dict[str, int]) -> pa.Array:
        """`values` as strings or a dictionary of them, without gaps and blanks; integers are counted in `notes`."""
        self._refuse_gaps(values, column)
        if pa.types.is_integer(values.type):
            note = f"{column}: integers read as strings"
            notes[note] = notes.get(note, 0) + len(values)
            return pc.cast(values, pa.large_string())
        texts = values.dictionary if pa.types.is_dictionary(values.type) else values
        if not _is_text(texts.type):
            raise self._wrong_type(values, column, "strings")
        if pc.any(pc.equal(texts, "")).as_py() and _is_blank(values).any():
            raise self.refuse(column, _is_blank, "an empty id", "Fill it or leave the row out")
        return values

    def numbers(self, values: pa.Array, column: str) -> npt.NDArray[np.floating]:
        """`values` as finite floats, float32 where they came so."""
        self._refuse_gaps(values, column)
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise self._wrong_type(values, column, "numbers")
        raw = values.to_numpy(zero_copy_only=False)
        numbers: npt.NDArray[np.floating] = raw if raw.dtype == np.float32 else raw.astype(np.float64, copy=False)
        # min and max see NaN and infinities without a mask
        if len(numbers) and not (np.isfinite(numbers.min()) and np.isfinite(numbers.max())):
            if np.isnan(numbers).any():
                raise self.refuse(column, _is_gap, "a gap", "Fill it or leave the row out")
            raise self.refuse(column, _is_infinite, "not finite", "Leave it out or mend the upstream computation")
        return numbers

    def amounts(self, values: pa.Array, column: str) -> npt.NDArray[np.floating]:
        """`values` as finite floats of 0 or more."""
        numbers = self.numbers(values, column)
        if len(numbers) and numbers.min() < 0:
            raise self.refuse(column, _is_negative, "negative", "Give a value of 0 or more")
        return numbers

    def _refuse_gaps(self, values: pa.Array, column: str) -> None:
        gaps = values.null_count
        if not gaps and pa.types.is_dictionary(values.type) and values.dictionary.null_count:
            gaps = pc.sum(values.is_null()).as_py()
        if gaps:
            raise self.refuse(column, _is_gap, "a gap", "Fill it or leave the row out")

    def _wrong_type(self, values: pa.Array, column: str, wanted: str) -> ColumnError:
        head = values[:1000].to_pandas()
        check_column(head, column, self.contract, where=self.name)
        return wrong_type(head, column, wanted, where=self.name)


def _is_blank(values: pa.Array) -> npt.NDArray[np.bool_]:
    return _mask(pc.equal(_plain(values), ""))


def _is_gap(values: pa.Array) -> npt.NDArray[np.bool_]:
    return _mask(pc.is_null(_plain(values), nan_is_null=True))


def _is_infinite(values: pa.Array) -> npt.NDArray[np.bool_]:
    return _mask(pc.is_inf(values))


def _is_negative(values: pa.Array) -> npt.NDArray[np.bool_]:
    return _mask(pc.less(values, 0))


def as_texts(values: pa.Array) -> pa.Array:
    """Ids as plain strings."""
    return pc.cast(_plain(values), pa.large_string())


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _mask(flags: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
    return mask


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """The known columns of `frame`; a column that Arrow would convert in silence is refused as the contract says."""
    check_names([str(name) for name in frame.columns], CANDIDATES)
    columns: dict[str, Any] = {}
    for column in frame.columns:
        if column not in CANDIDATES.kinds:
            continue
        values = frame[column]
        if values.dtype == object:
            values = check_column(values.reset_index(drop=True), column, CANDIDATES, where=CANDIDATES.name)
        columns[column] = pa.array(values, from_pandas=True)
    return pa.table(columns)
