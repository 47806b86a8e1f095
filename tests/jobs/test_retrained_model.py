"""Simulated arms whose lists a trained model made: it goes on learning or only reads on, and nothing takes over."""

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_ranking import tiny_settings

from ltexpo.data import Dataset
from ltexpo.data.synthetic import make_shop
from ltexpo.data.tables import BY_BLEND, BY_MODEL
from ltexpo.errors import ConfigError
from ltexpo.jobs import makers
from ltexpo.jobs.job import scored_by
from ltexpo.jobs.recommending import RecommendJob, run_recommend
from ltexpo.jobs.reranking import RerankJob, run_rerank
from ltexpo.jobs.simulating import SimulateJob, run_simulate
from ltexpo.jobs.training import TrainJob, run_train

UNTIL = "2026-01-10"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, model/, and for the model and the blend: candidates and lists re-ranked for a tail goal."""
    folder = tmp_path_factory.mktemp("arms")
    make_shop(n_items=300, n_users=400, n_days=6, rng=0).save(folder / "data", pictures=False)
    settings = tiny_settings(tfidf={"width": 16}, rolling=tiny_settings()["rolling"] | {"days": 1})
    run_train(TrainJob(**settings, data=folder / "data", until=UNTIL, out=folder / "model"))
    for name, model in (("by_model", folder / "model"), ("by_blend", None)):
        run_recommend(RecommendJob(data=folder / "data", until=UNTIL, model=model, k=12, out=folder / f"{name}_found"))
        run_rerank(RerankJob(
            data=folder / "data", candidates=folder / f"{name}_found/candidates.parquet", out=folder / name, k=5,
            goals=[{"group": "tail", "min_share": 0.1}], guardrails={"min_score_ratio": None}, elastic=True,
        ))
    return folder


def job(room: Path, lists: str, **retrain: object) -> SimulateJob:
    return SimulateJob(
        data=room / "data", control=room / lists / "control.parquet", treatment=room / lists / "rankings.parquet",
        out=room / "out", days=3, before_days=1, retrain_every=1,
        behaviour={"visits_per_day": 3},  # else a day of so few users holds too few clicks to learn from
        retrain={"rerank": {"goals": [{"group": "tail", "min_share": 0.1}], "elastic": True}} | retrain,
    )


def test_lists_say_who_scored_them(room: Path):
    for folder, who in (("by_model", BY_MODEL), ("by_blend", BY_BLEND)):
        assert {scored_by(room / folder / f"{name}.parquet") for name in ("control", "rankings")} == {who}


@pytest.mark.parametrize("learn", [True, False])
def test_a_model_makes_the_lists_of_later_days_too(room: Path, monkeypatch: pytest.MonkeyPatch, learn: bool):
    asked: list[tuple[makers.ByModel, str, int, object]] = []
    plain = makers.ByModel.__call__

    def watched(self: makers.ByModel, dataset: Dataset, now: str, users: "pd.Index[str]") -> pd.DataFrame:
        found = plain(self, dataset, now, users)
        assert dataset.events is not None
        # known on this day is what was logged before it
        assert dataset.events["timestamp"].max() < pd.Timestamp(now)
        asked.append((self, now, len(dataset.events), self._model))
        return found

    monkeypatch.setattr(makers.ByModel, "__call__", watched)
    result = run_simulate(job(room, "by_model", model=room / "model", learn=learn))
    # both arms on days 1 and 2, each with a model and a growing log of its own
    assert [now[:10] for _, now, _, _ in asked] == ["2026-01-11", "2026-01-11", "2026-01-12", "2026-01-12"]
    assert asked[0][0] is asked[2][0] and asked[0][0] is not asked[1][0]
    assert asked[2][2] > asked[0][2]
    assert (asked[2][3] is not asked[0][3]) == learn
    if learn:
        assert asked[2][3].report_["continued_from"] is not None
    assert (result.days["visits"] > 0).all()


def test_nobody_else_takes_over_in_silence(room: Path):
    with pytest.raises(ConfigError, match=r"made by a trained model, but .* by the blend .* Give retrain\.model"):
        run_simulate(job(room, "by_model"))
    with pytest.raises(ConfigError, match="made by the blend of baselines, but"):
        run_simulate(job(room, "by_blend", model=room / "model"))
    with pytest.raises(ConfigError, match=r"retrain\.recommend\.pool was decided when retrain\.model was trained"):
        run_simulate(job(room, "by_model", model=room / "model", recommend={"pool": 10}))
    with pytest.raises(ConfigError, match="holds no trained model"):
        run_simulate(job(room, "by_model", model=room / "data"))
    with pytest.raises(ValueError, match="vectors and edges need a model"):
        job(room, "by_model", vectors=(room / "data",))
