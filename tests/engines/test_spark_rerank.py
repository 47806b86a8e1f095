"""A re-ranking job on Spark gives what it gives on one machine, to the last bit, and refuses what that refuses."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from small_jobs import candidates, catalogue, goals, save

from ltexpo.data.tables import read_frame, read_metadata
from ltexpo.engines import EngineSettings
from ltexpo.engines.rerank import SparkEngine
from ltexpo.errors import InfeasibleError, InputError
from ltexpo.rerank import ExposureReranker, Reranked, RerankSettings
from ltexpo.rerank import solve as solver

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLES = ("rankings", "control", "promotions")


def engine(session: "SparkSession", partitions: int, *, small: int = 0) -> SparkEngine:
    return SparkEngine(
        session, EngineSettings(engine="spark", partitions=partitions), most_candidates=200, small=small
    )


def solved(path: Path, settings: dict[str, Any], where: SparkEngine | None = None) -> Reranked:
    return ExposureReranker(RerankSettings.model_validate(settings), engine=where).fit(
        path, items=catalogue(), rng=3
    ).fitted_


def assert_same(one: Reranked, other: Reranked) -> None:
    ours, theirs = one.certificate.to_dict(), other.certificate.to_dict()
    assert ours.pop("seconds") > 0
    assert theirs.pop("seconds") > 0
    assert ours == theirs
    for name in (*TABLES, "prices", "boosts"):
        assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred lists are solved as many are: by passes alone."""
    monkeypatch.setattr(solver, "SMALL", 0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(candidates().drop(columns=["weight", "score_std"]), tmp_path_factory.mktemp("plain") / "c.parquet")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("partitions", [1, 4, pytest.param(32, marks=pytest.mark.slow)])
def test_the_answer_is_the_local_one_for_any_partitioning(
    session: "SparkSession", plain: Path, tmp_path: Path, partitions: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(plain.parent)  # where Spark's own processes do not stand
    path = Path(plain.name)
    here, there = solved(path, goals()), solved(path, goals(), engine(session, partitions))
    assert here.certificate.feasible
    assert here.certificate.facts["boosted"] > 50
    assert_same(here, there)
    if partitions == 4:  # and as files
        paths = [tmp_path / f"{name}.parquet" for name in TABLES]
        there.lists.write(*paths, noted={"trained_until": "2026-01-01"})
        for path, name in zip(paths, TABLES, strict=True):
            assert path.is_dir()
            assert_frame_equal(read_frame(path), getattr(here, name), check_exact=True)
        assert read_metadata(paths[0]) == {"trained_until": "2026-01-01"}
        assert [part.name for part in sorted(paths[0].iterdir())] == [f"part-{n:05}.parquet" for n in range(4)]


@pytest.mark.usefixtures("many")
def test_weights_guardrails_and_rows_in_any_order(session: "SparkSession", tmp_path: Path):
    frame = candidates(seed=1).sample(frac=1.0, random_state=0, ignore_index=True)
    frame["score"] = np.log(frame["score"] / (1 - frame["score"]))
    for part, rows in frame.groupby(np.arange(len(frame)) % 3):
        (tmp_path / "c" / f"date=2026-01-0{part + 1}").mkdir(parents=True)
        save(rows, tmp_path / "c" / f"date=2026-01-0{part + 1}" / "part.parquet", rows=400)
    settings = goals(score_kind="logit", guardrails={
        "min_score_ratio": 0.2, "confidence": 0.1, "protect_top": 1, "max_per": {"brand": 3}, "max_request_loss": 0.3,
        "banned": ["i79", "i00"], "pinned": {"i05": 2},
    }, goals=[{"group": "tail", "min_share": 0.3}, {"group": "seller", "value": "s0", "max_share": 0.35}])
    here, there = solved(tmp_path / "c", settings), solved(tmp_path / "c", settings, engine(session, 3))
    assert here.certificate.facts["notes"]["banned candidates left out"] > 0
    assert "user_id" in here.rankings.columns
    assert_same(here, there)


@pytest.mark.usefixtures("many")
def test_prices_of_yesterday_are_applied(session: "SparkSession", plain: Path):
    prices = solved(plain, goals()).prices
    settings = RerankSettings.model_validate(goals())
    here, there = (
        ExposureReranker(settings, engine=where).apply_prices(plain, prices, items=catalogue())
        for where in (None, engine(session, 2))
    )
    assert_same(here, there)


def test_few_lists_and_welfare_are_solved_on_the_driver(session: "SparkSession", plain: Path):
    few = engine(session, 2, small=1_000)
    assert_same(solved(plain, goals()), solved(plain, goals(), few))
    fair = goals(welfare=[{"group": "seller", "weight": 0.02}])
    assert_same(solved(plain, fair), solved(plain, fair, engine(session, 2)))


def test_what_does_not_fit_the_driver_is_refused(session: "SparkSession", plain: Path):
    fair = goals(welfare=[{"group": "seller", "weight": 0.02}], memory_limit=1e-6)
    with pytest.raises(InputError, match="needs all lists on the driver"):
        solved(plain, fair, engine(session, 2))


def test_goals_that_cannot_be_met_are_refused_alike(session: "SparkSession", plain: Path):
    greedy = goals(goals=[{"group": "seller", "value": "s3", "min_share": 0.95}])
    words = []
    for where in (None, engine(session, 1, small=1_000)):
        with pytest.raises(InfeasibleError) as refused:
            solved(plain, greedy, where)
        words.append(str(refused.value))
    assert words[0] == words[1]


def spoilt(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].astype(object).where(frame.index % 400 != 399, value)})


BAD = {
    "a stranger": lambda frame: spoilt(frame, "item_id", "nobody"),
    "a gap": lambda frame: spoilt(frame, "request_id", None),
    "no number": lambda frame: spoilt(frame, "score", np.nan).astype({"score": float}),
    "above 1": lambda frame: spoilt(frame, "score", 1.5).astype({"score": float}),
    "two weights": lambda frame: frame.assign(weight=np.where(frame.index == 700, 9.0, frame["weight"])),
    "twice": lambda frame: pd.concat([frame, frame.iloc[[5, 900]]], ignore_index=True),
    "another type": lambda frame: frame.assign(score=frame["score"].astype(str)),
    "weightless": lambda frame: frame.assign(weight=0.0),
    "all banned": lambda frame: frame[frame["item_id"] == "i07"],
}


@pytest.mark.parametrize("what", BAD)
def test_bad_candidates_are_refused_in_the_same_words(session: "SparkSession", tmp_path: Path, what: str):
    path = save(BAD[what](candidates()), tmp_path / "c.parquet")
    rails = {"min_score_ratio": None, "banned": ["i07"]}
    words = []
    for where in (None, engine(session, 2)):
        with pytest.raises(InputError) as refused:
            solved(path, goals(guardrails=rails), where)
        words.append((type(refused.value), str(refused.value)))
    assert words[0] == words[1]


LOST = """
import os, signal
from ltexpo.engines import EngineSettings
from ltexpo.engines.session import spark_session
with spark_session(EngineSettings(engine="spark", master="local[1]"), memory=1.0) as session:
    os.kill(int(session.sparkContext._jvm.java.lang.ProcessHandle.current().pid()), signal.SIGKILL)
    session.range(10).count()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("session")
def test_a_java_that_is_gone_is_said_in_one_line():
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr.strip().splitlines()[-1].startswith(
        "ltexpo.errors.LtexpoError: engine: spark: Java ended, most often for want of memory."
    )
