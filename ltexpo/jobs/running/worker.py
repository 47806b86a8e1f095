"""Stages, one at a time → a process for each, forked from one that has the libraries loaded and never computes.

So a stage's peak memory is its own, what it leaves behind goes with it, and one that is killed is told from one that
failed. Forking afresh from a process that has started no thread is safe and costs milliseconds, where a new Python
would import for seconds; and it does not matter what the caller's process holds. The two talk in JSON lines.
"""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ltexpo import errors
from ltexpo.errors import LtexpoError
from ltexpo.tracking import TrackingSettings, tracked_within, within

log = logging.getLogger("ltexpo")
_GRACE = 10.0
"""Seconds that a stage gets to clean up when the run is stopped."""


STOPPED = "Stopped"
"""Type of the error of a stage that was told to stop."""


class StageError(LtexpoError):
    """A stage was killed, or fell over something that ltexpo does not foresee."""


class Worker:
    """The process that stages are forked from; a context, at whose end no process is left."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._child: int | None = None

    def __enter__(self) -> Self:
        told, telling = os.pipe()
        living, life = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(telling), str(living)],
                stdin=subprocess.PIPE, stdout=sys.stderr.fileno() if _has_file(sys.stderr) else subprocess.DEVNULL,
                pass_fds=(telling, living, self._lock), text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        finally:
            os.close(telling)
            os.close(living)
        self._life = life  # closed by the system when this process is gone, however it went: then the others go too
        self._told = os.fdopen(told, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            try:
                os.kill(self._child, signal.SIGTERM)
            except ProcessLookupError:
                self._child = None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        os.close(self._life)
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._told.close()

    def plan(self, pipeline: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
        """Name, settings, inputs, out and seed of every stage of `pipeline`; raises what planning raises."""
        self._ask({"plan": pipeline, "source": source, "level": log.getEffectiveLevel()})
        for said in self._answers():
            if "planned" in said:
                planned: list[dict[str, Any]] = said["planned"]
                return planned
            if "error" in said:
                raise as_error(said["error"])
        raise StageError("the process of the stages ended while it read the settings.")

    def run(self, name: str) -> dict[str, Any]:
        """Run the stage `name`: how it ended, in what the manifest says of it, with `error` where it failed."""
        self._ask({"run": name, "tracked": within()})
        ended: dict[str, Any] = {}
        for said in self._answers():
            if "child" in said:
                self._child = int(said["child"])
            elif "level" in said:
                log.log(said["level"], "%s", said["message"])
            elif "gone" in said:
                self._child = None
                return _judged(name, {**said["gone"], **ended})
            else:
                ended = said
        raise StageError(f"stage {name}: the process of the stages ended. Run again to go on from there.")

    def _ask(self, what: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise StageError("the process of the stages ended. Run again to go on from there.") from error

    def _answers(self) -> Iterator[dict[str, Any]]:
        for line in self._told:
            yield json.loads(line)


def as_error(said: Mapping[str, Any]) -> LtexpoError:
    """The error that a stage's process told of."""
    kind = getattr(errors, str(said["type"]), StageError)
    error: LtexpoError = kind.__new__(kind, str(said["message"]))
    return error


def _judged(name: str, ended: dict[str, Any]) -> dict[str, Any]:
    number = ended.pop("signal")
    if "error" not in ended and "summary" not in ended:
        how = f"was killed by {signal.Signals(number).name}" if number else f"ended with exit code {ended['exit_code']}"
        hint = " (often: out of memory)" if number == signal.SIGKILL else ""
        told = f"stage {name}: {how}{hint}. Its earlier output is as it was; run again to go on from there."
        ended["error"] = {"type": "StageError", "message": told, "exit_code": 1}
    ended["exit_code"] = ended["error"]["exit_code"] if "error" in ended else 0
    return ended


