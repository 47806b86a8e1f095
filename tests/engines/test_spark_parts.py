"""What the Spark engine is made of, without Spark: blocks, dealt row groups, changed lists, settings and errors."""

import builtins
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_jobs import candidates, save

from ltexpo.config import check_settings
from ltexpo.engines import EngineSettings
from ltexpo.engines.blocks import block_rows, blocks_of, facts_row, record_batch
from ltexpo.engines.intake import Deal
from ltexpo.engines.passes import ALL, Made
from ltexpo.engines.session import _reason, spark_session
from ltexpo.errors import ConfigError, MissingExtraError
from ltexpo.rerank.goals import Goals
from ltexpo.rerank.intake import CompactLists
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.source import Source

SPARK = EngineSettings(engine="spark")


def problem(n_lists: int, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, n_lists)
    items = np.concatenate([rng.choice(8, n, replace=False) for n in lengths]).astype(np.int32)
    return Problem.build(
        np.concatenate([[0], np.cumsum(lengths)]), items, rng.random(len(items), dtype=np.float32),
        attention=[1.0, 0.5, 0.25], group_indptr=np.arange(9), group_ids=np.arange(8) % 2,
        goals=Goals(np.array([0]), np.ones(1, np.int8), np.ones(1)), weights=rng.random(n_lists, dtype=np.float32),
    )


def test_blocks_hold_the_lists_and_come_back():
    made = problem(50)
    names = pa.array([f"r{row}" for row in range(50)], pa.large_string())
    lists = CompactLists(made.indptr, made.items, made.scores, None, names, None, made.weights)
    rows = [*block_rows(3, lists, None, 20), facts_row(3, {"rows": 1})]
    blocks = list(blocks_of(iter([record_batch([row]) for row in rows]), made.constants))
    assert [block.seq for block in blocks] == list(range(len(rows) - 1))
    assert len(blocks) > 5
    assert {block.part for block in blocks} == {3}
    assert all(np.diff(block.lists.indptr).sum() <= 20 for block in blocks)
    assert np.concatenate([block.lists.items for block in blocks]).tolist() == made.items.tolist()
    assert np.concatenate([block.lists.weights for block in blocks]).tolist() == made.lists.weights.tolist()
    assert pa.concat_arrays([block.requests for block in blocks]).equals(names)
    assert sum(row["n_long"] for row in rows) == int((np.diff(made.indptr) >= 2).sum())


def test_changed_lists_stand_in_for_those_the_boosts_give():
    made, rows = problem(30), np.arange(100, 130)
    boost = np.linspace(0, 0.4, 8, dtype=np.float32)
    chosen = Made(boost, ALL, np.empty((0, 3), np.int8))
    whole = made.choose(boost)
    assert (chosen.of(made.lists, rows) == whole).all()
    chosen.change(np.array([101, 129]), np.full((2, 3), 7, np.int8))
    chosen.change(np.array([50, 101]), np.full((2, 3), 5, np.int8))
    assert chosen.rows.tolist() == [50, 101, 129]
    found = chosen.of(made.lists, rows)
    changed = np.flatnonzero((found != whole).any(axis=1))
    assert changed.tolist() == [1, 29]
    assert (found[1] == 5).all()
    assert (found[29] == 7).all()
    plain = Made(None, ALL, np.empty((0, 3), np.int8)).of(made.lists, rows)
    assert (plain == made.plain()).all()


@pytest.mark.parametrize("n_tasks", [1, 3, 50])
def test_row_groups_are_dealt_out_in_order_and_none_is_lost(tmp_path: Path, n_tasks: int):
    frame = candidates(60)
    half = len(frame) // 2
    save(frame[:half], tmp_path / "a.parquet", rows=40)
    save(frame[half:], tmp_path / "b.parquet", rows=70)
    deal = Deal.of(Source(tmp_path), n_tasks)
    assert len(deal.tasks) == min(n_tasks, len(deal.tasks))
    found = []
    for task in range(len(deal.tasks)):
        source = deal.source(task)
        assert source is not None
        found += [batch.column(0).to_pylist() for batch in source.batches(["item_id"])]
    assert sum(found, []) == frame["item_id"].tolist()  # noqa: RUF017
    assert len(deal.tasks) > 1 or n_tasks == 1


def test_settings_of_spark_need_spark():
    with pytest.raises(ConfigError, match="'partitions' is for engine: spark"):
        check_settings(EngineSettings, {"partitions": 3}, "options")


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    honest = builtins.__import__

    def absent(name: str, *more: object, **named: object) -> object:
        if name.startswith("pyspark"):
            raise ImportError(name)
        return honest(name, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"ltexpo\[spark\]"), spark_session(SPARK):
        pass


def test_without_java_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("pyspark", reason="extra 'spark' is not installed")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"needs Java 17 or later.*JAVA_HOME"), spark_session(SPARK):
        pass
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no java on the PATH"), spark_session(SPARK):
        pass


def test_a_trace_becomes_its_last_line(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.CRITICAL)
    trace = (
        "An exception was thrown from the Python worker:\nTraceback (most recent call last):\n"
        '  File "x.py", line 3, in f\n    raise ValueError("no")\nValueError: no\n\n\tat org.apache.spark.Task.run'
    )
    assert _reason(trace) == "a task failed with ValueError: no"
    assert _reason("Job aborted\n\tat java.lang.Thread") == "Job aborted"
    stopped = "An error occurred while calling o3.broadcast.\n: java.lang.IllegalStateException: stopped\n\tat x"
    assert _reason(stopped) == "java.lang.IllegalStateException: stopped"
    assert _reason("") == "stopped without a reason. Run again with -v."
