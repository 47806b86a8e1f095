"""A frame as it arrived → the same frame in its contract's types, or a refusal that names column, row and mend."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.tables import read_frame
from ltexpo.errors import ColumnError, TableError, shown

Kind = Literal["id", "text", "number", "boost", "rank", "time", "event", "flag"]


@dataclass(frozen=True)
class Contract:
    """What a table must and may hold; columns beyond these pass through as attributes."""

    name: str
    required: dict[str, Kind]
    optional: dict[str, Kind]
    key: tuple[str, ...] = ()
    """Columns whose combination may not repeat."""
    mend: str = ""
    """What to do when a required column is missing."""
    nullable: frozenset[str] = frozenset()
    """Optional columns that may have gaps."""

    @property
    def kinds(self) -> dict[str, Kind]:
        """Every named column with its kind."""
        return self.required | self.optional


@dataclass(frozen=True)
class Checked:
    """A frame that satisfies its contract, and what was tolerated on the way."""

    frame: pd.DataFrame
    notes: dict[str, int] = field(default_factory=dict)
    """What was tolerated → how many rows."""
    integer_ids: frozenset[str] = frozenset()
    """Id columns that arrived as integers."""


ITEMS = Contract(
    name="items",
    required={Columns.Item: "id", Columns.Title: "text"},
    optional={
        Columns.Description: "text",
        Columns.Brand: "id",
        Columns.Category: "text",
        Columns.Seller: "id",
        Columns.Price: "number",
        Columns.CreatedAt: "time",
    },
    key=(Columns.Item,),
    mend="Name your columns with 'ltexpo import generic' and a column map.",
    nullable=frozenset({
        Columns.Title, Columns.Description, Columns.Brand, Columns.Category, Columns.Seller, Columns.Price,
        Columns.CreatedAt,
    }),
)
EVENTS = Contract(
    name="events",
    required={Columns.User: "id", Columns.Item: "id", Columns.Event: "event", Columns.Timestamp: "time"},
    optional={
        Columns.Request: "id",
        Columns.Rank: "rank",
        Columns.Propensity: "number",
        Columns.Price: "number",
        Columns.Query: "text",
        Columns.Rating: "number",
        Columns.Text: "text",
    },
    mend="Name your columns with 'ltexpo import generic' and a column map.",
    nullable=frozenset({
        Columns.Request, Columns.Rank, Columns.Propensity, Columns.Price, Columns.Query, Columns.Rating, Columns.Text,
    }),
)
USERS = Contract(
    name="users",
    required={Columns.User: "id"},
    optional={Columns.Segment: "text"},
    key=(Columns.User,),
    nullable=frozenset({Columns.Segment}),
)
CANDIDATES = Contract(
    name="candidates",
    required={Columns.Request: "id", Columns.Item: "id", Columns.Score: "number"},
    optional={
        Columns.User: "id",
        Columns.Query: "text",
        Columns.Rank: "rank",
        Columns.ScoreStd: "number",
        Columns.ScoreSpread: "number",
        Columns.Weight: "number",
        Columns.Timestamp: "time",
    },
    key=(Columns.Request, Columns.Item),
    mend="Run 'ltexpo recommend' first, or name your ranker's columns so.",
    nullable=frozenset({Columns.Query, Columns.Timestamp}),
)
GIVEN = Contract(
    name="candidates",
    required={Columns.Request: "id", Columns.Item: "id"},
    optional={
        Columns.User: "id",
        Columns.Query: "text",
        Columns.Rank: "rank",
        Columns.Weight: "number",
        Columns.Timestamp: "time",
    },
    key=(Columns.Request, Columns.Item),
    mend="Name your engine's columns so.",
    nullable=frozenset({Columns.Query, Columns.Timestamp}),
)
"""Candidates that are yet to be scored."""
RANKINGS = Contract(
    name="rankings",
    required={Columns.Request: "id", Columns.Rank: "rank", Columns.Item: "id"},
    optional={
        Columns.User: "id",
        Columns.Score: "number",
        Columns.Exposure: "number",
        Columns.Price: "boost",
        Columns.Boosted: "flag",
    },
    key=(Columns.Request, Columns.Item),
    mend="Run 'ltexpo rerank' first.",
)


def read_table(path: Path, contract: Contract) -> Checked:
    """The Parquet at `path`, checked; every refusal starts with the path.

    Of a folder, each part must hold what the contract requires; optional columns may be in some of them only.
    """
    return check_table(read_frame(path, required=list(contract.required)), contract, source=str(path))


def check_table(frame: pd.DataFrame, contract: Contract, *, source: str | None = None) -> Checked:
    """`frame` in the types of `contract`: ids and texts strings, times UTC, numbers finite floats, ranks int32.

    Raises `ColumnError` or `TableError`; what is tolerated (integer ids, times without a zone) is counted in `notes`.
    """
    where = source or contract.name
    check_names(list(frame.columns), contract, source=source)
    if frame.empty:
        raise TableError(f"{where}: {contract.name} is empty. Give at least one row.")
    notes: dict[str, int] = {}
    integer_ids = set()
    columns: dict[str, pd.Series] = {}
    for column in frame.columns:
        values = frame[column].reset_index(drop=True)
        kind = contract.kinds.get(column)
        if kind is None:
            columns[column] = values
            continue
        check = _Check(where, column, nullable=column in contract.nullable)
        columns[column] = check.run(values, kind)
        for note, count in check.notes.items():
            notes[note] = notes.get(note, 0) + count
        if check.integer_ids:
            integer_ids.add(column)
    checked = pd.DataFrame(columns)
    if contract.key:
        _refuse_repeats(checked, list(contract.key), where)
    if contract.name == "rankings":
        _refuse_rank_holes(checked, where)
    return Checked(checked, notes, frozenset(integer_ids))


def check_names(names: Sequence[str], contract: Contract, *, source: str | None = None) -> None:
    """Refuse a table whose columns `names` lack a required one or hold one twice."""
    where = source or contract.name
    missing = [column for column in contract.required if column not in names]
    if missing:
        found = ", ".join(map(str, names)) or "no columns"
        lacks = ", ".join(f"'{column}'" for column in missing)
        raise ColumnError(f"{where}: {contract.name} lacks {lacks}; found {found}. {contract.mend}".rstrip())
    doubled = next((name for name in names if list(names).count(name) > 1), None)
    if doubled is not None:
        raise ColumnError(f"{where}: {contract.name} has two columns named '{doubled}'. Rename one.")


def check_column(values: pd.Series, column: str, contract: Contract, *, where: str) -> pd.Series:
    """One column in the type of `contract`; raises `ColumnError` as `check_table` does."""
    return _Check(where, column, nullable=column in contract.nullable).run(values, contract.kinds[column])


def column_error(
    where: str, column: str, row: int, value: object, what: str, count: int, mend: str
) -> ColumnError:
    """The refusal of `count` values of a column, the first of which is `value` in `row`."""
    rows = f" ({count} such rows)" if count > 1 else ""
    held = what if column in Columns.Personal else f"{shown(value)}, {what}"
    return ColumnError(f"{where}: '{column}' row {row} is {held}{rows}. {mend}.")


def wrong_type(values: pd.Series, column: str, wanted: str, *, where: str) -> ColumnError:
    """The refusal of a column that does not hold what is `wanted`."""
    held = values.dropna()
    such = f"{values.dtype} values" if len(held) else "nothing"
    if len(held) and column not in Columns.Personal:
        such += f" such as {shown(held.iloc[0])}"
    return ColumnError(f"{where}: '{column}' holds {such}, expected {wanted}. Convert the column.")


def require_known_ids(left: Checked, right: Checked, column: str, *, left_name: str, right_name: str) -> None:
    """Refuse when `left` holds ids in `column` that `right` does not, or when one side's ids were numbers."""
    left_int, right_int = column in left.integer_ids, column in right.integer_ids
    if left_int != right_int:
        numbers, strings = (left_name, right_name) if left_int else (right_name, left_name)
        raise ColumnError(
            f"'{column}' holds numbers in {numbers} and strings in {strings}. "
            f"Write both as strings (numbers lose leading zeros)."
        )
    unknown = ~left.frame[column].isin(right.frame[column])
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        which = f"its {column}" if column in Columns.Personal else f"{column} '{left.frame[column].iloc[row]}'"
        raise TableError(
            f"{left_name} row {row}: {which} is not in {right_name} "
            f"({int(unknown.sum())} such rows). Add it to {right_name} or leave those rows out."
        )


