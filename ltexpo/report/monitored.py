"""The folder of a monitor → its days, decisions and alarms as the report reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Values = npt.NDArray[np.float64]

METRIC_COLUMNS = ("day", "metric", "group", "value", "low", "high", "target", "alarm")
DECISION_COLUMNS = ("day", "group", "value", "kind", "price_before", "price_after", "action", "reason")


@dataclass(frozen=True)
class Trend:
    """One number over all days known; NaN where a day has none."""

    days: "pd.DatetimeIndex"
    value: Values
    low: Values
    high: Values
    target: Values
    alarm: npt.NDArray[np.bool_]

    @property
    def known(self) -> int:
        """Days that have it."""
        return int(np.isfinite(self.value).sum())

    def before(self, day: pd.Timestamp) -> int:
        """Days before `day` that have it."""
        return int((np.isfinite(self.value) & (self.days < day)).sum())


@dataclass(frozen=True)
class Days:
    """What a monitor found, day by day."""

    metrics: pd.DataFrame
    """day, metric, group, value, low, high, target, alarm, …"""
    decisions: pd.DataFrame
    """day, group, value, kind, price_before, price_after, action, reason, …"""
    told: Mapping[str, Any]
    """monitor.json of the last day."""

    @property
    def days(self) -> "pd.DatetimeIndex":
        """Every day from the first that was judged to the last."""
        judged = self.decisions["day"] if len(self.decisions) else self.metrics["day"]
        return pd.date_range(judged.min(), self.metrics["day"].max(), freq="D")

    def with_metric(self, metric: str) -> "pd.DatetimeIndex":
        """Every day from the first that has the metric, judged or only read to compare with, to the last."""
        mine = self.metrics.loc[self.metrics["metric"] == metric, "day"]
        return self.days if mine.empty else pd.date_range(mine.min(), self.metrics["day"].max(), freq="D")

    def trend(self, metric: str, group: str = "all", *, over: "pd.DatetimeIndex | None" = None) -> Trend:
        """The number over the days `over`; without them over `days`."""
        over = self.days if over is None else over
        mine = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["group"] == group)]
        held = mine.set_index(pd.to_datetime(mine["day"])).reindex(over)
        value, low, high, target = (held[name].to_numpy(np.float64) for name in ("value", "low", "high", "target"))
        return Trend(over, value, low, high, target, held["alarm"].eq(True).to_numpy(bool))

    def today(self, metric: str, group: str = "all") -> Mapping[str, Any] | None:
        """The row of the last day; None where it was not judged."""
        rows = self.metrics[
            (self.metrics["day"] == str(self.told.get("day"))) & (self.metrics["metric"] == metric)
            & (self.metrics["group"] == group)
        ]
        return None if rows.empty else {str(name): value for name, value in rows.iloc[0].items()}
