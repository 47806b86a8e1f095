"""Jobs told to an MLflow store: nested in their pipeline, by the figures that they wrote; without it all the same."""

import logging
from pathlib import Path
from typing import Any

import pytest
from tiny_ranking import tiny_settings

from ltexpo.data.files import read_json
from ltexpo.data.synthetic import make_shop
from ltexpo.jobs.pipeline import Pipeline, run_pipeline
from ltexpo.jobs.reranking import RerankJob, run_rerank
from ltexpo.jobs.training import TrainJob, run_train

mlflow = pytest.importorskip("mlflow", reason="extra 'tracking' is not installed")
UNTIL = "2026-01-10"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def run(store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a pipeline without networks."""
    out = tmp_path_factory.mktemp("run")
    make_shop(n_items=200, n_users=150, n_days=6, rng=0).save(out / "data", pictures=False)
    run_pipeline(Pipeline.model_validate({
        "out": out, "tracking": {"uri": store, "experiment": "night", "run_name": "2026-01-11"},
        "recommend": {"until": UNTIL, "k": 30},
        "rerank": {"k": 5, "goals": [{"group": "tail", "min_share": 0.2}]},
        "evaluate": {"since": UNTIL, "k": [5]}, "simulate": {"days": 2}, "report": {},
    }))
    return out


def found(store: str, experiment: str) -> dict[str, Any]:
    client = mlflow.MlflowClient(tracking_uri=store)
    of = client.get_experiment_by_name(experiment)
    return {run.info.run_name: run for run in client.search_runs([of.experiment_id])}


def sent(store: str, run: Any) -> set[str]:
    client = mlflow.MlflowClient(tracking_uri=store)
    return {file.path for file in client.list_artifacts(run.info.run_id)}


def test_a_pipeline_is_a_run_and_its_steps_are_runs_in_it(run: Path, store: str):
    runs = found(store, "night")
    assert set(runs) == {"2026-01-11", "rerank", "evaluate", "simulate"}
    assert all(one.info.status == "FINISHED" for one in runs.values())
    parent = runs["2026-01-11"].info.run_id
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ("rerank", "evaluate", "simulate")} == {parent}
    assert sent(store, runs["2026-01-11"]) == {"settings.json", "report.html"}


def test_the_figures_are_those_of_the_files(run: Path, store: str):
    runs = found(store, "night")
    certificate = read_json(run / "rankings" / "certificate.json")
    told = runs["rerank"].data.metrics
    assert told["click loss"] == pytest.approx(certificate["click_loss"])
    assert told["goal tail min_share/achieved"] == pytest.approx(certificate["goals"][0]["achieved"])
    assert told["goal tail min_share/price"] == pytest.approx(certificate["goals"][0]["price"])
    assert told["goals met"] == told["goals"] == 1
    assert runs["rerank"].data.params["guardrails.min_score_ratio"] == "0.3"
    assert not any(name.startswith("tracking") for name in runs["rerank"].data.params)
    metrics = read_json(run / "evaluation" / "metrics.json")["metrics"]
    shown = {name: value for name, value in runs["evaluate"].data.metrics.items() if name.startswith("difference/")}
    recall, = (row for row in metrics
               if (row["arm"], row["metric"], row["tier"]) == ("difference", "recall@5", "all"))
    assert shown["difference/recall at 5 all"] == pytest.approx(recall["value"])
    # no two of them by one name
    assert len([one for one in shown if not one.endswith((" low", " high"))]) == len(
        [row for row in metrics if row["arm"] == "difference" and row["value"] is not None]
    )
    assert "treatment/effect/clicks per visit" in runs["simulate"].data.metrics
    assert sent(store, runs["simulate"]) == {
        "settings.json", "experiment.json", "experiment.parquet", "looks.parquet", "days.parquet"
    }


def test_no_list_and_no_user_is_sent(run: Path, store: str):
    for one in found(store, "night").values():
        assert not {name for name in sent(store, one) if name.startswith(("rankings", "control", "candid", "promot"))}


def test_a_store_that_is_away_costs_no_list(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, logger="ltexpo"):
        result = run_rerank(RerankJob.model_validate({
            "data": run / "data", "candidates": run / "candidates" / "candidates.parquet", "out": tmp_path / "out",
            "k": 5, "goals": [{"group": "tail", "min_share": 0.2}], "tracking": {"uri": "http://127.0.0.1:9"},
        }))
    assert result.certificate.feasible
    assert [record for record in caplog.records if "rerank is not tracked" in record.getMessage()]
    for name in ("rankings.parquet", "prices.parquet", "boosts.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (run / "rankings" / name).read_bytes()


def test_a_model_is_told_with_its_folder_and_its_curves(store: str, tmp_path: Path):
    pytest.importorskip("torch", reason="extra 'model' is not installed")
    make_shop(n_items=200, n_users=250, n_days=6, rng=0).save(tmp_path / "data", pictures=False)
    settings = tiny_settings(tfidf={"width": 16}, rolling=tiny_settings()["rolling"] | {"days": 1})
    run_train(TrainJob.model_validate({
        **settings, "data": tmp_path / "data", "out": tmp_path / "model", "until": UNTIL,
        "tensorboard": tmp_path / "tb", "tracking": {"uri": store, "experiment": "models"},
    }))
    train = found(store, "models")["train"]
    assert sent(store, train) == {"settings.json", "model"}
    client = mlflow.MlflowClient(tracking_uri=store)
    assert "model/config.json" in {file.path for file in client.list_artifacts(train.info.run_id, "model")}
    assert len(client.get_metric_history(train.info.run_id, "match model/held-out loss")) >= 2
    assert 0 <= train.data.metrics["expected calibration error"] < 1
    assert list((tmp_path / "tb").glob("events.out.tfevents.*"))
