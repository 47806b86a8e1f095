"""Whole runs: the demo, a pipeline from its YAML, and what they refuse before they start."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ltexpo.data.files import read_json
from ltexpo.data.tables import read_frame, read_metadata
from ltexpo.errors import ConfigError, OutputError
from ltexpo.jobs.demo import DemoJob, run_demo
from ltexpo.jobs.pipeline import Pipeline, run_pipeline

ROOT = Path(__file__).parents[2]


def run_script(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "pipelines" / "rerank_batch.py", *words], capture_output=True, text=True, check=False,
        timeout=900, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    job = DemoJob(out=out, n_items=400, n_users=300, n_days=6, tail_share=0.15, model=False)
    assert run_demo(job) == out / "report.html"
    return out


def test_the_demo_leaves_every_table(demo: Path):
    rankings = read_frame(demo / "rankings" / "rankings.parquet")
    certificate = read_json(demo / "rankings" / "certificate.json")
    assert certificate["feasible"]
    assert certificate["goals"][0]["achieved"] >= 0.15 - 1e-9
    assert 0 <= certificate["gap"] < 0.01
    assert rankings.groupby("request_id").size().eq(10).all()
    until = read_metadata(demo / "rankings" / "rankings.parquet")["trained_until"]
    events = read_frame(demo / "data" / "events.parquet")
    assert events["timestamp"].min() < pd.Timestamp(until) < events["timestamp"].max()
    assert set(read_frame(demo / "evaluation" / "metrics.parquet")["arm"]) == {"rankings", "control", "difference"}
    told = read_json(demo / "experiment" / "experiment.json")
    assert told["environment"] == "known" and told["visits"]["control"] > 0
    assert told["verdicts"]["treatment"]["decision"] in ("SHIP", "HOLD", "STOP")
    page = (demo / "report.html").read_text(encoding="utf-8")
    assert "at least 15.0% of all exposure for tail and new products" in page
    assert "data:image/jpeg;base64," in page


def test_the_same_seed_gives_the_same_tables(demo: Path, tmp_path: Path):
    run_demo(DemoJob(out=tmp_path / "run", n_items=400, n_users=300, n_days=6, tail_share=0.15, model=False))
    for table in sorted(demo.rglob("*.parquet")):
        again = tmp_path / "run" / table.relative_to(demo)
        assert again.read_bytes() == table.read_bytes(), table


def test_a_pipeline_runs_the_steps_it_names(demo: Path, tmp_path: Path):
    settings = tmp_path / "job.yaml"
    settings.write_text(yaml.safe_dump({
        "rerank": {
            "data": str(demo / "data"), "candidates": str(demo / "candidates" / "candidates.parquet"), "k": 5,
            "goals": [{"group": "tail", "min_share": 0.1}],
        },
    }))
    done = run_script(settings, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "goals met: 1 of 1" in done.stdout
    assert sorted(path.name for path in (tmp_path / "run").glob("[!.]*")) == ["manifest.json", "rankings"]


def test_settings_of_later_steps_are_checked_before_the_first_runs(tmp_path: Path):
    with pytest.raises(ConfigError, match="pipeline, rerank: unknown setting 'gaols'"):
        run_pipeline(Pipeline.model_validate({
            "out": tmp_path / "run", "import": {"source": "hm", "path": "x"}, "rerank": {"gaols": []},
        }))
    assert not (tmp_path / "run").exists()


def test_the_demo_does_not_replace_imported_data(tmp_path: Path):
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "items.parquet").write_bytes(b"mine")
    with pytest.raises(OutputError, match="did not write"):
        run_demo(DemoJob(out=tmp_path / "run", n_items=400, n_users=300, n_days=6))
    assert (tmp_path / "run" / "data" / "items.parquet").read_bytes() == b"mine"


@pytest.mark.slow
def test_the_hm_pipeline_runs_on_real_data(shared_data: Path, tmp_path: Path):
    done = run_script("--path", shared_data / "hm", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    certificate = read_json(tmp_path / "run" / "rankings" / "certificate.json")
    assert certificate["feasible"]
    assert 0 <= certificate["gap"] < 0.005
    assert (tmp_path / "run" / "report.html").stat().st_size > 50_000
