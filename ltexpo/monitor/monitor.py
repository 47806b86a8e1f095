"""Events, items and what was published → how the day was, its alarms, and tomorrow's prices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.split import as_utc
from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.calibration import expected_calibration_error
from ltexpo.metrics.intervals import ratio_estimate
from ltexpo.monitor.achieved import achieved
from ltexpo.monitor.alarms import Alarm, Change, Judge, hide_few
from ltexpo.monitor.catalogue import CATALOGUE, EMPTY, MISSING_PICTURES, Catalogue
from ltexpo.monitor.controller import DECISION_COLUMNS, KEEP, STEP, Breach, decide, empty_decisions, goal_keys
from ltexpo.monitor.drift import score_cells
from ltexpo.monitor.facts import (
    DEMAND,
    DUPLICATES,
    EARLY,
    FUTURE,
    GAPS,
    NOT_PUBLISHED,
    RATES,
    UNKNOWN,
    Facts,
    day_facts,
)
from ltexpo.monitor.first_seen import first_shown, waiting
from ltexpo.monitor.published import GOAL_KEY, Published, goal_words
from ltexpo.monitor.result import SCORES, Monitored
from ltexpo.monitor.rows import ALL, METRIC_COLUMNS, NAN, Array, Past, Row, frame_of
from ltexpo.monitor.settings import MonitorSettings
from ltexpo.monitor.shown import Shown, scored

_DAY = pd.Timedelta(days=1)
_FAULTS = (DUPLICATES, UNKNOWN, GAPS, EARLY, FUTURE, NOT_PUBLISHED)
_CATALOGUE_FAULTS = (EMPTY, MISSING_PICTURES)
_CALIBRATION, _CALIBRATION_ERROR = "calibration", "calibration error"


@dataclass(frozen=True)
class Events:
    """The log, or why there is none."""

    frame: pd.DataFrame
    """The contract's columns; items may be unknown to the catalogue."""
    trouble: str | None = None
    """Why the log cannot be relied on: it could not be read."""
    first_shown: "pd.Series[pd.Timestamp] | None" = None
    """item_id → its first impression, where `frame` does not reach back far enough to tell."""
    since: pd.Timestamp | None = None
    """When the log begins; with `first_shown`."""


@dataclass
class _Findings:
    """What is found on the way."""

    rows: list[Row] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    breach: Breach | None = None
    missing: str | None = None
    """Why the exposure shown cannot be relied on."""
    faults: frozenset[str] = frozenset()
    """What is wrong with the log."""

    def add(self, rows: Sequence[Row], alarms: Sequence[Alarm]) -> None:
        self.rows += rows
        self.alarms += alarms


def last_day(events: pd.DataFrame, now: pd.Timestamp) -> str:
    """The day (UTC) of the last event that is not later than `now`; raises `TableError` where there is none."""
    times = events[Columns.Timestamp]
    past = times[times <= now]
    if past.empty:
        raise TableError("events: none lies in the past. Give --day, or check the clock.")
    return str(past.max().date())


