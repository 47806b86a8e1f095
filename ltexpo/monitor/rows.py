"""What a day showed, as rows of one long table ↔ the same of earlier days, to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import ColumnError

Array = npt.NDArray[np.float64]

ALL = "all"
NAN = float("nan")


class Row(NamedTuple):
    """One number of one day."""

    day: str
    """YYYY-MM-DD, UTC."""
    metric: str
    group: str = ALL
    value: float = NAN
    low: float = NAN
    high: float = NAN
    target: float = NAN
    """What was asked, or the limit of its alarm."""
    alarm: bool = False
    error: float = NAN
    """Standard error within the day."""
    n: float = NAN
    """Rows behind the number: events, lists, items."""


METRIC_COLUMNS = list(Row._fields)


@dataclass(frozen=True)
class Series:
    """One number over days, oldest first."""

    day: npt.NDArray[np.object_]
    value: Array
    error: Array
    n: Array
    alarm: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.day)

    def __getitem__(self, which: npt.NDArray[Any] | slice) -> "Series":
        return Series(self.day[which], self.value[which], self.error[which], self.n[which], self.alarm[which])


_NONE = Series(np.empty(0, object), np.empty(0), np.empty(0), np.empty(0), np.empty(0, bool))


@dataclass(frozen=True)
class Past:
    """Rows of earlier days, by metric and group."""

    frame: pd.DataFrame
    series: dict[tuple[str, str], Series] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pd.DataFrame, *, before: str, days: int) -> "Past":
        """The rows of the `days` days before the day `before`; raises `ColumnError` on a table of something else."""
        missing = [column for column in METRIC_COLUMNS if column not in frame.columns]
        if missing:
            found = ", ".join(map(str, frame.columns))
            raise ColumnError(f"history: metrics.parquet lacks '{missing[0]}'; found {found}. Give a monitor's folder.")
        first = str((pd.Timestamp(before) - pd.Timedelta(days=days)).date())
        day = frame["day"].astype(str).to_numpy(object)
        kept = frame[(day < before) & (day >= first)].sort_values("day", kind="stable", ignore_index=True)
        series = {}
        if len(kept):
            metric, metrics = pd.factorize(kept["metric"])
            group, groups = pd.factorize(kept["group"])
            key = metric.astype(np.int64) * len(groups) + group
            order = np.argsort(key, kind="stable")
            day = kept["day"].astype(str).to_numpy(object)[order]
            numbers = kept[["value", "error", "n"]].to_numpy(np.float64)[order]
            alarm = kept["alarm"].to_numpy(bool)[order]
            keys, starts = np.unique(key[order], return_index=True)
            for code, at, end in zip(keys, starts, [*starts[1:], len(key)], strict=True):
                name = (str(metrics[code // len(groups)]), str(groups[code % len(groups)]))
                value, error, n = numbers[at:end].T
                series[name] = Series(day[at:end], value, error, n, alarm[at:end])
        return cls(kept, series)

    def of_metric(self, metric: str, group: str = ALL) -> Series:
        """The days on which the number is known to have been looked at."""
        return self.series.get((metric, group), _NONE)

    def days(self) -> set[str]:
        """Days that have rows."""
        return {str(day) for day in self.frame["day"].unique()}

    def groups(self, metric: str) -> list[str]:
        """Groups of a metric, sorted."""
        return sorted(group for name, group in self.series if name == metric)


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as the long table."""
    frame = pd.DataFrame(rows, columns=METRIC_COLUMNS)
    numbers = ["value", "low", "high", "target", "error", "n"]
    return frame.astype({**dict.fromkeys(numbers, "float64"), "alarm": bool})


def normal_days(alarms: npt.NDArray[np.bool_], *, settled: int, most: int) -> npt.NDArray[np.bool_]:
    """Which of the days (n,) to compare with: the last `most` without an alarm.

    After a run of `settled` alarms the last days of that run, and what follows, are the new normal; what lies before
    is forgotten.
    """
    usable = ~alarms
    run = 0
    for place, alarm in enumerate(alarms):
        run = run + 1 if alarm else 0
        if run >= settled:
            usable[:place + 1] = False
            usable[place + 1 - settled:place + 1] = True
            run = 0
    kept = np.flatnonzero(usable)[-most:] if most else np.empty(0, int)
    chosen = np.zeros(len(alarms), bool)
    chosen[kept] = True
    return chosen
