"""A fitted environment + a log that it was not fitted on → how far its predictions are off, with intervals.

What was shown in the log is taken as it is; the environment says how often it was examined and clicked. Its own
uncertainty counts too: it is drawn anew from what its log leaves possible (other samples of it, other strengths of
shrinking, other effects of items that were hardly met), and a prediction differs from what happened if it does so
beyond both errors.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ltexpo.columns import Columns, EventKind
from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Ratio, estimate
from ltexpo.simulate.fitted.environment import FitSettings, FittedEnvironment, split, was_clicked

Floats = npt.NDArray[np.float64]

EXPOSURE, CTR = "share of exposure", "click-through rate"
_DECILES = 10


@dataclass(frozen=True)
class Fidelity:
    """What was predicted beside what happened."""

    table: pd.DataFrame
    """what ('click-through rate', 'share of exposure'), by ('all', 'rank', 'popularity'), group, impressions,
    predicted, actual, difference, low, high, z."""
    level: float
    fitted_on: int
    """Impressions."""

    @property
    def off(self) -> float:
        """predicted / actual − 1 of clicks over all."""
        row = self.table[(self.table["what"] == CTR) & (self.table["by"] == "all")].iloc[0]
        return float(row["predicted"] / row["actual"] - 1) if row["actual"] else float("nan")

    @property
    def held(self) -> float:
        """Share of the intervals that hold 0; `level` of them would if the environment were right."""
        return float(((self.table["low"] <= 0) & (self.table["high"] >= 0)).mean())

    def to_pandas(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def __str__(self) -> str:
        lines = [f"{'':<42}{'predicted':>10}{'actual':>10}   {'difference':<26}{'z':>6}"]
        for row in self.table.itertuples():
            label = f"{row.what}, {row.by}" + ("" if row.by == "all" else f" {row.group}")
            interval = f"{row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f})"
            lines.append(f"{label:<42}{row.predicted:>10.4f}{row.actual:>10.4f}   {interval:<26}{row.z:>6.2f}")
        lines.append(f"{self.held:.0%} of the {self.level:.0%} intervals hold no difference")
        return "\n".join(lines)


def fidelity(
    items: pd.DataFrame, events: pd.DataFrame, settings: FitSettings, later: pd.DataFrame, *,
    policy: pd.DataFrame | None = None, refits: int = 20, level: float = 0.95, rng: int | np.random.Generator = 0,
) -> Fidelity:
    """Fit on `events` as `settings` say, and predict `later`: impressions and clicks of a later period or another
    policy.

    Exposure is predicted from what `policy` shows: impressions of it with item_id and rank (without it, those that the
    environment was fitted on), and compared with what `later` shows. Deciles of popularity go by events before those
    that were fitted on (without any, by these): the tenth of the products with fewest is 1. Raises `TableError` where a
    log holds no impressions.
    """
    generator = np.random.default_rng(rng)
    earlier, now = split(events, settings)
    environment = FittedEnvironment.fit(items, events, settings, generator)
    shown = later[later[Columns.Event] == EventKind.Impression]
    fitted_on = now[now[Columns.Event] == EventKind.Impression]
    if shown.empty or fitted_on.empty:
        raise TableError("fidelity needs impressions in both logs: what was shown cannot be predicted without them.")
    deepest = int(max(len(environment.examination), shown[Columns.Rank].max()))
    ranked = fitted_on if policy is None else policy[policy[Columns.Event] == EventKind.Impression]
    case = _Case(items, shown, was_clicked(shown, later), ranked, earlier if len(earlier) else fitted_on, deepest)
    again = []
    likely = environment.take.ridges
    for _ in range(refits):
        ridge = float(generator.choice(list(likely), p=list(likely.values())))
        sample = pd.concat([earlier, _resampled(now, generator)], ignore_index=True)
        other = settings.model_copy(update={"ridge": ridge})
        again.append(case.predicted(FittedEnvironment.fit(items, sample, other, generator, draw=True)))
    plain = case.predicted(environment)
    return Fidelity(case.table(plain, np.std(again, axis=0, ddof=1), level), level, len(fitted_on))


def _resampled(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """As many requests (users where requests are not logged) drawn with replacement."""
    unit = Columns.Request if Columns.Request in events.columns else Columns.User
    codes, names = pd.factorize(events[unit])
    times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[codes]
    drawn = events.iloc[np.repeat(np.arange(len(events)), times)].copy()
    copy = np.arange(len(drawn)) - np.repeat(np.cumsum(times) - times, times)
    if unit == Columns.Request:  # copies of a request are requests of their own
        drawn[unit] = drawn[unit].astype(str) + "#" + copy.astype(str)
    return drawn


class _Case:
    """The log to be predicted, cut into groups; a prediction is a vector over all rows of the table."""

    def __init__(
        self, items: pd.DataFrame, shown: pd.DataFrame, clicked: npt.NDArray[np.bool_], ranked: pd.DataFrame,
        counted: pd.DataFrame, deepest: int,
    ) -> None:
        self.shown, self.clicked, self.ranked, self.deepest = shown, clicked, ranked, deepest
        count = items[Columns.Item].map(counted[Columns.Item].value_counts()).fillna(0)
        order = count.rank(method="first").to_numpy()
        decile = pd.Series((order - 1) * _DECILES // len(order) + 1, index=items[Columns.Item]).astype(int)
        self.decile = shown[Columns.Item].map(decile).to_numpy()
        self.ranked_decile = ranked[Columns.Item].map(decile).to_numpy()
        self.rank = shown[Columns.Rank].to_numpy(np.int64)
        cells: list[tuple[str, str, int, npt.NDArray[np.bool_]]] = [
            (CTR, "all", 0, np.ones(len(shown), dtype=np.bool_))
        ]
        cells += [(CTR, "rank", r, self.rank == r) for r in np.unique(self.rank)]
        cells += [(CTR, "popularity", d, self.decile == d) for d in np.unique(self.decile)]
        self.cells = cells
        self.deciles = np.unique(np.concatenate([self.decile, self.ranked_decile]))

    def predicted(self, environment: FittedEnvironment) -> Floats:
        """Of every row of the table."""
        curve = np.append(environment.examination, np.full(self.deepest, environment.examination[-1]))
        chance = curve[self.rank - 1] * environment.attraction(self.shown[Columns.User], self.shown[Columns.Item])
        self._chance = chance
        rates = [chance[cell].mean() for *_, cell in self.cells]
        exposure = curve[self.ranked[Columns.Rank].to_numpy(np.int64) - 1]
        self._actual_exposure = curve[self.rank - 1]
        shares = [exposure[self.ranked_decile == d].sum() / exposure.sum() for d in self.deciles]
        return np.array([*rates, *shares])

    def table(self, plain: Floats, spread: Floats, level: float) -> pd.DataFrame:
        """Predictions beside what happened; `spread` is the predictions' own standard error."""
        users = self.shown[Columns.User].to_numpy()
        by_request = Columns.Request in self.shown.columns and self.shown[Columns.Request].notna().all()
        clusters = self.shown[Columns.Request].to_numpy() if by_request else users
        rows: list[dict[str, object]] = []
        quantile = float(ndtri(0.5 + level / 2))
        ranked = self.ranked[Columns.Request if by_request else Columns.User].to_numpy()
        curve = self._actual_exposure

        def add(what: str, by: str, group: int, n: int, happened: Ratio, own: float) -> None:
            place = len(rows)
            actual = estimate(happened)
            error = float(np.hypot(max(np.nan_to_num(actual.error), own), spread[place]))
            difference = float(plain[place]) - actual.value
            rows.append({
                "what": what, "by": by, "group": group, "impressions": n, "predicted": float(plain[place]),
                "actual": actual.value, "difference": difference, "low": difference - quantile * error,
                "high": difference + quantile * error, "z": difference / error if error else 0.0,
            })

        for what, by, group, cell in self.cells:
            happened = Ratio.of(self.clicked[cell], np.ones(int(cell.sum())), clusters[cell])
            n = int(cell.sum())
            # Where hardly anything was clicked, what happened tells less of its own error than the prediction does.
            own = float(np.sqrt((self._chance[cell] * (1 - self._chance[cell])).sum())) / n
            add(what, by, group, n, happened, own)
        # The policy's own frequencies are those of a sample, too.
        weight = np.ones(len(ranked))
        for decile in self.deciles:
            mine = self.decile == decile
            sampled = estimate(Ratio.of((self.ranked_decile == decile) * weight, weight, ranked))
            happened = Ratio.of(mine * curve, curve, clusters)
            own = float(np.hypot(sampled.error, estimate(happened).error))
            add(EXPOSURE, "popularity", int(decile), int(mine.sum()), happened, own)
        return pd.DataFrame(rows)
