"""A job's name, settings, metrics and files → a run in an MLflow store.

Whatever goes wrong there is one warning: the job has done its work by then, and its output stands.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from ltexpo import __version__
from ltexpo.config import Settings
from ltexpo.tracking.settings import ADDRESS, TrackingSettings, unusable

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger("ltexpo")
Figures = Mapping[str, float | Sequence[float]]

_SETTINGS_FILE = "settings.json"
_MOST = 100
"""Parameters of one request to the store, which takes no more; and most metrics of one request."""
_LONGEST_NAME, _LONGEST_VALUE = 250, 500
_UNLESS_SAID = {
    # by MLflow's own defaults a server that is away holds a job for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""How MLflow behaves where the environment does not say."""


@dataclass(frozen=True)
class _Parent:
    """The run that jobs within it belong to."""

    client: "MlflowClient | None"
    """None: the store was away when the run began, and is not asked again."""
    experiment: str
    run: str


_within: ContextVar[_Parent | None] = ContextVar("ltexpo_tracked_run", default=None)


def track(
    job: str, settings: TrackingSettings, *, parameters: Settings | Mapping[str, Any], metrics: Figures,
    artifacts: Sequence[Path] = (),
) -> None:
    """Tell the store that `job` is done; within `tracked_run` as a run nested in it. Never raises.

    `parameters` are the job's settings; a metric that is a sequence is a curve, its steps 0, 1, …; `artifacts` are
    files or folders. Without an address in `settings` or the environment nothing happens.
    """
    parent = _within.get()
    if parent is not None and parent.client is None:
        return
    address = _address(job, settings)
    if address is None:
        return
    with _never_raising(job, address):
        if parent is not None and parent.client is not None:
            client, experiment = parent.client, parent.experiment
        else:
            client, experiment = _open(address, settings.experiment)
        tags = {"ltexpo.job": job, "ltexpo.version": __version__}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.run
        name = job if parent is not None or settings.run_name is None else settings.run_name
        run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        try:
            _tell(client, run, parameters, metrics)
            for path in artifacts:
                _send(client, run, path)
        except BaseException:
            client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run)


@contextmanager
def tracked_run(
    name: str, settings: TrackingSettings, *, parameters: Settings | Mapping[str, Any], artifacts: Sequence[Path] = ()
) -> Iterator[None]:
    """A run in the store that holds those of the jobs within it; FAILED where they raise.

    `artifacts` are sent at the end, those of them that are there by then.
    """
    if settings.address is None:
        yield
        return
    parent = _Parent(None, "", "")
    address = _address(name, settings)
    if address is not None:
        with _never_raising(name, address):
            client, experiment = _open(address, settings.experiment)
            tags = {"ltexpo.job": name, "ltexpo.version": __version__}
            run = client.create_run(experiment, run_name=settings.run_name or name, tags=tags).info.run_id
            _tell(client, run, parameters, {})
            parent = _Parent(client, experiment, run)
    token = _within.set(parent)
    try:
        yield
    except BaseException:
        if parent.client is not None and address is not None:
            with _never_raising(name, address):
                parent.client.set_terminated(parent.run, "FAILED")
        raise
    finally:
        _within.reset(token)
    if parent.client is not None and address is not None:
        with _never_raising(name, address):
            for path in artifacts:
                if path.exists():
                    _send(parent.client, parent.run, path)
            parent.client.set_terminated(parent.run)


def within() -> dict[str, str] | None:
    """The run of `tracked_run` that is open here, for a process that works on it: `tracked_within`; None: none is."""
    parent = _within.get()
    if parent is None:
        return None
    return {} if parent.client is None else {"experiment": parent.experiment, "run": parent.run}


@contextmanager
def tracked_within(run: Mapping[str, str] | None, settings: TrackingSettings) -> Iterator[None]:
    """Jobs here belong to the `run` that another process has open, as its `within` says."""
    if run is None:
        yield
        return
    parent, address = _Parent(None, "", ""), settings.address
    if run and address is not None:
        with _never_raising("run", address):
            from mlflow import MlflowClient

            parent = _Parent(MlflowClient(tracking_uri=address), run["experiment"], run["run"])
    token = _within.set(parent)
    try:
        yield
    finally:
        _within.reset(token)


def _address(name: str, settings: TrackingSettings) -> str | None:
    """Where to track; None where nothing is tracked, or, with a warning, where the environment's address is no use.

    An address in the settings was checked with them.
    """
    address = settings.address
    wrong = None if address is None else unusable(address)
    if wrong is None:
        return address
    log.warning("%s is not tracked: %s: %s.", name, ADDRESS, wrong)
    return None


@contextmanager
def _never_raising(name: str, address: str) -> Iterator[None]:
    """What goes wrong in the store becomes one warning, in which no password stands."""
    added = {variable: value for variable, value in _UNLESS_SAID.items() if variable not in os.environ}
    os.environ.update(added)
    try:
        yield
    except Exception as error:
        reason = str(error).splitlines()[0][:300] if str(error) else ""
        secret = urlsplit(address).password
        for hidden in (address, *((secret,) if secret else ())):
            reason = reason.replace(hidden, "…")
        log.warning("%s is not tracked (%s: %s). Its output stands.", name, type(error).__name__, reason)
    finally:
        for variable in added:
            os.environ.pop(variable, None)


def _open(address: str, experiment: str) -> tuple["MlflowClient", str]:
    """A client of the store, and the id of the experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    found = client.get_experiment_by_name(experiment)
    if found is not None:
        return client, found.experiment_id
    return client, client.create_experiment(experiment, artifact_location=_beside(address))


def _beside(address: str) -> str | None:
    """Where a database in a file keeps artifacts: beside it, and not in whatever folder the first job ran in."""
    parts = urlsplit(address)
    if parts.scheme.split("+")[0] != "sqlite":
        return None
    return (Path(parts.path.removeprefix("/")).resolve().parent / "mlartifacts").as_uri()


def _tell(client: "MlflowClient", run: str, parameters: Settings | Mapping[str, Any], metrics: Figures) -> None:
    """Settings whole as a file and flat as parameters, and the metrics."""
    from mlflow.entities import Metric, Param

    told = _without_addresses(parameters.model_dump(mode="json") if isinstance(parameters, Settings) else parameters)
    client.log_dict(run, told, _SETTINGS_FILE)
    flat = [
        Param(name[:_LONGEST_NAME], value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…")
        for name, value in _flat(told, "")
    ]
    now = int(time.time() * 1000)
    points = [
        Metric(_named(name), float(value), now, step)
        for name, values in metrics.items()
        for step, value in enumerate(values if isinstance(values, Sequence) else (values,))
        if np.isfinite(value)
    ]
    for first in range(0, len(flat), _MOST):
        client.log_batch(run, params=flat[first : first + _MOST])
    for first in range(0, len(points), _MOST):
        client.log_batch(run, metrics=points[first : first + _MOST])


def _send(client: "MlflowClient", run: str, path: Path) -> None:
    if path.is_dir():
        client.log_artifacts(run, str(path), artifact_path=path.name)
    else:
        client.log_artifact(run, str(path))


def _without_addresses(value: Any) -> Any:
    """Settings without those of tracking, wherever they stand: an address may hold a password."""
    if not isinstance(value, Mapping):
        return value
    return {name: _without_addresses(inner) for name, inner in value.items() if name != "tracking"}


def _flat(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Dotted name → value in words, for each setting; a list is one value."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{place}.{name}" if place else str(name))
    elif place:
        yield place, str(value)


def _named(name: str) -> str:
    """`name` in the characters that a store takes in the name of a metric."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]
