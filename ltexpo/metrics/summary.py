"""Named measures → tidy tables: one row per metric, cutoff and tier, with intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy.typing as npt
import pandas as pd

from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Estimate, Ratio, difference, estimate

AllTiers = "all"
"""Value of the tier column where a row speaks of every tier together."""


@dataclass(frozen=True)
class Measure:
    """A metric of one cutoff and tier: a mean or ratio over lists, or a number of the whole catalogue."""

    name: str
    k: int
    tier: str
    sample: Ratio | float
    """A `Ratio` has an interval over users; a plain number has none."""
    lists: int
    """Lists behind it."""

    @property
    def metric(self) -> str:
        """The name that tables show, e.g. ``ndcg@10``."""
        return f"{self.name}@{self.k}"

    def estimate(self) -> Estimate:
        """Value with interval; the interval of a plain number is NaN."""
        if isinstance(self.sample, Ratio):
            return estimate(self.sample)
        return _without_interval(self.sample, self.lists)

    def minus(self, control: "Measure") -> Estimate:
        """This − `control`, paired over users."""
        if isinstance(self.sample, Ratio) and isinstance(control.sample, Ratio):
            return difference(self.sample, control.sample)
        return _without_interval(self.estimate().value - control.estimate().value, self.lists)


def measures_table(measures: Iterable[Measure]) -> pd.DataFrame:
    """Columns metric, k, tier, value, low, high, n (lists); the interval holds with 95% over users."""
    rows = [{"metric": m.metric, "k": m.k, "tier": m.tier} | _shown(m.estimate()) for m in measures]
    return pd.DataFrame(rows, columns=["metric", "k", "tier", "value", "low", "high", "n"])


def differences_table(treatment: Sequence[Measure], control: Sequence[Measure]) -> pd.DataFrame:
    """Columns metric, k, tier, control, treatment, value (treatment − control), low, high, n; paired over users."""
    rows = [
        {"metric": t.metric, "k": t.k, "tier": t.tier, "control": c.estimate().value, "treatment": t.estimate().value}
        | _shown(t.minus(c))
        for t, c in zip(treatment, control, strict=True)
    ]
    return pd.DataFrame(rows, columns=["metric", "k", "tier", "control", "treatment", "value", "low", "high", "n"])


def clusters_of(requests: "pd.Index[Any]", users: "pd.Series[Any] | None") -> npt.NDArray[Any]:
    """(n,) the user of each of `requests` by `users` (index request_id), or the request itself where there are none."""
    if users is None:
        return requests.to_numpy()
    clusters = users.reindex(requests)
    if clusters.isna().any():
        without = int(clusters.isna().sum())
        raise TableError(f"{without} of {len(requests)} requests have no user. Give every request one.")
    return clusters.to_numpy()


def _shown(number: Estimate) -> dict[str, float]:
    return {name: value for name, value in asdict(number).items() if name in ("value", "low", "high", "n")}


def _without_interval(value: float, lists: int) -> Estimate:
    unknown = float("nan")
    return Estimate(value, unknown, unknown, unknown, lists, 0)