def _has_file(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True


def serve(telling: int, living: int) -> None:
    """The process that stages are forked from: what it is asked on stdin, it answers in lines on `telling`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the stage, which cleans up
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    planned: dict[str, Any] = {}
    level = logging.WARNING
    for line in sys.stdin:
        asked = json.loads(line)
        if "plan" in asked:
            level = int(asked["level"])
            try:
                planned = _plan(asked, living)
                _tell(telling, {"planned": [_described(stage) for stage in planned.values()]})
            except LtexpoError as error:
                _tell(telling, {"error": _told(error)})
            continue
        begun = time.perf_counter()
        child = os.fork()
        if child == 0:
            _run(planned[asked["run"]], asked["tracked"], telling, living, level)
        _tell(telling, {"child": child})
        _, status, used = os.wait4(child, 0)
        _tell(telling, {"gone": {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
            "seconds": round(time.perf_counter() - begun, 3),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
            "peak_memory_mb": round(used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024), 1),
        }})


def _plan(asked: Mapping[str, Any], living: int) -> dict[str, Any]:
    """The stages by name. The thread that watches over the imports, which take seconds, is gone before any fork."""
    leave, leaving = os.pipe()
    watch = threading.Thread(target=_go_with, args=(living, leave))
    watch.start()
    try:
        from ltexpo.config import check_settings
        from ltexpo.jobs.pipeline import Pipeline
        from ltexpo.jobs.running.steps import stages

        pipeline = check_settings(Pipeline, asked["plan"], asked["source"])
        return {stage.name: stage for stage in stages(pipeline, asked["source"])}
    finally:
        os.close(leaving)
        watch.join()
        os.close(leave)


def _described(stage: Any) -> dict[str, Any]:
    settings = stage.job.model_dump(mode="json")
    return {
        "name": stage.name, "settings": settings, "inputs": [str(path) for path in stage.inputs],
        "out": str(stage.out), "seed": settings.get("seed"),
    }


def _run(stage: Any, tracked: Mapping[str, str] | None, telling: int, living: int, level: int) -> None:
    """The whole life of a stage's process."""
    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # what the run asks next is not for this process
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_go_with, args=(living,), daemon=True).start()
    log.handlers[:] = [_Telling(telling)]
    log.setLevel(level)
    code = 1
    try:
        with tracked_within(tracked, getattr(stage.job, "tracking", TrackingSettings())):
            summary = stage.run()
        told: dict[str, Any] = {"summary": _in_words(summary), "rows": _rows(stage.out)}
        from ltexpo.jobs.running.versions import used_packages

        told["packages"] = used_packages(sys.modules)
        code = 0
    except LtexpoError as error:
        log.debug("%s", traceback.format_exc())
        told = {"error": _told(error)}
    except (KeyboardInterrupt, SystemExit):
        told = {"error": {"type": STOPPED, "message": f"stage {stage.name}: stopped.", "exit_code": 1}}
    except BaseException as error:
        log.debug("%s", traceback.format_exc())
        what, exit_code = errors.outcome(error)
        told = {"error": {
            "type": "StageError" if exit_code == 1 else "InputError", "message": f"stage {stage.name}: {what}",
            "exit_code": exit_code,
        }}
    _tell(telling, told)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what the libraries do at the end of a process is the parent's to do


def _go_with(living: int, leave: int | None = None) -> None:
    """End this process at once when the run is gone, for nobody else may work in its folder while it does; `leave` is
    closed at its other end when the thread is no longer wanted."""
    ready, _, _ = select.select([living] if leave is None else [living, leave], [], [])
    if living in ready:
        os.kill(os.getpid(), signal.SIGKILL)


def _tell(telling: int, what: Mapping[str, Any]) -> None:
    line = (json.dumps(what) + "\n").encode()
    while line:
        line = line[os.write(telling, line):]


def _told(error: LtexpoError) -> dict[str, Any]:
    return {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}


def _in_words(result: object) -> str:
    if isinstance(result, Mapping):
        import yaml

        return str(yaml.safe_dump(json.loads(json.dumps(result, default=str)), sort_keys=False, allow_unicode=True))
    return str(result)


def _rows(place: Path) -> dict[str, int]:
    """Rows of each Parquet file, or folder of parts, right at `place`."""
    import pyarrow.parquet as pq

    from ltexpo.data.parquet import parquet_parts

    tables = sorted(place.glob("*.parquet")) if place.is_dir() else []
    return {table.name: sum(pq.read_metadata(part).num_rows for part in parquet_parts(table)) for table in tables}


class _Telling(logging.Handler):
    """Log records as lines to the run, which prints them as its own."""

    def __init__(self, telling: int) -> None:
        super().__init__()
        self._telling = telling

    def emit(self, record: logging.LogRecord) -> None:
        _tell(self._telling, {"level": record.levelno, "message": record.getMessage()})


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
