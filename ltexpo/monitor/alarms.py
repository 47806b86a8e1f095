"""A day's numbers + earlier days' → which of them are alarms, within one budget of false ones.

An alarm has two keys: the change is large (a limit in the settings, in the unit people think in) and it is no chance.
For the second, the budget `false_alarms`, the chance that a quiet day raises any alarm, is divided evenly over the
eight `KINDS`, and within a kind over the numbers it looks at that day (Bonferroni). Counts, faults, goals and drift are
tested anew each day; rates and calibration, which change slowly, by confidence sequences of which one begins each day.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaincinv, stdtrit

from ltexpo.metrics.small_groups import OTHERS
from ltexpo.monitor.drift import Drift, drift, merge_neighbours
from ltexpo.monitor.expected import expected_count
from ltexpo.monitor.facts import EARLY, FUTURE, GAPS, NOT_PUBLISHED, UNKNOWN, VOLUME
from ltexpo.monitor.rows import ALL, Array, Past, Row, Series, normal_days
from ltexpo.monitor.settings import MonitorSettings
from ltexpo.monitor.watch import watch

Flags = npt.NDArray[np.bool_]

KINDS = ("traffic", "data", "goals", "clicks", "calibration", "scores", "demand", "catalogue")

_CLEAN = (UNKNOWN, EARLY, FUTURE, NOT_PUBLISHED)
"""Faults that no sound log has, so that no day is needed to compare with."""
_RECOVERED = 2
"""A change that was proven is over when the mean of so many days is back within its margin."""


@dataclass(frozen=True)
class Alarm:
    """What a person should look at."""

    kind: str
    metric: str
    group: str
    words: str


@dataclass(frozen=True)
class Change:
    """A rate against the days before."""

    row: Row
    alarm: Alarm | None
    since: str
    """First day of the strongest sequence."""
    standing: bool
    """It was an alarm on the day before, too."""


@dataclass(frozen=True)
class Judge:
    """Compares a day with the days before it."""

    settings: MonitorSettings
    past: Past
    day: str

    def chance(self, members: int) -> float:
        """The part of the budget of one of `members` numbers of a kind."""
        return self.settings.false_alarms / len(KINDS) / max(members, 1)

    def normal(self, series: Series, alarms: Series | None = None) -> Series:
        """The days of `series` to compare with, by its own alarms or those of another number of the same days."""
        flags = series.alarm
        if alarms is not None:
            raised = set(alarms.day[alarms.alarm])
            flags = np.array([day in raised for day in series.day], dtype=bool)
        return series[self._normal(flags)]

    def _normal(self, alarms: Flags) -> Flags:
        return normal_days(alarms, settled=self.settings.settled_days, most=self.settings.reference_days)

    def traffic(self, rows: Sequence[Row]) -> tuple[list[Row], list[Alarm]]:
        """Counts by kind of event, those that are gone included."""
        counts = {row.group: row for row in rows if row.metric == VOLUME}
        names = sorted({*counts, *self.past.groups(VOLUME)})
        days = sorted({day for name in names for day in self.past.of_metric(VOLUME, name).day})
        judged, alarms = [], []
        for name in names:
            row = counts.get(name, Row(self.day, VOLUME, name, 0.0))
            held = self.past.of_metric(VOLUME, name)
            # a kind that a day did not have was there 0 times
            value, raised = dict(zip(held.day, held.value, strict=True)), set(held.day[held.alarm])
            usable = self._normal(np.array([day in raised for day in days], dtype=bool))
            kept = [day for day, use in zip(days, usable, strict=True) if use]
            if len(kept) < self.settings.least_days:
                judged.append(row)
                continue
            counted = [value.get(day, 0.0) for day in kept]
            weekdays = pd.to_datetime(pd.Series(kept)).dt.day_of_week.to_numpy()
            due = expected_count(
                counted, weekdays, pd.Timestamp(self.day).weekday(), chance=self.chance(len(names))
            )
            change = (row.value - due.middle) / max(due.middle, 1.0)
            alarm = not due.low <= row.value <= due.high and abs(change) > self.settings.traffic_change
            judged.append(row._replace(low=due.low, high=due.high, target=due.middle, alarm=alarm))
            if alarm:
                alarms.append(Alarm("traffic", VOLUME, name, (
                    f"{row.value:,.0f} {name} events, where this weekday has {due.middle:,.0f} "
                    f"({due.low:,.0f} to {due.high:,.0f})"
                )))
        return judged, alarms

    def faults(self, rows: Sequence[Row], metrics: Sequence[str]) -> tuple[list[Row], list[Alarm]]:
        """Shares of bad rows; columns that were there before and are gone count as wholly empty."""
        mine = [row for row in rows if row.metric in metrics]
        mine += [gone for metric in metrics for gone in self._gone(metric, mine)]
        judged, alarms = [], []
        chance = self.chance(len(mine))
        for row in mine:
            held = self.normal(self.past.of_metric(row.metric, row.group))
            if not len(held) and row.metric not in _CLEAN:
                judged.append(row)
                continue
            usual = float(held.value.mean()) if len(held) else 0.0
            limit = usual + self.settings.faults
            bad = round(row.value * row.n)
            # Clopper & Pearson 1934
            low = float(betaincinv(bad, max(row.n - bad, 0.0) + 1, chance)) if bad > 0 else 0.0
            alarm = low > limit
            judged.append(row._replace(low=low, target=limit, alarm=alarm))
            if alarm:
                of = "" if row.group == ALL else f" ({row.group})"
                against = f"{usual:.1%} is usual" if len(held) else f"{limit:.1%} is borne"
                ask = "; were these the lists that were served?" if row.metric == NOT_PUBLISHED else ""
                alarms.append(Alarm("data", row.metric, row.group, (
                    f"{row.metric}{of}: {row.value:.1%}, where {against}{ask}"
                )))
        return judged, alarms

    def _gone(self, metric: str, rows: Sequence[Row]) -> list[Row]:
        """A row for every column that earlier days had and this one has not: as empty as can be."""
        mine = {row.group: row.n for row in rows if row.metric == metric}
        # a kind of event that is gone as a whole is traffic's alarm and not one for each of its columns
        of_kind = {group.split(".", 1)[0] if metric == GAPS else "": n for group, n in mine.items()}
        return [
            Row(self.day, metric, group, 1.0, n=of_kind[kind])
            for group in self.past.groups(metric) if group != ALL and group not in mine
            for kind in [group.split(".", 1)[0] if metric == GAPS else ""] if kind in of_kind
        ]

    def change(self, kind: str, row: Row, *, margin: float, members: int, rises: bool) -> "Change | None":
        """A rate against the days before; None while there are too few."""
        name = f"change of {row.metric}"
        held, told = self.past.of_metric(row.metric), self.past.of_metric(name)
        raised = set(told.day[told.alarm])
        flags = np.array([*(day in raised for day in held.day), False], dtype=bool)
        usable = self._normal(flags)
        usable[-1] = False
        values, errors = np.append(held.value, row.value), np.append(held.error, row.error)
        last = np.flatnonzero(flags)
        # a run of alarms that has become the new normal is over
        standing = bool(len(last)) and last[-1] == len(held) - 1 and not usable[last[-1]]
        found = watch(
            values, errors, usable=usable, chance=self.chance(members), window=self.settings.window,
            reference=self.settings.reference_days, least=self.settings.least_days,
            first=0 if standing or not len(last) else int(last[-1]) + 1, rises=rises,
        )
        if standing:
            proven = self._still(values, usable, margin=margin, rises=rises)
        else:
            proven = found.high < -margin or (rises and found.low > margin)
        if found.since is None and not proven:
            return None
        since = str([*held.day, self.day][found.since]) if found.since is not None else self.day
        made = Row(self.day, name, ALL, found.change, found.low, found.high, -margin, proven, n=found.reference)
        words = (
            f"{row.metric} changed by {found.change:+.1%} since {since} "
            f"({found.low:+.1%} to {found.high:+.1%}; {margin:.0%} is borne)"
        )
        return Change(made, Alarm(kind, name, ALL, words) if proven else None, since, standing)

    def _still(self, values: Array, usable: Flags, *, margin: float,
               rises: bool) -> bool:
        """Whether a change that was proven yesterday still stands: the last days are not back within the margin."""
        late = values[-_RECOVERED:]
        late, before = late[late > 0], values[usable & (values > 0)]
        if not len(late) or not len(before):
            return True
        change = float(np.expm1(np.log(late).mean() - np.log(before).mean()))
        return change < -margin or (rises and change > margin)

    def goals(self, achieved: pd.DataFrame, names: Sequence[str], *, users: int) -> tuple[list[Row], list[Alarm]]:
        """Exposure of each goal against its target; `users` behind all of it."""
        rows, alarms = [], []
        sure = float(stdtrit(max(users - 1, 1), 1 - self.chance(len(achieved))))
        records: list[dict[Hashable, Any]] = achieved.to_dict("records")
        for name, goal in zip(names, records, strict=True):
            missing = goal["sign"] * (goal["target"] - goal["achieved"])
            limit = self.settings.goal_deviation * max(goal["target"], 1e-12)
            alarm = bool(missing - sure * goal["error"] > limit)
            rows.append(Row(
                self.day, "exposure", name, goal["achieved"], goal["low"], goal["high"], goal["target"], alarm,
                goal["error"], goal["users"],
            ))
            if alarm:
                alarms.append(Alarm("goals", "exposure", name, (
                    f"{name}: {goal['achieved']:.2%} of exposure, target {goal['target']:.2%}"
                )))
        return rows, alarms

    def drifted(
        self, kind: str, metric: str, counts: Mapping[str, float], *, by: str, members: int, ordered: bool = False
    ) -> tuple[Row | None, Alarm | None]:
        """Today's `counts` in groups "by=cell" against the shares of `metric` on earlier days."""
        mine = {group: count for group, count in counts.items() if group.startswith(f"{by}=")}
        name = f"{metric} drift"
        told = self.past.of_metric(name, by)
        raised = set(told.day[told.alarm])
        cells = [group for group in self.past.groups(metric) if group.startswith(f"{by}=")]
        held = {cell: self.past.of_metric(metric, cell) for cell in cells}
        days = sorted({day for series in held.values() for day in series.day})
        usable = self._normal(np.array([day in raised for day in days], dtype=bool))
        kept = [day for day, use in zip(days, usable, strict=True) if use]
        if len(kept) < (self.settings.least_days if kind != "catalogue" else 1) or not mine:
            return None, None
        found = self._drift(mine, held, kept, members, ordered=ordered, census=kind == "catalogue")
        limit = max(self.settings.drift, found.noise)
        alarm = found.index > limit
        row = Row(self.day, name, by, found.index, high=found.noise, target=limit, alarm=alarm, n=found.cells)
        if not alarm:
            return row, None
        return row, Alarm(kind, name, by, f"{metric} by {by} drifted: index {found.index:.2f}, above {limit:.2f}")

    def _drift(
        self, today: Mapping[str, float], held: dict[str, Series], kept: Sequence[str], members: int, *, ordered: bool,
        census: bool,
    ) -> Drift:
        """Counts by cell today and on the days `kept`.

        Cells of few users are in "others" on some days. So many are compared as leave enough days that name them all.
        """
        place = {day: n for n, day in enumerate(kept)}
        totals = np.zeros(len(kept))
        tables: dict[str, Array] = {}
        for cell, series in held.items():
            counts = np.full(len(kept), np.nan)
            for day, value, n in zip(series.day, series.value, series.n, strict=True):
                if day in place:
                    counts[place[day]] = value * n
                    totals[place[day]] = n
            tables[cell] = counts
        whole = sum(today.values())
        if ordered:
            order = sorted({*tables, *today}, key=lambda cell: int(cell.split("=")[1]))
            none = np.zeros(len(kept))
            before = np.column_stack([np.nan_to_num(tables.get(cell, none)) for cell in order])
            now = np.array([today.get(cell, 0.0) for cell in order])
            now, before = merge_neighbours(before.sum(axis=0), now, before)
        else:
            shared, days = self._named(tables)
            before = np.column_stack([tables[cell][days] for cell in shared]) if shared else np.zeros((len(kept), 0))
            before = np.column_stack([before, np.maximum(totals[days] - before.sum(axis=1), 0.0)])
            now = np.array([today.get(cell, 0.0) for cell in shared])
            now = np.append(now, max(whole - now.sum(), 0.0))
        return drift(now, before, chance=self.chance(members), census=census)


    def _named(self, tables: dict[str, Array]) -> tuple[list[str], Flags]:
        """Cells, those named on most days first, and the days that name all of them."""
        cells = [cell for cell in tables if not cell.endswith(f"={OTHERS}")]
        cells.sort(key=lambda cell: (int(np.isnan(tables[cell]).sum()), cell))
        shared: list[str] = []
        days = np.ones(len(next(iter(tables.values()))), bool)
        least = min(self.settings.least_days, int(days.sum()))
        for cell in cells:
            left = days & ~np.isnan(tables[cell])
            if left.sum() < least:
                break
            shared.append(cell)
            days = left
        return shared, days


def hide_few(rows: Sequence[Row], *, least: int) -> list[Row]:
    """Goals' rows, those shown to fewer than `least` users as one row "others": how many, and whether one is an alarm.

    Their exposure stays unsaid: whether they have `least` users together is not known, as users may share goals.
    """
    few = [row for row in rows if row.n < least]
    if not few:
        return list(rows)
    merged = Row(few[0].day, few[0].metric, OTHERS, alarm=any(row.alarm for row in few), n=float(len(few)))
    return [*(row for row in rows if row.n >= least), merged]
