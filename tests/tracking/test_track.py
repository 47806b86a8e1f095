"""An MLflow store in sqlite holds what a job told it; whatever goes wrong there is one warning and no more."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from pydantic import Field

from ltexpo.config import Settings, read_settings
from ltexpo.errors import ConfigError
from ltexpo.tracking import Tracked, TrackingSettings, track, tracked_run

mlflow = pytest.importorskip("mlflow", reason="extra 'tracking' is not installed")
AWAY = "http://127.0.0.1:9"


class Inner(Settings):
    words: tuple[str, ...] = ("a", "b")
    deep: dict[str, float] = Field({"x": 0.5})


class Job(Tracked):
    out: Path
    inner: Inner = Inner()
    long: str = "y" * 900


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database: making its tables takes longest."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(made_store: Path, tmp_path: Path) -> str:
    shutil.copy(made_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "ltexpo"]


def runs(store: str, experiment: str = "ltexpo") -> dict[str, object]:
    client = mlflow.MlflowClient(tracking_uri=store)
    found = client.get_experiment_by_name(experiment)
    return {run.info.run_name: run for run in client.search_runs([found.experiment_id])} if found else {}


def test_settings_metrics_curves_and_files(store: str, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"w")
    (tmp_path / "certificate.json").write_text("{}")
    job = Job(out=tmp_path / "out", tracking=TrackingSettings(uri=store, experiment="shop", run_name="night"))
    metrics = {"click loss": 0.02, "goal brand=Ü>1/achieved": 0.3, "no": float("nan"), "loss": [3.0, 2.0, 1.5]}
    track("rerank", job.tracking, parameters=job, metrics=metrics,
          artifacts=[tmp_path / "model", tmp_path / "certificate.json"])
    (name, run), = runs(store, "shop").items()
    assert name == "night" and run.info.status == "FINISHED"
    assert run.data.tags["ltexpo.job"] == "rerank"
    assert run.data.params == {
        "out": str(tmp_path / "out"), "inner.words": "['a', 'b']", "inner.deep.x": "0.5", "long": "y" * 499 + "…",
    }
    assert run.data.metrics == {"click loss": 0.02, "goal brand___1/achieved": 0.3, "loss": 1.5}
    client = mlflow.MlflowClient(tracking_uri=store)
    curve = sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss"))
    assert curve == [(0, 3.0), (1, 2.0), (2, 1.5)]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        "model", "certificate.json", "settings.json"
    }
    kept = Path(client.download_artifacts(run.info.run_id, "settings.json"))
    assert json.loads(kept.read_text())["inner"] == {"words": ["a", "b"], "deep": {"x": 0.5}}
    # beside the database, and not where the job happened to run
    assert list((tmp_path / "mlartifacts").rglob("weights.bin"))


def test_many_settings_and_points_go_in_several_requests(store: str, tmp_path: Path):
    parameters = {f"p{at}": at for at in range(250)}
    track("simulate", TrackingSettings(uri=store), parameters=parameters, metrics={"curve": list(range(1, 251))})
    run, = runs(store).values()
    assert len(run.data.params) == 250 and run.data.metrics["curve"] == 250


def test_jobs_within_a_run_are_nested_in_it(store: str, tmp_path: Path):
    settings = TrackingSettings(uri=store, run_name="daily")
    page, late = tmp_path / "report.html", tmp_path / "never.html"
    steps = {"seed": 1, "rerank": {"k": 5, "tracking": {"uri": "https://joe:secret@tracker"}}}
    with tracked_run("pipeline", settings, parameters=steps, artifacts=[page, late]):
        track("train", settings, parameters={}, metrics={"a": 1.0})
        track("rerank", settings, parameters={}, metrics={"a": 2.0})
        page.write_text("<p>")
    found = runs(store)
    assert set(found) == {"daily", "train", "rerank"}
    assert found["daily"].data.params == {"seed": "1", "rerank.k": "5"}
    parent = found["daily"].info.run_id
    assert {found[name].data.tags["mlflow.parentRunId"] for name in ("train", "rerank")} == {parent}
    assert "mlflow.parentRunId" not in found["daily"].data.tags
    client = mlflow.MlflowClient(tracking_uri=store)
    assert {file.path for file in client.list_artifacts(parent)} == {"settings.json", "report.html"}
    track("rerank", TrackingSettings(uri=store), parameters={}, metrics={})
    assert len(client.search_runs([found["daily"].info.experiment_id])) == 4


def test_a_run_whose_job_fails_is_failed(store: str):
    with pytest.raises(ValueError, match="bad input"), \
            tracked_run("pipeline", TrackingSettings(uri=store), parameters={}):
        raise ValueError("bad input")
    assert runs(store)["pipeline"].info.status == "FAILED"


def test_a_server_that_is_away_costs_one_warning(caplog: pytest.LogCaptureFixture):
    before = dict(os.environ)
    settings = TrackingSettings(uri="http://joe:secret@127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger="ltexpo"):
        track("rerank", settings, parameters={}, metrics={"a": 1.0})
    warning, = ours(caplog)
    assert warning.getMessage().startswith("rerank is not tracked (MlflowException: ")
    assert warning.getMessage().endswith("Its output stands.")
    assert "secret" not in warning.getMessage()
    assert dict(os.environ) == before
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="ltexpo"), tracked_run("pipeline", settings, parameters={}):
        track("train", settings, parameters={}, metrics={})
        track("rerank", settings, parameters={}, metrics={})
    assert len(ours(caplog)) == 1


def test_a_file_that_cannot_be_sent_fails_the_run_and_not_the_job(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, logger="ltexpo"):
        track("rerank", TrackingSettings(uri=store), parameters={}, metrics={}, artifacts=[tmp_path / "gone.json"])
    assert "rerank is not tracked" in caplog.records[-1].getMessage()
    assert runs(store)["rerank"].info.status == "FAILED"


@pytest.mark.parametrize("uri", ["file:/tmp/mlruns", "file:///tmp/mlruns", "mlruns", "./mlruns", "C:/mlruns"])
def test_a_folder_of_files_is_refused(uri: str, tmp_path: Path):
    (tmp_path / "job.yaml").write_text(f"out: out\ntracking: {{uri: '{uri}'}}\n")
    with pytest.raises(ConfigError, match=r"'tracking\.uri' is .*folder of files.*sqlite:///mlflow\.db"):
        read_settings(Job, tmp_path / "job.yaml")


def test_the_environments_address_is_used_and_a_bad_one_is_only_warned_of(
    store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    track("rerank", TrackingSettings(), parameters={}, metrics={"a": 1.0})
    assert runs(store)["rerank"].data.metrics == {"a": 1.0}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with caplog.at_level(logging.WARNING, logger="ltexpo"), \
            tracked_run("pipeline", TrackingSettings(), parameters={}):
        track("rerank", TrackingSettings(), parameters={}, metrics={})
    warning, = caplog.records
    assert "pipeline is not tracked: MLFLOW_TRACKING_URI: a folder of files" in warning.getMessage()


def test_a_package_that_is_not_there_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch):
    lacking: set[str] = {"mlflow"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in lacking else object())
    with pytest.raises(ValueError, match=r"needs mlflow, which is not installed.*ltexpo\[tracking\]"):
        TrackingSettings(uri=AWAY)
    lacking = {"sqlalchemy"}
    with pytest.raises(ValueError, match="tracking in a database needs sqlalchemy"):
        TrackingSettings(uri="sqlite:///x.db")
    assert TrackingSettings(uri=AWAY).address == AWAY


def test_without_an_address_nothing_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ltexpo.tracking.run._open", lambda *words: pytest.fail("a store was asked"))
    track("rerank", TrackingSettings(), parameters={}, metrics={})
    with tracked_run("pipeline", TrackingSettings(), parameters={}):
        pass
