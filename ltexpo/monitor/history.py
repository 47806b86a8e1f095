"""Tables that a monitor wrote for earlier days → the same in their types, or a refusal that names the column."""

import pandas as pd

from ltexpo.data.schema import wrong_type
from ltexpo.errors import ColumnError
from ltexpo.monitor.controller import DECISION_COLUMNS
from ltexpo.monitor.rows import METRIC_COLUMNS

_FLAGS = ("alarm", "good")
_NUMBERS = (
    "value", "low", "high", "target", "error", "n", "price_before", "price_after", "achieved", "deviation",
)


def check_metrics(frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """metrics.parquet of a monitor; raises `ColumnError` on a table of something else."""
    return _checked(frame, METRIC_COLUMNS, _NUMBERS, where)


def check_decisions(frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """decisions.parquet of a monitor, in which `value` is a goal's and no number; raises `ColumnError`."""
    return _checked(frame, DECISION_COLUMNS, tuple(name for name in _NUMBERS if name != "value"), where)


def _checked(frame: pd.DataFrame, columns: list[str], numbers: tuple[str, ...], where: str) -> pd.DataFrame:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise ColumnError(f"{where}: lacks '{missing[0]}'; found {found}. Give a monitor's folder.")
    checked = frame[columns].copy()
    for name in columns:
        values = checked[name]
        if name in numbers:
            if not values.isna().all() and not _is_number(values):
                raise wrong_type(values, name, "numbers", where=where)
            checked[name] = values.astype("float64")
        elif name in _FLAGS:
            if len(values) and not pd.api.types.is_bool_dtype(values.dtype):
                raise wrong_type(values, name, "true and false", where=where)
            checked[name] = values.astype(bool)
        elif name != "value" and not values.map(lambda value: isinstance(value, str)).all():
            raise wrong_type(values, name, "texts without gaps", where=where)
    days = pd.Series(checked["day"].unique(), dtype=object)
    wrong = pd.to_datetime(days, format="%Y-%m-%d", errors="coerce").isna()
    if wrong.any():
        raise wrong_type(days[wrong], "day", "days like 2024-05-31", where=where)
    return checked


def _is_number(values: "pd.Series") -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