_LAST_RANK = 2**31 - 1


class _Check:
    """One column's conversion; collects what it tolerated."""

    def __init__(self, where: str, column: str, *, nullable: bool) -> None:
        self.where, self.column, self.nullable = where, column, nullable
        self.notes: dict[str, int] = {}
        self.integer_ids = False

    def run(self, values: pd.Series, kind: Kind) -> pd.Series:
        gaps = values.isna()
        if gaps.any() and not self.nullable:
            raise self.refuse(values, gaps, "a gap", "Fill it or leave the row out")
        checked: pd.Series = getattr(self, f"_{kind}")(values)
        return checked

    def refuse(self, values: pd.Series, bad: pd.Series, what: str, mend: str) -> ColumnError:
        row = int(np.flatnonzero(bad.to_numpy())[0])
        return column_error(self.where, self.column, row, values.iloc[row], what, int(bad.sum()), mend)

    def wrong_type(self, values: pd.Series, wanted: str) -> ColumnError:
        return wrong_type(values, self.column, wanted, where=self.where)

    def _id(self, values: pd.Series) -> pd.Series:
        if pd.api.types.is_bool_dtype(values) or (pd.api.types.is_float_dtype(values) and not values.isna().all()):
            raise self.wrong_type(values, "strings (floats lose ids; write them as strings)")
        if pd.api.types.is_integer_dtype(values):
            self.integer_ids = True
            self.notes[f"{self.column}: integers read as strings"] = len(values)
            return values.astype(str)
        texts = self._text(values)
        blank = texts == ""
        if blank.any():
            raise self.refuse(texts, blank, "an empty id", "Fill it or leave the row out")
        return texts

    def _text(self, values: pd.Series) -> pd.Series:
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(values.cat.categories.dtype)
        if values.isna().all():
            return pd.Series(pd.array([None] * len(values), dtype=_STRING))
        if pd.api.types.is_string_dtype(values) and values.dtype != object:
            return values.astype(_STRING)
        if values.dtype != object:
            raise self.wrong_type(values, "strings")
        odd = values.notna() & ~values.map(lambda value: isinstance(value, str))
        if odd.any():
            raise self.refuse(values, odd, "not a string", "Write the whole column as strings")
        return values.astype(_STRING)

    def _boost(self, values: pd.Series) -> pd.Series:
        """Finite numbers of either sign: a boost below 0 holds an item back."""
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            if values.isna().all():
                return values.astype("float64")
            raise self.wrong_type(values, "numbers")
        numbers = values.astype("float32" if values.dtype == np.float32 else "float64")
        infinite = pd.Series(np.isinf(numbers.to_numpy()))
        if infinite.any():
            raise self.refuse(values, infinite, "not finite", "Leave it out or mend the upstream computation")
        return numbers

    def _number(self, values: pd.Series) -> pd.Series:
        numbers = self._boost(values)
        if self.column == Columns.Propensity:
            outside = (numbers <= 0) | (numbers > 1)
            if outside.any():
                raise self.refuse(values, outside, "not a probability above 0 and up to 1", "Log what was used")
        not_negative = (Columns.Price, Columns.ScoreStd, Columns.ScoreSpread, Columns.Weight)
        if self.column in not_negative and (numbers < 0).any():
            raise self.refuse(values, numbers < 0, "negative", "Give a value of 0 or more")
        return numbers

    def _rank(self, values: pd.Series) -> pd.Series:
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            if values.isna().all():
                return pd.Series(pd.array([None] * len(values), dtype="Int32"))
            raise self.wrong_type(values, "whole numbers from 1")
        bad = values.notna() & ((values < 1) | (values % 1 != 0) | (values > _LAST_RANK))
        if bad.any():
            raise self.refuse(values, bad, "not a rank", "Ranks are whole numbers from 1")
        return values.astype("Int32" if values.isna().any() else "int32")

    def _flag(self, values: pd.Series) -> pd.Series:
        if not pd.api.types.is_bool_dtype(values):
            raise self.wrong_type(values, "true or false")
        return values.astype(bool)

    def _event(self, values: pd.Series) -> pd.Series:
        texts = self._text(values)
        unknown = ~texts.isin(EventKind.All)
        if unknown.any():
            raise self.refuse(texts, unknown, "not a known event", f"Use one of {', '.join(EventKind.All)}")
        return texts

    def _time(self, values: pd.Series) -> pd.Series:
        times = self._parsed(values)
        # A day of grace for zones and clocks that differ.
        ahead = int((times > pd.Timestamp.now("UTC") + pd.Timedelta(days=1)).sum())
        if ahead:
            self.notes[f"{self.column}: times in the future"] = ahead
        return times

    def _parsed(self, values: pd.Series) -> pd.Series:
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            return values.astype("datetime64[us, UTC]")
        if pd.api.types.is_datetime64_dtype(values):
            self.notes[f"{self.column}: times without a zone read as UTC"] = int(values.notna().sum())
            return values.astype("datetime64[us]").dt.tz_localize("UTC")
        if pd.api.types.is_numeric_dtype(values):
            raise self.wrong_type(values, "times (for epoch seconds: pd.to_datetime(column, unit='s', utc=True))")
        texts = values.map(lambda value: value.isoformat() if hasattr(value, "isoformat") else value)
        texts = self._text(texts)
        zones = texts.str.extract(r"(?:[T ]\d{2}:\d{2}\S*?)(Z|[+-]\d{2}:?\d{2})$", expand=False).fillna("none")
        zones = zones.replace({"Z": "+00:00"})
        other = texts.notna() & (zones != zones.iloc[0])
        if other.any():
            row = int(np.flatnonzero(other.to_numpy())[0])
            raise ColumnError(
                f"{self.where}: '{self.column}' mixes time zones: row 0 has {zones.iloc[0]}, row {row} has "
                f"{zones.iloc[row]}. Convert the column to UTC."
            )
        try:
            times = pd.to_datetime(texts, utc=True, format="ISO8601")
        except (ValueError, pd.errors.OutOfBoundsDatetime) as error:
            bad = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce").isna() & texts.notna()
            raise self.refuse(texts, bad, "not an ISO 8601 time", "Write times like 2024-05-31T12:00:00Z") from error
        if zones.iloc[0] == "none":
            self.notes[f"{self.column}: times without a zone read as UTC"] = int(times.notna().sum())
        return times.astype("datetime64[us, UTC]")