def monitor(
    items: pd.DataFrame,
    events: Events,
    settings: MonitorSettings,
    *,
    day: str,
    catalogue: Catalogue | None = None,
    published: Published | None = None,
    metrics: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> Monitored:
    """Judge the `day` (YYYY-MM-DD, UTC).

    `items`: the full catalogue with a tier column. `published`: the re-rank whose lists were shown that day. `metrics`
    and `decisions`: what was found on earlier days, which is carried on; days of the events that are not in it are read
    from the events, to compare with. Raises `ConfigError` or `ColumnError` on goals that cannot be read.
    """
    begin = as_utc(day)
    if str(begin.date()) != day:
        raise ConfigError(f"day is '{day}'; write it like 2024-05-31.")
    shop = catalogue or Catalogue(items, settings.drift_by)
    frame = events.frame
    reach = settings.reference_days + settings.window + settings.settled_days
    carried = frame_of([]) if metrics is None else metrics[metrics["day"].astype(str) < day]
    past = Past.of(carried, before=day, days=reach)
    read = _read_back(frame, begin, past.days(), shop, settings)
    if read:
        # days that only the events know stand beside those that were judged
        carried = pd.concat([carried, frame_of(read)], ignore_index=True)
        past = Past.of(carried, before=day, days=reach)
    judge = Judge(settings, past, day)
    known = len(past.days())
    found = _Findings(missing=events.trouble and f"the log cannot be read ({events.trouble}): held")
    if known < settings.least_days:
        found.notes.append(
            f"{known} of the {settings.least_days} earlier days that a comparison needs are known: traffic, clicks, "
            "calibration and drift are measured and not judged yet."
        )
    times = frame[Columns.Timestamp]
    today = frame[((times >= begin) & (times < begin + _DAY)).to_numpy(bool)]
    facts = day_facts(day, today, shop, level=settings.level, least_users=settings.least_users)
    own, shown = facts.rows, facts.shown
    if events.trouble is not None:
        found.add([Row(day, "unreadable log", value=1.0, alarm=True)], [
            Alarm("data", "unreadable log", ALL, f"the log cannot be read: {events.trouble}")
        ])
    own += _future(day, frame, begin, len(today), settings)
    marks = None if shown is None or published is None else scored(today, shown, published)
    if marks is not None:
        own.append(Row(day, NOT_PUBLISHED, value=float(1 - marks.found.mean()), n=len(marks.found)))
    _log(found, judge, own, empty=today.empty)
    sound = not found.faults
    _shop(found, judge, shop, events, begin)
    if sound:
        _rates(found, judge, own)
        _calibration(found, judge, shown, None if marks is None else marks.score, published)
        _demand(found, judge, facts)
    elif found.faults == {NOT_PUBLISHED}:
        _rates(found, judge, own)  # clicks are of the lists that were shown, whoever made them
        found.notes.append("the lists shown are not those published, so clicks are judged, but not calibration, "
                           "exposure and demand.")
    else:
        found.notes.append("the log is at fault, so clicks, calibration and demand are not judged.")
    _scores(found, judge, published)
    goals = _goals(found, judge, shown if sound else None, published, items, today.empty)
    log = empty_decisions() if decisions is None else decisions[decisions["day"].astype(str) < day]
    decided = _decide(found, judge, goals, published, log)
    whole = pd.concat([part for part in (log, decided) if len(part)], ignore_index=True) if len(log) or len(decided) \
        else empty_decisions()
    every = [part for part in (carried, frame_of(found.rows)) if len(part)]
    return Monitored(
        day, pd.concat(every, ignore_index=True)[METRIC_COLUMNS].sort_values("day", kind="stable", ignore_index=True),
        found.alarms, whole[DECISION_COLUMNS], _tomorrow(published, decided), found.breach is not None, found.notes,
    )


def _read_back(
    events: pd.DataFrame, begin: pd.Timestamp, known: set[str], catalogue: Catalogue, settings: MonitorSettings
) -> list[Row]:
    """Facts of the days before that have events and no rows yet.

    Not by tier: tiers count these very days, which makes their head look better than it is on any other day.
    """
    untiered = Catalogue(catalogue.items, tuple(name for name in catalogue.divided_by if name != Columns.Tier))
    first = begin - settings.reference_days * _DAY
    times = events[Columns.Timestamp]
    within = events[((times >= first) & (times < begin)).to_numpy(bool)]
    rows: list[Row] = []
    for moment, part in within.groupby(within[Columns.Timestamp].dt.floor("D"), sort=True):
        day = str(pd.Timestamp(str(moment)).date())
        if day not in known:
            rows += day_facts(day, part, untiered, level=settings.level, least_users=settings.least_users).rows
    return rows


def _future(day: str, events: pd.DataFrame, begin: pd.Timestamp, n: int, settings: MonitorSettings) -> list[Row]:
    now = pd.Timestamp.now("UTC") if settings.now is None else as_utc(settings.now)
    ahead = int((events[Columns.Timestamp] > now + pd.Timedelta(minutes=settings.clock_grace)).sum())
    rows = n + ahead
    return [Row(day, FUTURE, value=ahead / rows, n=rows)] if rows else []


def _log(found: _Findings, judge: Judge, own: list[Row], *, empty: bool) -> None:
    """Traffic and faults of the log, both of which make the day's exposure unreliable."""
    rows, alarms = judge.traffic(own)
    found.add(rows, alarms)
    found.rows += [row for row in own if row.metric in ("requests", "users")]
    fault_rows, faults = judge.faults(own, _FAULTS)
    found.add(fault_rows, faults)
    found.faults = frozenset(alarm.metric for alarm in faults)
    low = [alarm for alarm, row in zip(alarms, (row for row in rows if row.alarm), strict=True)
           if alarm.group == EventKind.Impression and row.value < row.target]
    if empty:
        found.missing = found.missing or "no events on this day: held"
    elif low:
        found.missing = found.missing or f"traffic is missing ({low[0].words}): held"
    elif faults:
        found.missing = found.missing or f"the log is at fault ({faults[0].words}): held"


def _shop(found: _Findings, judge: Judge, shop: Catalogue, events: Events, begin: pd.Timestamp) -> None:
    """What the catalogue lacks, how it drifted, and how long new items wait to be seen."""
    settings, day = judge.settings, judge.day
    rows = shop.rows(day, pictures=settings.pictures)
    found.add(*judge.faults(rows, _CATALOGUE_FAULTS))
    mine = [row for row in rows if row.metric == CATALOGUE]
    found.rows += mine
    for column in shop.cells:
        counts = {row.group: row.value * row.n for row in mine}
        row, alarm = judge.drifted("catalogue", CATALOGUE, counts, by=column, members=len(shop.cells))
        found.add([row] if row else [], [alarm] if alarm else [])
    first, since = events.first_shown, events.since
    if first is None:
        first, since = first_shown(events.frame), events.frame[Columns.Timestamp].min()
    if first.empty or since is None or since != since:
        return
    # what arrived before the log began may have been shown before
    start = max(begin + _DAY - settings.new_days * _DAY, since)
    wait = waiting(shop.items, first, end=begin + _DAY, since=start, level=settings.level)
    if wait is None:
        found.notes.append("no new items are known (created_at), so their wait for a first exposure is not judged.")
        return
    median, low, high = (days if np.isfinite(days) else NAN for days in (wait.median, wait.low, wait.high))
    found.rows.append(Row(day, "days to first exposure", ALL, median, low, high, n=wait.items))
    if not np.isfinite(wait.median):
        found.notes.append(f"days to first exposure: not known yet, with {wait.shown or 'none'} of {wait.items:,} new "
                           "products shown so far.")


def _rates(found: _Findings, judge: Judge, own: list[Row]) -> None:
    """Clicks per request with its guardrail."""
    # of a breach on a day whose lists came from elsewhere nothing was taken back yet
    past = judge.past.of_metric(NOT_PUBLISHED)
    elsewhere = bool(len(past)) and bool(past.alarm[-1])
    guarded: dict[str, float] = {str(name): margin for name, margin in judge.settings.guardrails.items()}
    for row in own:
        if row.metric not in RATES and row.metric != "clicks per impression":
            continue
        found.rows.append(row)
        if row.metric in guarded:
            margin = guarded[row.metric]
            change = judge.change("clicks", row, margin=margin, members=len(guarded), rises=False)
            _note_change(found, change)
            if change is not None and change.alarm is not None and found.breach is None:
                words = f"guardrail broken ({change.alarm.words})"
                found.breach = Breach(change.since, words, change.standing and not elsewhere)


def _calibration(
    found: _Findings, judge: Judge, shown: Shown | None, score: Array | None, published: Published | None
) -> None:
    """How far clicks are what the scores expected."""
    if shown is None or published is None or score is None or shown.n_users < judge.settings.least_users:
        return
    known = np.isfinite(score) & (shown.rank <= published.k)
    known[known] &= published.attention[shown.rank[known] - 1] > 0
    if not known.any() or Columns.Score not in published.rankings.columns:  # type: ignore[union-attr]
        return
    chance = score[known]
    if published.certificate.get("score_kind") == "relevance" or chance.min() < 0 or chance.max() > 1:
        found.notes.append("scores are no probabilities, so calibration is not judged.")
        return
    weight = published.attention[shown.rank[known] - 1]
    clicks = shown.clicked[known].astype(np.float64)
    if not (weight * chance).sum() > 0:
        return
    ratio = ratio_estimate(clicks, weight * chance, shown.user[known], level=judge.settings.level)
    row = Row(judge.day, _CALIBRATION, ALL, ratio.value, ratio.low, ratio.high, 1.0, error=ratio.error,
              n=int(known.sum()))
    found.rows.append(row)
    error = expected_calibration_error(chance, clicks, attention=weight)
    found.rows.append(Row(judge.day, _CALIBRATION_ERROR, ALL, error, n=int(known.sum())))
    change = judge.change("calibration", row, margin=judge.settings.calibration_change, members=1, rises=True)
    _note_change(found, change)


def _note_change(found: _Findings, change: Change | None) -> None:
    if change is not None:
        found.add([change.row], [change.alarm] if change.alarm else [])


def _demand(found: _Findings, judge: Judge, facts: Facts) -> None:
    """Demand by what the catalogue is divided into."""
    found.rows += [row for row in facts.rows if row.metric == DEMAND]
    columns = list(dict.fromkeys(group.split("=", 1)[0] for group in facts.demand))
    for column in columns:
        row, alarm = judge.drifted("demand", DEMAND, facts.demand, by=column, members=len(columns))
        found.add([row] if row else [], [alarm] if alarm else [])


def _scores(found: _Findings, judge: Judge, published: Published | None) -> None:
    """The published scores."""
    lists = None if published is None else published.rankings
    if lists is None or Columns.Score not in lists.columns:
        return
    cells, counts = np.unique(score_cells(lists[Columns.Score].to_numpy(np.float64)), return_counts=True)
    n = float(counts.sum())
    histogram = {f"score={cell}": float(count) for cell, count in zip(cells, counts, strict=True)}
    found.rows += [Row(judge.day, SCORES, cell, count / n, n=n) for cell, count in histogram.items()]
    row, alarm = judge.drifted("scores", SCORES, histogram, by="score", members=1, ordered=True)
    found.add([row] if row else [], [alarm] if alarm else [])


def _goals(
    found: _Findings, judge: Judge, shown: Shown | None, published: Published | None, items: pd.DataFrame, empty: bool
) -> pd.DataFrame | None:
    """Exposure of each goal; None without a re-rank."""
    if published is None:
        found.notes.append("no --rankings: nothing is known of goals and prices, the rest is judged.")
        return None
    settings, goals = judge.settings, published.goals
    if shown is None or not len(goals):
        if not empty and found.missing is None and len(goals):
            found.missing = "exposure shown is not known: held"
            found.notes.append(
                "exposure shown is not known: the events hold no impressions with request_id and rank. The controller "
                "holds; the rest is judged."
            )
        return goals.assign(
            target=NAN, achieved=NAN, low=NAN, high=NAN, error=NAN, users=0,
            sign=np.where(goals["kind"].astype(str).str.startswith("max"), -1, 1) if len(goals) else 1,
        )
    reached = achieved(shown, published, items, level=settings.level)
    names = [goal_words(*key) for key in reached[GOAL_KEY].itertuples(index=False)]
    rows, alarms = judge.goals(reached, names, users=shown.n_users)
    few = {row.group for row in rows if row.n < settings.least_users}
    alarms = [alarm for alarm in alarms if alarm.group not in few]
    relative = (reached["achieved"] / reached["target"] - 1).to_numpy(np.float64)
    missed = np.minimum(relative * reached["sign"].to_numpy(np.float64), 0.0)
    if shown.n_users >= settings.least_users:
        found.add(hide_few(rows, least=settings.least_users), alarms)
        users = reached["users"].to_numpy()
        known = np.isfinite(missed) & ((users == 0) | (users >= settings.least_users))
        if known.any():
            off = float(np.sqrt(np.square(missed[known]).mean()))
            found.rows.append(Row(judge.day, "exposure deviation", ALL, off, n=int(known.sum())))
    else:
        found.missing = found.missing or f"fewer than {settings.least_users} users: held"
    if shown.n_requests < settings.controller.least_requests:
        found.missing = found.missing or (
            f"{shown.n_requests:,} lists were shown, fewer than {settings.controller.least_requests:,}: held"
        )
    return reached


def _decide(
    found: _Findings, judge: Judge, goals: pd.DataFrame | None, published: Published | None, log: pd.DataFrame
) -> pd.DataFrame:
    """The controller's decisions, without the figures of goals that few users were shown."""
    if goals is None or published is None or not len(goals):
        return empty_decisions()
    settings = judge.settings
    breach, missing = found.breach, found.missing
    if breach is not None and NOT_PUBLISHED in found.faults:
        # these prices did not make the lists that lost clicks, so there is nothing to take back
        missing, breach = f"{breach.words}; {missing}", None
    if found.breach is None and published.broken_guardrails:
        kept = ", ".join(published.broken_guardrails)
        found.breach = breach = Breach(judge.day, f"guardrail broken (the certificate says {kept} is not kept)")
        found.alarms.append(Alarm("clicks", "guardrails", ALL, found.breach.words))
    prices = published.prices
    strangers = prices is not None and not set(goal_keys(prices[prices["kind"] != "welfare"])) <= set(goal_keys(goals))
    decided = decide(
        goals, prices, log, settings.controller, day=judge.day, spread=published.spread, solved=published.solved,
        missing=missing, breach=breach, strangers=strangers,
    )
    few = goals["users"].to_numpy() < settings.least_users
    for name in ("achieved", "deviation", "error"):
        decided[name] = decided[name].to_numpy(np.float64)
        decided.loc[few, name] = NAN
    judged = few & decided["action"].isin([STEP, KEEP]).to_numpy(bool)
    decided.loc[judged, "reason"] = f"shown to fewer than {settings.least_users} users"
    if (decided["action"] == "rollback").any() and "wrong price" in str(decided["reason"].iloc[0]):
        n = float((decided["action"] == "rollback").sum())
        found.add([Row(judge.day, "wrong prices", value=n, alarm=True)],
                  [Alarm("data", "wrong prices", ALL, str(decided["reason"].iloc[0]))])
    return decided


def _tomorrow(published: Published | None, decided: pd.DataFrame) -> pd.DataFrame:
    """Tomorrow's prices.parquet: the decided prices of goals, and those of welfare as they were."""
    columns = [*GOAL_KEY, "price"]
    made = decided[[*GOAL_KEY, "price_after"]].rename(columns={"price_after": "price"})
    prices = None if published is None else published.prices
    rest = prices[prices["kind"] == "welfare"][columns] if prices is not None else made.iloc[:0]
    parts = [part for part in (made, rest) if len(part)]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in GOAL_KEY}).assign(price=np.zeros(0))
    return pd.concat(parts, ignore_index=True)[columns].astype({"price": "float64"})
