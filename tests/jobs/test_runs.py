"""A run folder over time: what is skipped and what is not, resuming, the lock, the gate, yesterday's run."""

import copy
import datetime as dt
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_run import made_pipeline, make_source

from ltexpo.data.files import read_json
from ltexpo.data.tables import read_frame
from ltexpo.errors import ConfigError, GuardrailError
from ltexpo.jobs.command import pipeline_command
from ltexpo.jobs.gating import GateJob, run_gate
from ltexpo.jobs.pipeline import Pipeline, Run, run_pipeline
from ltexpo.jobs.running.lock import LOCK_FILE, LockedError, locked
from ltexpo.jobs.running.manifest import Manifest

ALL = ["import", "recommend", "rerank", "evaluate", "gate", "publish"]


def run(settings: dict[str, Any], **options: Any) -> Run:
    return run_pipeline(Pipeline.model_validate(settings), **options)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Run]:
    room = tmp_path_factory.mktemp("runs")
    settings = made_pipeline(room / "source", room / "run", make_source(room / "source"))
    return settings, run(settings)


@pytest.fixture
def again(first: tuple[dict[str, Any], Run], tmp_path: Path) -> dict[str, Any]:
    """The same run in a folder of its own, as if it had just been made there."""
    settings = copy.deepcopy(first[0])
    shutil.copytree(Path(settings["out"]).parent, tmp_path / "room")
    settings["out"] = str(tmp_path / "room" / "run")
    # where the source lies and where lists are published is as it was
    return settings


def test_the_manifest_says_what_was_done(first: tuple[dict[str, Any], Run]):
    settings, done = first
    assert list(done.done) == ALL
    assert set(done.done.values()) == {"it was not run yet"}
    stored = read_json(Path(settings["out"]) / "manifest.json")
    assert list(stored["stages"]) == ALL
    for name, entry in stored["stages"].items():
        assert entry["state"] == "done" and entry["exit_code"] == 0, name
        assert entry["seconds"] > 0 and entry["peak_memory_mb"] > 10 and entry["start"] <= entry["end"]
        assert entry["versions"]["python"].count(".") == 2
        assert all(len(content["sha256"]) == 64 for content in [*entry["inputs"], *entry["outputs"]])
    reranked = stored["stages"]["rerank"]
    assert reranked["settings"]["candidates"] == "RUN/candidates/candidates.parquet"
    assert [content["path"] for content in reranked["inputs"]] == ["RUN/data", "RUN/candidates/candidates.parquet"]
    rows = {content["path"]: content.get("rows") for content in reranked["outputs"]}
    assert rows["RUN/rankings/rankings.parquet"] == len(read_frame(Path(settings["out"]) / "rankings/rankings.parquet"))
    assert "seconds" not in (Path(settings["out"]) / "rankings" / "certificate.json").read_text()


