"""Settings of several verbs → one run folder, each stage fed from the ones before it, with a manifest of what was done.

This module brings no stage's libraries: a run in which nothing is to be done ends before they would be loaded.
"""

import datetime as dt
import json
import logging
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ltexpo.config import Settings
from ltexpo.errors import ConfigError, unwritable
from ltexpo.jobs.running.earlier import CARRIED, latest_run, shown_run
from ltexpo.jobs.running.lock import LOCK_FILE, locked
from ltexpo.jobs.running.manifest import RUN, Entry, Manifest
from ltexpo.jobs.running.versions import versions_of
from ltexpo.jobs.running.worker import STOPPED, Worker, as_error
from ltexpo.tracking import TrackingSettings, tracked_run

log = logging.getLogger("ltexpo")

STAGES = (
    "import", "monitor", "encode", "train", "recommend", "rerank", "frontier", "evaluate", "simulate", "report", "gate",
    "export", "publish",
)
"""Every stage, in the order in which they run: the page is there, too, when the gate lets nothing pass."""
LATEST = "latest"
INPUTS_FOLDER = "inputs"
"""Where copies of inputs from object stores lie in the run folder."""
StepSettings = dict[str, Any] | None
Tell = Callable[[str, str], None]


class Pipeline(Settings):
    """A run: the stages that are named are run in the order of this list; what feeds what is wired in the run folder.

    `{day}`, `{yesterday}` and `{tomorrow}` in any text stand for dates, as 2020-09-19.
    """

    out: Path
    """Run folder; each stage writes its own folder in it."""
    seed: int = Field(0, ge=0)
    """Seed of every stage that does not name its own."""
    day: dt.date | None = None
    """The day whose lists are made: what is before it is learnt from, it is what evaluate tests on, and monitor judges
    the day before. null: each stage says so itself."""
    data: str | None = None
    """Dataset folder, or the address of one in an object store; null: RUN/data."""
    previous: Literal["latest"] | Path | None = None
    """Run folder of an earlier day: its model is trained on, the encoders that it fitted or trained (text: tfidf and
    train) are used again, its prices are started from, its lists and history are monitored. latest: of the runs beside
    this one, the last of an earlier day whose lists were made; null: none."""
    shown: Path | None = None
    """Run folder whose lists were shown yesterday, if not those of `previous`: they are monitored, with its history.
    null: of `previous`, or where that published nothing, of the last run before it that did."""
    steer: bool = False
    """true: rerank applies the prices that monitor decided from what was really shown, from the second day on; false:
    it solves afresh every day, starting from them."""
    import_: StepSettings = Field(None, alias="import")
    """Settings of 'ltexpo import'; leave it out when the data is there already."""
    monitor: StepSettings = None
    """Settings of 'ltexpo monitor'."""
    encode: StepSettings = None
    """Settings of 'ltexpo encode'."""
    train: StepSettings = None
    """Settings of 'ltexpo train'; it reads what encode wrote, where that is named."""
    recommend: StepSettings = None
    """Settings of 'ltexpo recommend'; by the model, where train is named."""
    rerank: StepSettings = None
    """Settings of 'ltexpo rerank'."""
    frontier: StepSettings = None
    """Settings of 'ltexpo frontier'; goals, guardrails and candidates it does not name are those of rerank."""
    evaluate: StepSettings = None
    """Settings of 'ltexpo evaluate'."""
    simulate: StepSettings = None
    """Settings of 'ltexpo simulate'."""
    report: StepSettings = None
    """Settings of 'ltexpo report'."""
    gate: StepSettings = None
    """What must hold before anything leaves the run folder; it always stands before export and publish."""
    export: StepSettings = None
    """Settings of 'ltexpo export'."""
    publish: StepSettings = None
    """Where the lists are published."""
    tracking: TrackingSettings = TrackingSettings()
    """Tell an MLflow store of the run, its stages nested in it, and the report; stages need not name it again."""

    @model_validator(mode="after")
    def _steered(self) -> Self:
        if self.steer and (self.monitor is None or self.rerank is None):
            raise ValueError("steer needs 'monitor', which decides the prices, and 'rerank', which applies them")
        return self

    @model_validator(mode="before")
    @classmethod
    def _with_dates(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        day = values.get("day")
        if isinstance(day, str):
            try:
                day = dt.date.fromisoformat(day)
            except ValueError:
                return values  # the field itself is refused
        values = dict(values)
        if isinstance(values.get("data"), Path):
            values["data"] = str(values["data"])
        return _filled(values, day if isinstance(day, dt.date) else None)

    @property
    def named(self) -> tuple[str, ...]:
        """The stages that run."""
        return tuple(name for name in STAGES if self.given(name) is not None)

    def given(self, name: str) -> StepSettings:
        """The settings that the stage `name` is given; None: it is not run."""
        settings: StepSettings = getattr(self, "import_" if name == "import" else name)
        if name == "gate" and settings is None and (self.export is not None or self.publish is not None):
            return {}
        if name == "encode" and settings is not None:
            replaced = {"text": "text", "image": "train"}  # yesterday's pair instead of training another
            taken = [replaced[setting] for setting in self.carried.get("encode", {})]
            return {key: value for key, value in settings.items() if key not in taken}
        return settings

    @property
    def of_day(self) -> dict[str, dict[str, Any]]:
        """What `day` says to each stage."""
        if self.day is None:
            return {}
        day, tomorrow = self.day.isoformat(), (self.day + dt.timedelta(days=1)).isoformat()
        return {
            "monitor": {"day": (self.day - dt.timedelta(days=1)).isoformat()}, "train": {"until": day},
            "recommend": {"until": day}, "evaluate": {"since": day, "until": tomorrow}, "publish": {"date": day},
        }

    @property
    def carried(self) -> dict[str, dict[str, str]]:
        """Stage → its setting → what of earlier runs it is, of what lies there; once `settled`."""
        if not isinstance(self.previous, Path):
            return {}
        found: dict[str, dict[str, str]] = {}
        for one in CARRIED:
            run = self.shown if one.shown else self.previous
            if run is not None and (run / one.needed).exists():
                found.setdefault(one.stage, {})[one.setting] = str(run / one.place)
        asked = self.encode or {}
        anew = {  # what encode would fit or train
            "text": asked.get("text", "tfidf") == "tfidf", "image": bool(asked.get("train")) and "image" not in asked,
        }
        encoders = {name: path for name, path in found.pop("encode", {}).items() if anew[name]}
        if self.encode is not None and encoders:
            found["encode"] = encoders
        if self.rerank is not None and (self.rerank.get("prices") or self.rerank.get("warm_start")):
            found.pop("rerank", None)
        return found

    def settled(self) -> Self:
        """The same with `previous` and `shown` looked up; raises `ConfigError` where they are not there."""
        for name in ("previous", "shown"):
            given = getattr(self, name)
            if isinstance(given, Path):
                if not given.is_dir():
                    raise ConfigError(f"{name} {given}: no such run folder. Leave it out on the first day.")
                if given.resolve() == self.out.resolve():
                    raise ConfigError(f"{name} {given}: is this run itself. Give the run of an earlier day.")
        previous = latest_run(self.out, self.day) if self.previous == LATEST else self.previous
        if self.previous == LATEST:
            log.info("previous run: %s", previous or "none")
        shown = self.shown
        if shown is None and isinstance(previous, Path):
            shown = shown_run(previous)
            if shown != previous:
                log.warning("%s published nothing: the lists shown are those of %s.", previous, shown or "nobody")
        settled = self.model_copy(update={"previous": previous, "shown": shown})
        for path in settled.carried.get("encode", {}).values():
            log.info("encode: by %s, so that yesterday's model can read it; without 'previous' it is made anew", path)
        return settled


@dataclass(frozen=True)
class Run:
    """What a run did; prints as a table."""

    out: Path
    done: dict[str, str]
    """Stage → why it ran, for those that ran."""
    skipped: tuple[str, ...]
    entries: dict[str, Entry]
    """What the manifest says of every stage of the pipeline."""

    def __str__(self) -> str:
        rows = [("stage", "seconds", "CPU s", "peak MB", "rows", "why")]
        for name, entry in self.entries.items():
            counted = [f"{output['path'].rpartition('/')[2].removesuffix('.parquet')} {output['rows']:,}"
                       for output in entry.get("outputs", []) if "rows" in output]
            rows.append((
                name, f"{entry.get('seconds', 0):.1f}", f"{entry.get('cpu_seconds', 0):.1f}",
                f"{entry.get('peak_memory_mb', 0):,.0f}", ", ".join(counted) or "–",
                self.done.get(name, "unchanged: skipped"),
            ))
        widths = [max(len(row[n]) for row in rows) for n in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) if n in (0, 4) else cell.rjust(width)
                      for n, (cell, width) in enumerate(zip(row, widths, strict=False))) + "  " + row[5]
            for row in rows
        )


