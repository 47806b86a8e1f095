"""Runs of earlier days → which one a run goes on from, and whose lists were shown."""

import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltexpo.jobs.running.manifest import MANIFEST_FILE


@dataclass(frozen=True)
class Carried:
    """Something that a stage takes over from an earlier run."""

    stage: str
    setting: str
    place: str
    """What of the earlier run it is."""
    needed: str
    """The file that shows that it is there."""
    shown: bool = False
    """Whether it tells of what was shown: then it is of the run whose lists were, not of the last one made."""


CARRIED = (
    Carried("monitor", "rankings", "rankings", "rankings/certificate.json", shown=True),
    # what a night decided whose lists nobody saw was not tried; its days are read back from the log
    Carried("monitor", "history", "monitor", "monitor/monitor.json", shown=True),
    # vectors that are to be compared with yesterday's, as the model that goes on learning does, need its encoders
    Carried("encode", "text", "vectors/tfidf", "vectors/tfidf/tfidf.json"),
    Carried("encode", "image", "vectors/pair", "vectors/pair/training.json"),
    Carried("train", "continue_from", "model", "model/config.json"),
    Carried("rerank", "warm_start", "rankings/prices.parquet", "rankings/prices.parquet"),
)


def latest_run(out: Path, day: dt.date | None) -> Path | None:
    """Of the run folders beside `out` the one of the last day before `day` whose lists were made."""
    return _last(out, None if day is None else day.isoformat(), "rerank")


def shown_run(run: Path) -> Path | None:
    """The run whose lists stood when the day of `run` was over: `run` itself, but where it was to publish and did not,
    the last earlier one beside it that did; None where there is none."""
    stored = _manifest(run / MANIFEST_FILE)
    if stored is None or stored["pipeline"].get("publish") is None or _published(stored):
        return run
    return _last(run, str(stored["pipeline"].get("day") or ""), "publish")


def _last(out: Path, before: str | None, stage: str) -> Path | None:
    found: list[tuple[str, Path]] = []
    for file in Path(os.path.abspath(out)).parent.glob(f"*/{MANIFEST_FILE}"):  # noqa: PTH100
        stored = _manifest(file)
        if stored is None or file.parent.resolve() == out.resolve():
            continue
        its_day = stored["pipeline"].get("day")
        made = _published(stored) if stage == "publish" else _done(stored, stage)
        if made and its_day is not None and (before is None or its_day < before):
            found.append((its_day, out.parent / file.parent.name))
    return max(found)[1] if found else None


def _published(stored: dict[str, Any]) -> bool:
    """A run made anew may hold lists that the gate refused, beside what it once published."""
    return _done(stored, "gate") and _done(stored, "publish")


def _done(stored: dict[str, Any], stage: str) -> bool:
    return bool(stored["stages"].get(stage, {}).get("state") == "done")


def _manifest(file: Path) -> dict[str, Any] | None:
    """What lies there, if it is the manifest of a pipeline's run."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(stored["pipeline"], dict) and isinstance(stored["stages"], dict):
            return dict(stored)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