def test_a_second_run_does_nothing_and_starts_no_process(
    again: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with caplog.at_level(logging.INFO, "ltexpo"):
        done = run(again)
    assert done.done == {} and list(done.skipped) == ALL
    assert "rerank: skipped: inputs, settings and versions are as they were" in caplog.text


def test_a_changed_stage_runs_with_what_depends_on_it(again: dict[str, Any]):
    again["rerank"]["k"] = 4
    again["evaluate"]["k"] = [4]
    done = run(again)
    assert list(done.done) == ["rerank", "evaluate", "gate", "publish"]
    assert done.done["rerank"] == "setting k: 5 → 4"
    assert done.done["gate"] == "RUN/rankings/certificate.json changed"


def test_a_stage_that_gives_the_same_again_stirs_nothing_else(again: dict[str, Any]):
    done = run(again, force=["recommend"])
    assert done.done == {"recommend": "forced"}
    with pytest.raises(ConfigError, match="'simulate' is not a stage of this run"):
        run(again, force=["simulate"])


def test_touched_cut_and_lost_outputs_are_made_anew(again: dict[str, Any]):
    out = Path(again["out"])
    whole = (out / "evaluation" / "metrics.parquet").read_bytes()
    (out / "evaluation" / "metrics.parquet").write_bytes(whole[:-1])
    shutil.rmtree(out / "gate")
    manifest = Manifest(out)
    manifest.stages["rerank"]["state"] = "running"
    manifest.write()
    left = out / ".rankings.abc"
    left.mkdir()
    (left / "rankings.parquet").write_bytes(b"half")
    done = run(again)
    assert done.done == {
        "rerank": "it was cut", "evaluate": "RUN/evaluation/metrics.parquet is not what it wrote",
        "gate": "RUN/gate/gate.json is not what it wrote",
    }
    assert (out / "evaluation" / "metrics.parquet").read_bytes() == whole
    assert not left.exists()


def test_other_versions_make_a_stage_run(again: dict[str, Any]):
    manifest = Manifest(Path(again["out"]))
    assert manifest.stale("rerank") == ""
    manifest.stages["rerank"]["versions"]["numpy"] = "1.0"
    assert manifest.stale("rerank").startswith("version of numpy: \"1.0\" → ")


def test_a_folder_has_one_run_at_a_time(again: dict[str, Any]):
    out = Path(again["out"])
    with locked(out), pytest.raises(LockedError, match=f"process {os.getpid()} on .* works there since"):
        run(again)
    # a lock file that a dead process left is no lock
    (out / LOCK_FILE).write_text(json.dumps({"pid": 2**22 - 1, "host": "elsewhere", "since": "yesterday"}))
    assert run(again).done == {}


def test_a_run_that_is_refused_leaves_nothing(tmp_path: Path):
    with pytest.raises(ConfigError, match="pipeline, rerank: unknown setting 'gaols'"):
        run({"out": str(tmp_path / "a" / "run"), "rerank": {"gaols": []}})
    assert not (tmp_path / "a").exists()


def test_a_failed_stage_is_noted_and_goes_on_later(again: dict[str, Any]):
    out = Path(again["out"])
    before = {path: path.read_bytes() for path in sorted((out / "rankings").glob("[!.]*"))}
    published = sorted(Path(again["publish"]["to"]).rglob("*.parquet"))
    asked = again["rerank"]["goals"]
    again["rerank"]["goals"] = [{"group": "tail", "min_share": 1.0}]
    with pytest.raises(Exception, match="cannot") as refused:
        run(again)
    assert refused.value.exit_code == 3
    entry = Manifest(out).stages["rerank"]
    assert (entry["state"], entry["exit_code"], entry["error"]["type"]) == ("failed", 3, "InfeasibleError")
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(Path(again["publish"]["to"]).rglob("*.parquet")) == published != []
    again["rerank"]["goals"] = asked
    assert run(again).done == {"rerank": "it failed"}


def test_nothing_is_published_past_a_breach(tmp_path: Path):
    certificate, experiment, monitor = (tmp_path / f"{name}.json" for name in ("certificate", "experiment", "monitor"))
    certificate.write_text(json.dumps({"guardrails": [
        {"kind": "max_click_loss", "value": 0.01, "achieved": 0.02, "kept": False}, {"kind": "max_per", "value": {}},
    ]}))
    experiment.write_text(json.dumps({"verdicts": {"treatment": {"decision": "STOP", "reason": "clicks fall"}}}))
    monitor.write_text(json.dumps({"day": "2024-05-01", "breached": True, "alarms": [
        {"kind": "clicks", "words": "clicks per request changed by -9%"}, {"kind": "data", "words": "no pictures"},
    ]}))
    for name, path, said in (
        ("certificate", certificate, "max_click_loss"), ("experiment", experiment, "clicks fall"),
        ("monitor", monitor, r"of 2024-05-01 \(clicks per request changed by -9%\)"),
    ):
        with pytest.raises(GuardrailError, match=said) as refused:
            run_gate(GateJob(out=tmp_path / "gate", **{name: path}))
        assert refused.value.exit_code == 4
        assert not (tmp_path / "gate").exists()
    monitor.write_text(json.dumps({"breached": False, "alarms": []}))
    experiment.write_text(json.dumps({"verdicts": {"treatment": {"decision": "HOLD", "reason": "too few visits"}}}))
    told = run_gate(GateJob(out=tmp_path / "gate", monitor=monitor, experiment=experiment))
    assert told["passed"] and "HOLD for 'treatment' (too few visits)" in told["remarks"]


def test_what_a_refused_night_made_was_not_shown(tmp_path: Path):
    """Of three nights the second was refused by the gate: on the fourth day the lists of the third are judged, and on
    the third those of the first."""
    def night(day: str, publish: str, *, gate: str = "done", publishes: bool = True) -> Path:
        folder = tmp_path / "runs" / day
        folder.mkdir(parents=True)
        states = {"rerank": "done", "gate": gate, "publish": publish}
        (folder / "manifest.json").write_text(json.dumps({
            "pipeline": {"day": day, "publish": {"to": "x"} if publishes else None},
            "stages": {name: {"state": state} for name, state in states.items() if state},
        }))
        for place in ("rankings/certificate.json", "rankings/prices.parquet", "monitor/monitor.json"):
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).touch()
        return folder

    def fourth(day: str) -> Pipeline:
        return Pipeline.model_validate({
            "out": str(tmp_path / "runs" / day), "day": day, "previous": "latest", "monitor": {}, "rerank": {},
        }).settled()

    assert fourth("2024-05-01").shown is None
    first, second = night("2024-05-01", "done"), night("2024-05-02", "", gate="failed")
    third = fourth("2024-05-03")
    assert (third.previous, third.shown) == (second, first)
    assert third.carried == {
        "monitor": {"rankings": str(first / "rankings"), "history": str(first / "monitor")},
        "rerank": {"warm_start": str(second / "rankings" / "prices.parquet")},
    }
    night("2024-05-03", "done")
    assert fourth("2024-05-04").shown == tmp_path / "runs" / "2024-05-03"
    # made anew and refused, though it was published once: what stood then is not there any more
    night("2024-05-04", "done", gate="failed")
    assert fourth("2024-05-05").shown == tmp_path / "runs" / "2024-05-03"
    # who publishes by other means than ours is believed
    night("2024-05-05", "", publishes=False)
    assert fourth("2024-05-06").shown == tmp_path / "runs" / "2024-05-05"


