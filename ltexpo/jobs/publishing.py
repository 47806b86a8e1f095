"""Rankings that passed the gate → a folder or an object store where readers find the last good ones.

    TO/rankings/date=2020-09-19/part-<hash>.parquet     and prices/, boosts/ alike
    TO/export/date=2020-09-19/<hash>/…                  what 'ltexpo export' wrote
    TO/days/2020-09-19.json                             the files of that day, with sizes, rows and hashes
    TO/latest.json                                      the same, of the last day: written last

A file never changes: its name carries the hash of its content. Object stores have no rename, so the order is what keeps
readers safe: files first, then the day, then latest.json, each of which appears whole or not at all; only then are the
files removed that an earlier publication of the same day had and this one has not. A reader opens latest.json and then
the files that it names; one that finds a file gone reads latest.json again.
"""

import datetime as dt
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, Literal, Self

import pyarrow.parquet as pq
from pydantic import model_validator

from ltexpo.config import Settings
from ltexpo.data.files import write_text
from ltexpo.data.parquet import parquet_parts
from ltexpo.data.stores import Store
from ltexpo.errors import TableError

log = logging.getLogger("ltexpo")

LATEST_FILE = "latest.json"


class PublishJob(Settings):
    """Where lists are published."""

    rankings: Path
    """Folder that 'ltexpo rerank' wrote."""
    export: Path | None = None
    """Folder that 'ltexpo export' wrote; null: none."""
    to: str
    """Folder, or the address of one in an object store (s3://bucket/lists)."""
    tables: tuple[str, ...] = ("rankings", "prices", "boosts")
    """Tables of `rankings` that are published."""
    partition_by: Literal["date"] | None = "date"
    """date: each day lies in a partition of its own, and earlier days stay; null: a day takes the place of the last."""
    date: dt.date | None = None
    """The day of the lists; a pipeline's day."""
    out: Path
    """JSON file to write to what was published."""

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.partition_by == "date" and self.date is None:
            raise ValueError("partition_by: date needs 'date', or the pipeline's 'day'")
        return self


def run_publish(job: PublishJob) -> dict[str, Any]:
    """Publish, and return what the readers' latest.json says of this day."""
    store = Store(job.to)
    partition = f"/date={job.date}" if job.partition_by else ""
    tables: dict[str, Any] = {}
    named: set[str] = set()
    files: dict[str, Any] = {}
    for name in job.tables:
        table = job.rankings / f"{name}.parquet"
        if not table.exists():
            raise TableError(f"{table}: no such file. Name in 'tables' what 'ltexpo rerank' wrote.")
        parts = [_put(store, part, f"{name}{partition}/part-", number if table.is_dir() else None)
                 for number, part in enumerate(parquet_parts(table))]
        if table.is_dir():
            tables[name] = {"parts": parts, **{of: sum(part[of] for part in parts) for of in ("bytes", "rows")}}
        else:
            tables[name], = parts
        named |= {part["path"] for part in parts}
    if job.export is not None:
        exported = [file for file in sorted(job.export.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        digests = [_digest(file) for file in exported]
        whole = hashlib.sha256("".join(digests).encode()).hexdigest()[:16]
        for file, digest in zip(exported, digests, strict=True):
            path = f"export{partition}/{whole}/{file.relative_to(job.export).as_posix()}"
            store.put(file, path)
            files[path] = {"bytes": file.stat().st_size, "sha256": digest}
    day = {"date": None if job.date is None else job.date.isoformat(), "tables": tables, "files": files}
    text = json.dumps(day, indent=1) + "\n"
    if job.partition_by:
        store.write(text, f"days/{job.date}.json")
    newest = _date_of(store)
    if job.date is None or newest <= job.date.isoformat():
        store.write(text, LATEST_FILE)
    else:
        log.warning("%s/%s stays at %s: %s lies before it.", job.to, LATEST_FILE, newest, job.date)
    named |= files.keys()
    for place in (*job.tables, *(("export",) if job.export is not None else ())):
        for old in store.files(f"{place}{partition}"):
            if old not in named:
                store.remove(old)
    write_text(text, job.out)
    return {"to": job.to, **day}


def _date_of(store: Store) -> str:
    """The day that latest.json names; '' where there is none."""
    text = store.read(LATEST_FILE)
    try:
        return "" if text is None else str(json.loads(text)["date"] or "")
    except (ValueError, KeyError, TypeError):
        log.warning("%s/%s: is not what was published, and is replaced.", store.to, LATEST_FILE)
        return ""


def _put(store: Store, part: Path, path: str, number: int | None) -> dict[str, Any]:
    """Publish a Parquet file under the name `path`, its `number` among the parts of a table and its hash."""
    digest = _digest(part)
    path += f"{'' if number is None else f'{number:05}-'}{digest[:16]}.parquet"
    store.put(part, path)
    return {"path": path, "bytes": part.stat().st_size, "rows": pq.read_metadata(part).num_rows, "sha256": digest}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