_STRING = pd.StringDtype(na_value=np.nan) if int(pd.__version__.split(".")[0]) >= 3 else pd.StringDtype("pyarrow")


def _refuse_repeats(frame: pd.DataFrame, key: list[str], where: str) -> None:
    repeated = frame.duplicated(key)
    if repeated.any():
        row = int(np.flatnonzero(repeated.to_numpy())[0])
        first = int(np.flatnonzero((frame[key] == frame[key].iloc[row]).all(axis=1).to_numpy())[0])
        which = ", ".join(
            f"the {column} of row {first}" if column in Columns.Personal else f"{column} '{frame[column].iloc[row]}'"
            for column in key
        )
        raise TableError(
            f"{where} row {row}: {which} stands there twice ({int(repeated.sum())} repeated rows). Keep one of each."
        )


def _refuse_rank_holes(frame: pd.DataFrame, where: str) -> None:
    """Ranks of each request must be 1, 2, …, its length."""
    ranks = frame.groupby(Columns.Request, sort=False)[Columns.Rank]
    summary = pd.DataFrame({"last": ranks.max(), "count": ranks.size(), "distinct": ranks.nunique()})
    bad = summary[(summary["last"] != summary["count"]) | (summary["distinct"] != summary["count"])]
    if len(bad):
        own = frame[Columns.Request] == bad.index[0]
        held = sorted(frame.loc[own, Columns.Rank])
        listed = ", ".join(map(str, held[:6])) + (", …" if len(held) > 6 else "")
        raise TableError(
            f"{where}: the request of row {int(np.flatnonzero(own)[0])} has ranks {listed}, expected 1 to {len(held)} "
            f"without holes or repeats ({len(bad)} such requests). Number each list again."
        )
