"""Columns as sources spell them → ids, numbers and times in the contract's spelling; refusals name row and value."""

import re
from typing import Literal

import numpy as np
import pandas as pd

from ltexpo.errors import ColumnError, shown


def as_ids(values: pd.Series, where: str) -> pd.Series:
    """Ids as strings: whole numbers lose their dot, strings stay as they are (leading zeros too), gaps stay."""
    if pd.api.types.is_bool_dtype(values):
        raise ColumnError(f"{where}: holds true and false, expected ids. Map another column.")
    if pd.api.types.is_numeric_dtype(values):
        odd = values.notna() & (values % 1 != 0)
        if odd.any():
            raise _refuse_id(odd, where, "not an id", "Write ids as strings or whole numbers")
        # An integer column with gaps arrives as floats; 2^53 is where floats begin to skip whole numbers.
        large = values.abs() > 2**53 if pd.api.types.is_float_dtype(values) else values != values
        if large.any():
            raise _refuse_id(large, where, "too large to be exact as a float", "Write ids as strings")
        return values.astype("Int64").astype(object).map(str, na_action="ignore")
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if values.dtype == object:
        return values.map(lambda value: str(value) if isinstance(value, int) else value, na_action="ignore")
    return values


def as_numbers(values: pd.Series, where: str) -> pd.Series:
    """Numbers as float64, gaps as NaN."""
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    odd = numbers.isna() & values.notna()
    if odd.any():
        raise _refuse(values, odd, where, "not a number", "Mend it or leave it empty")
    return numbers


def as_times(values: pd.Series, where: str, *, unit: Literal["iso", "s", "ms", "us"] = "iso") -> pd.Series:
    """Times in UTC from ISO 8601 texts (`unit` iso; no zone = UTC) or from numbers since 1970 in s, ms or us."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values
    if unit == "iso":
        texts = values.map(str, na_action="ignore") if values.dtype == object else values
        times = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
        odd = times.isna() & values.notna()
        if odd.any():
            raise _refuse(values, odd, where, "not an ISO 8601 time", "Write times like 2024-05-31T12:00:00Z")
        return times
    numbers = as_numbers(values, where)
    times = pd.to_datetime(numbers, unit=unit, errors="coerce", utc=True)
    # Numbers of a finer unit than was named give years far ahead; no log holds such.
    odd = numbers.notna() & (times.isna() | (times > pd.Timestamp("2200-01-01", tz="UTC")))
    if odd.any():
        raise _refuse(values, odd, where, f"not a time in '{unit}' since 1970", "Name the right unit: s, ms or us")
    rounded: pd.Series = times.dt.round("us")
    return rounded


def as_price(value: object) -> tuple[float | None, str | None]:
    """The price in a cell such as 12.99, '$1,012.99' or '$5.00 - $9.00', and what was mended, if anything was."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float(value), None) if np.isfinite(value) and value >= 0 else (None, "price not readable, left empty")
    if not isinstance(value, str) or value.strip().lower() in ("", "none", "null"):
        return None, None
    found = [float(match.replace(",", "")) for match in re.findall(r"\d[\d,]*(?:\.\d+)?", value[:40])]
    # Pages were scraped, so style sheets and scripts stand in some cells.
    if not found or not re.fullmatch(r"(?:from\s+)?\$?\s?[\d.,]+(?:\s*-\s*\$?\s?[\d.,]+)?", value.strip()):
        return None, "price not readable, left empty"
    return min(found), "price range, lowest taken" if len(found) > 1 else None


def _refuse_id(bad: pd.Series, where: str, what: str, mend: str) -> ColumnError:
    """Without the value: it may be a user's id."""
    row = int(np.flatnonzero(bad.to_numpy())[0])
    return ColumnError(f"{where} row {row} is {what} ({int(bad.sum())} such rows). {mend}.")


def _refuse(values: pd.Series, bad: pd.Series, where: str, what: str, mend: str) -> ColumnError:
    row = int(np.flatnonzero(bad.to_numpy())[0])
    more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
    return ColumnError(f"{where} row {row} is {shown(values.iloc[row])}, {what}{more}. {mend}.")