def test_the_gate_stands_before_whatever_leaves():
    assert Pipeline(out="x", publish={"to": "y"}).named == ("gate", "publish")
    assert Pipeline(out="x", export={}).named == ("gate", "export")
    assert Pipeline(out="x", rerank={}).named == ("rerank",)


def test_a_day_stands_in_paths_and_settings():
    made = Pipeline.model_validate({
        "out": "runs/{day}", "previous": "runs/{yesterday}", "day": "2020-03-01", "import": {"path": "log/date={day}"},
    })
    assert (made.out, made.previous) == (Path("runs/2020-03-01"), Path("runs/2020-02-29"))
    assert made.import_ == {"path": "log/date=2020-03-01"}
    assert made.of_day["evaluate"] == {"since": "2020-03-01", "until": "2020-03-02"}
    with pytest.raises(ValueError, match="needs 'day'"):
        Pipeline.model_validate({"out": "runs/{day}"})


def test_yesterdays_run_is_where_today_starts(again: dict[str, Any], caplog: pytest.LogCaptureFixture):
    yesterday = Path(again["out"])
    today = again | {
        "out": str(yesterday.with_name("today")), "previous": "latest",
        "day": (dt.date.fromisoformat(again["day"]) + dt.timedelta(days=1)).isoformat(),
    }
    today.pop("evaluate")  # a day without events
    with caplog.at_level(logging.INFO, "ltexpo"):
        done = run(today)
    assert f"previous run: {yesterday}" in caplog.text
    entry = done.entries["rerank"]
    assert entry["settings"]["warm_start"] == str(yesterday / "rankings" / "prices.parquet")
    assert str(yesterday / "rankings" / "prices.parquet") in [content["path"] for content in entry["inputs"]]
    with pytest.raises(ConfigError, match="no such run folder"):
        run(today | {"previous": str(yesterday / "nowhere")})


def test_a_steered_run_applies_the_prices_that_the_monitor_decided(again: dict[str, Any]):
    yesterday = Path(again["out"])
    today = again | {
        "out": str(yesterday.with_name("steered")), "previous": str(yesterday), "monitor": {}, "steer": True,
        "day": (dt.date.fromisoformat(again["day"]) + dt.timedelta(days=1)).isoformat(),
    }
    for stage in ("evaluate", "publish"):
        today.pop(stage)
    entry = run(today).entries["rerank"]
    decided = Path(today["out"]) / "monitor" / "prices.parquet"
    assert entry["settings"]["prices"] == "RUN/monitor/prices.parquet"
    assert entry["settings"]["warm_start"] is None
    applied = read_frame(Path(today["out"]) / "rankings" / "prices.parquet")
    assert applied["price"].to_list() == read_frame(decided)["price"].to_list()
    with pytest.raises(ValueError, match="steer needs 'monitor'"):
        Pipeline.model_validate({**today, "monitor": None})


def test_a_script_ends_with_the_code_that_a_scheduler_reads(again: dict[str, Any], tmp_path: Path):
    root = Path(__file__).parents[2]

    def call(settings: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "job.yaml").write_text(json.dumps(settings))
        return subprocess.run(
            [sys.executable, root / "pipelines" / "daily.py", tmp_path / "job.yaml"], capture_output=True, text=True,
            check=False, timeout=300, env={**os.environ, "PYTHONPATH": str(root)},
        )

    done = call(again)
    assert done.returncode == 0 and "unchanged: skipped" in done.stdout
    refused = call(again | {"gaols": 1})
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0].startswith(f"daily: {tmp_path / 'job.yaml'}: unknown setting 'gaols'.")
    with locked(Path(again["out"])):
        assert call(again).returncode == 1


def test_stages_are_tracked_within_their_run_and_no_address_is_kept(again: dict[str, Any], tmp_path: Path):
    mlflow = pytest.importorskip("mlflow")
    address = f"sqlite:///{tmp_path}/runs.db"
    done = run(again | {"tracking": {"uri": address}}, force=["rerank"])
    assert done.done == {"rerank": "forced"}
    client = mlflow.MlflowClient(tracking_uri=address)
    told = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    by_job = {one.data.tags["ltexpo.job"]: one for one in told}
    assert set(by_job) == {"pipeline", "rerank"}
    assert by_job["rerank"].data.tags["mlflow.parentRunId"] == by_job["pipeline"].info.run_id
    assert {one.info.status for one in told} == {"FINISHED"}
    assert "sqlite" not in (Path(again["out"]) / "manifest.json").read_text()
    assert run(again).done == {}  # who is told changes no output


def test_a_script_prints_the_settings_of_a_stage(capsys: pytest.CaptureFixture[str]):
    assert pipeline_command(Path("none.yaml"), "about", ["--settings", "publish"]) == 0
    assert "# Folder, or the address of one in an object store" in capsys.readouterr().out