def run_pipeline(
    pipeline: Pipeline, *, source: str = "pipeline", force: bool | Collection[str] = False, tell: Tell | None = None,
) -> Run:
    """Check every stage's settings, then run those that have something to do, each in a process of its own.

    A stage whose inputs' contents, settings and versions are those of the manifest, and whose outputs still lie there,
    is skipped; `force` names stages that run all the same (true: every one). After a kill, the next call goes on at
    the stage that was cut. `tell` is given each stage that ran, with its summary, as soon as it is done. Raises what
    the stage raised, `LockedError` when another run works in the folder, and `StageError` when a stage's process was
    killed or fell over.
    """
    pipeline = pipeline.settled()
    forced = pipeline.named if force is True else tuple(force or ())
    unknown = sorted(set(forced) - set(pipeline.named))
    if unknown:
        raise ConfigError(f"force: '{unknown[0]}' is not a stage of this run. Its stages: {', '.join(pipeline.named)}.")
    out = pipeline.out
    absent = [folder for folder in (out, *out.absolute().parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    with ExitStack() as stack:
        held = stack.enter_context(locked(out))
        try:
            return _run(pipeline, source, forced, held, stack, tell)
        finally:
            if absent and [file.name for file in out.iterdir()] == [LOCK_FILE]:  # refused before it began
                (out / LOCK_FILE).unlink()
                for folder in absent:
                    if not any(folder.iterdir()):
                        folder.rmdir()


def _run(
    pipeline: Pipeline, source: str, forced: Collection[str], held: int, stack: ExitStack, tell: Tell | None
) -> Run:
    out = pipeline.out
    manifest = Manifest(out)
    asked: dict[str, Any] = json.loads(pipeline.model_dump_json(by_alias=True, exclude_unset=True))
    noted = {**_lasting(asked), "carried": pipeline.carried}
    asked = _fetched(asked, out / INPUTS_FOLDER)
    noted.pop("out")
    if not forced and manifest.pipeline == noted:
        stale = {name: manifest.stale(name) for name in pipeline.named}
        if not any(stale.values()):
            for name in pipeline.named:
                log.info("%s: skipped: inputs, settings and versions are as they were", name)
            manifest.write()
            return Run(out, {}, pipeline.named, {name: manifest.stages[name] for name in pipeline.named})
    worker = stack.enter_context(Worker(held))
    planned = worker.plan(asked, source)
    _clear(out, [Path(stage["out"]).name for stage in planned])
    _say_missing(pipeline)
    manifest.pipeline = noted
    done: dict[str, str] = {}
    skipped: list[str] = []
    stack.enter_context(
        tracked_run("pipeline", pipeline.tracking, parameters=pipeline, artifacts=[out / "report.html"])
    )
    for stage in planned:
        name, settings = str(stage["name"]), _in_run(_lasting(stage["settings"]), pipeline.out)
        inputs = [manifest.named(Path(path)) for path in stage["inputs"]]
        why = "forced" if name in forced else manifest.stale(name, settings, inputs)
        if not why:
            log.info("%s: skipped: inputs, settings and versions are as they were", name)
            skipped.append(name)
            continue
        log.info("%s: runs: %s", name, why)
        done[name] = why
        _run_stage(worker, manifest, stage, settings, inputs)
        if tell is not None:
            tell(name, manifest.stages[name].get("summary", ""))
    manifest.write()
    return Run(out, done, tuple(skipped), {name: manifest.stages[name] for name in pipeline.named})


def _run_stage(
    worker: Worker, manifest: Manifest, stage: dict[str, Any], settings: dict[str, Any], inputs: list[str]
) -> None:
    """Run one stage and note in the manifest that it runs, and how it ended; raises its error."""
    name = str(stage["name"])
    entry: Entry = {
        "state": "running", "settings": settings, "inputs": [manifest.content(path) for path in inputs],
        "versions": versions_of(()), "seed": stage["seed"], "start": _now(),
    }
    earlier = manifest.stages.get(name)
    kept = [] if earlier is None else earlier.get("outputs", [])
    manifest.stages[name] = entry
    manifest.write()
    ended: dict[str, Any] = {"error": {"type": STOPPED, "message": f"stage {name}: stopped.", "exit_code": 1}}
    try:
        ended = worker.run(name)
    finally:
        place = manifest.named(Path(stage["out"]))
        rows = {f"{place}/{file}": count for file, count in ended.pop("rows", {}).items()}
        entry["versions"] = versions_of(ended.pop("packages", ()))
        entry["end"] = _now()
        failed = "error" in ended
        entry["outputs"] = kept if failed else manifest.outputs(place, rows)
        entry["state"] = ("stopped" if ended["error"]["type"] == STOPPED else "failed") if failed else "done"
        entry |= ended  # type: ignore[typeddict-item]
        manifest.stages = {one: manifest.stages[one] for one in STAGES if one in manifest.stages}
        manifest.write()
    if failed:
        raise as_error(ended["error"])
    log.info("%s: done in %.1f s, %.0f MB at most", name, entry["seconds"], entry["peak_memory_mb"])


def _clear(out: Path, places: list[str]) -> None:
    """Remove what killed stages left beside their places; a place that a kill left empty gets its old folder back."""
    for place in places:
        for left in sorted(out.glob(f".{place}.*")):
            old = left / "replaced"
            if old.exists() and not (out / place).exists():
                old.replace(out / place)
            log.info("%s: left by a run that was cut, removed", left)
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _say_missing(pipeline: Pipeline) -> None:
    for one in CARRIED:
        given = pipeline.given(one.stage)
        if given is None or one.setting in given or one.stage == "encode" or given.get("prices"):
            continue
        run = pipeline.shown if one.shown else pipeline.previous
        if run is not None and one.setting not in pipeline.carried.get(one.stage, {}):
            log.warning("%s: holds no %s; %s does without.", run, one.place, one.stage)


def _filled(values: Any, day: dt.date | None) -> Any:
    """`values` with dates in the place of their names, in every text."""
    if isinstance(values, Mapping):
        return {name: _filled(value, day) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_filled(value, day) for value in values]
    if isinstance(values, str | Path):
        text = str(values)
        for name, offset in (("{day}", 0), ("{yesterday}", -1), ("{tomorrow}", 1)):
            if name in text:
                if day is None:
                    raise ValueError(f"'{text}' needs 'day'; give it in the YAML or as --day 2020-09-19")
                text = text.replace(name, (day + dt.timedelta(days=offset)).isoformat())
        return type(values)(text) if text != str(values) else values
    return values


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that say who else is told: no output depends on these, and an address holds passwords."""
    return {
        name: _lasting(value) if isinstance(value, dict) else value
        for name, value in settings.items() if name not in ("tracking", "tensorboard")
    }


def _in_run(value: Any, out: Path) -> Any:
    """Settings with the run folder's paths as the manifest writes them."""
    if isinstance(value, dict):
        return {name: _in_run(inner, out) for name, inner in value.items()}
    if isinstance(value, list):
        return [_in_run(inner, out) for inner in value]
    if isinstance(value, str) and (value == str(out) or value.startswith(f"{out}/")):
        return RUN + value[len(str(out)):]
    return value


def _fetched(value: Any, folder: Path) -> Any:
    """Settings with local copies in the place of what lies in object stores; where to publish stays an address."""
    if isinstance(value, dict):
        return {name: inner if name == "to" else _fetched(inner, folder) for name, inner in value.items()}
    if isinstance(value, list):
        return [_fetched(inner, folder) for inner in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    from ltexpo.data.stores import fetch, is_address

    return str(fetch(value, folder)) if is_address(value) else value


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
