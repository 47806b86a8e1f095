"""Dataset folder + yesterday's re-rank → metrics.parquet, metrics.prom, monitor.json, prices and decisions."""

from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import EVENTS_FILE, ITEMS_FILE, table_place
from ltexpo.data.files import read_json, write_json, write_text
from ltexpo.data.output_folder import output_folder
from ltexpo.data.schema import EVENTS, ITEMS, RANKINGS, read_table
from ltexpo.data.split import as_utc
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import ConfigError, InputError, TableError
from ltexpo.jobs.job import DataJob, trained_until
from ltexpo.jobs.reranking import CERTIFICATE_FILE, PRICES_FILE, RANKINGS_FILE
from ltexpo.monitor import Events, Monitored, MonitorSettings, Published, last_day, monitor
from ltexpo.monitor.catalogue import Catalogue
from ltexpo.monitor.controller import check_price_columns
from ltexpo.monitor.history import check_decisions, check_metrics

METRICS_TABLE, METRICS_TEXT, MONITOR_FILE = "metrics.parquet", "metrics.prom", "monitor.json"
DECISIONS_TABLE = "decisions.parquet"

_LISTS = (Columns.Request, Columns.User, Columns.Rank, Columns.Item, Columns.Score, Columns.Exposure)


class MonitorJob(MonitorSettings, DataJob):
    """Settings of 'ltexpo monitor'."""

    rankings: Path | None = None
    """Folder of the 'ltexpo rerank' whose lists or prices were shown on the day; null: goals and prices are not judged.
    """
    day: str | None = None
    """The day to judge, e.g. 2024-05-31 (UTC); null: the last day on which there are events."""
    history: Path | None = None
    """Folder that 'ltexpo monitor' wrote for an earlier day: what it found and decided is carried on."""
    out: Path
    """Folder to write metrics.parquet, metrics.prom, monitor.json, prices.parquet (tomorrow's) and decisions.parquet
    to."""


def run_monitor(job: MonitorJob) -> Monitored:
    """Judge a day and write, all or nothing; a log that cannot be read is an alarm, on which prices hold."""
    with output_folder(job.out, verb="monitor", inputs=(job.data, job.rankings, job.history)) as folder:
        items = read_table(table_place(job.data, ITEMS_FILE) or job.data / ITEMS_FILE, ITEMS).frame
        events = _events(job.data)
        metrics, decisions = _history(job.history)
        day = _day(job, events, metrics)
        published, until = (None, None) if job.rankings is None else _published(job.rankings, job)
        counted = events.frame[events.frame[Columns.Item].isin(items[Columns.Item])]
        if until is not None:
            counted = counted[counted[Columns.Timestamp] < as_utc(until)]
        items = items.assign(tier=job.tail.assign(items, counted)[Columns.Tier].to_numpy())
        result = monitor(
            items, events, job, day=day, catalogue=Catalogue(items, job.drift_by, job.data), published=published,
            metrics=metrics, decisions=decisions,
        )
        write_frame(result.metrics, folder / METRICS_TABLE)
        write_frame(result.decisions, folder / DECISIONS_TABLE)
        write_frame(result.prices, folder / PRICES_FILE)
        write_text(result.to_prometheus(), folder / METRICS_TEXT)
        write_json(result.to_dict(), folder / MONITOR_FILE)
    return result


def _events(data: Path) -> Events:
    """The log; one that cannot be read is none, with the reason."""
    try:
        return Events(read_table(table_place(data, EVENTS_FILE) or data / EVENTS_FILE, EVENTS).frame)
    except InputError as error:
        none = pd.DataFrame({name: pd.Series(dtype=object) for name in EVENTS.required})
        none[Columns.Timestamp] = pd.Series(dtype="datetime64[us, UTC]")
        return Events(none, trouble=str(error))


def _day(job: MonitorJob, events: Events, metrics: pd.DataFrame | None) -> str:
    if job.day is not None:
        return job.day
    if events.trouble is not None:
        raise TableError(f"{events.trouble} Without events, give --day to say which day is judged.")
    now = pd.Timestamp.now("UTC") if job.now is None else as_utc(job.now)
    day = last_day(events.frame, now)
    if metrics is not None and len(metrics) and str(metrics["day"].max()) >= day:
        raise TableError(
            f"{job.data / EVENTS_FILE}: holds no events after {metrics['day'].max()}, which {job.history} judged. "
            "Give --day to judge a day without events, or to judge one again."
        )
    return day


def _history(folder: Path | None) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    if folder is None:
        return None, None
    metrics, decisions = folder / METRICS_TABLE, folder / DECISIONS_TABLE
    return (check_metrics(read_frame(metrics), where=str(metrics)),
            check_decisions(read_frame(decisions), where=str(decisions)))


def _published(folder: Path, job: MonitorJob) -> tuple[Published, str | None]:
    """What was published, and the moment before which events made the tiers; prices that cannot be read are None."""
    certificate = read_json(folder / CERTIFICATE_FILE)
    if not isinstance(certificate, dict):
        raise TableError(f"{folder / CERTIFICATE_FILE}: holds no named values. Give the folder of 'ltexpo rerank'.")
    tail = certificate.get("tail")
    if tail is not None and tail != str(job.tail):
        raise ConfigError(f"tail is '{job.tail}', but {folder} was made with '{tail}'. Give the same tail.")
    try:
        prices: pd.DataFrame | None = read_frame(folder / PRICES_FILE)
        check_price_columns(prices)  # type: ignore[arg-type]
    except InputError:
        prices = None
    lists, until = None, None
    if (folder / RANKINGS_FILE).exists():
        held = read_table(folder / RANKINGS_FILE, RANKINGS).frame
        lists = held[[name for name in _LISTS if name in held.columns]]
        until = trained_until(folder / RANKINGS_FILE)
    return Published(certificate, prices, lists), until
