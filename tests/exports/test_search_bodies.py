"""Boost tables: a search engine given our files ranks as the re-ranker does at the same prices."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_scorer import Documents, apply_bulk, search

from ltexpo.errors import ColumnError, TableError
from ltexpo.exports.boosts import BoostTable
from ltexpo.exports.bulk import write_bulk
from ltexpo.exports.search import nine_bits, write_function_score, write_rank_feature
from ltexpo.exports.settings import ExportSettings
from ltexpo.rerank import ExposureReranker, Goal, GuardrailSettings, RerankSettings

OWN: dict[str, Any] = {
    "function_score": {
        "query": {"match_all": {}}, "functions": [{"field_value_factor": {"field": "own", "missing": 0}}],
        "score_mode": "sum", "boost_mode": "replace",
    }
}
"""A query whose score is a document's own number: it stands for the ranker that the engine runs."""


def table(boosts: dict[str, float], items: list[str]) -> BoostTable:
    frame = pd.DataFrame({"item_id": list(boosts), "boost": list(boosts.values())})
    return BoostTable.of(frame, pd.Series(items), where="boosts.parquet")


def put_in(body: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`body` with `own` where our template has match_all."""
    return json.loads(json.dumps(body).replace(json.dumps({"match_all": {}}), json.dumps(own)))


def order(folder: Path, scores: dict[str, float], *, query: str = "query.json", before: Documents | None = None
          ) -> list[str]:
    """The documents as the engine ranks them after the files of `folder` were loaded; ties by _id."""
    documents: Documents = {item: {"own": score} for item, score in scores.items()}
    for item, source in (before or {}).items():
        documents[item] |= source
    for part in sorted(folder.glob("boosts-*.ndjson")):
        apply_bulk(part.read_text(encoding="utf-8"), documents)
    mapping = json.loads((folder / "mapping.json").read_text())
    mapping["properties"]["own"] = {"type": "double"}
    found = search(put_in(json.loads((folder / query).read_text()), OWN), documents, mapping)
    return sorted(found, key=lambda item: (-found[item], item))


def test_score_plus_boost_with_boosts_of_both_signs(tmp_path: Path):
    boosts = table({"a": -0.3, "b": 0.25, "d": 0.05}, ["a", "b", "c", "d"])
    files, notes = write_function_score(boosts, ExportSettings(), tmp_path / "f")
    # 0.5-0.3, 0.1+0.25, 0.3, 0.2+0.05
    assert order(tmp_path / "f", {"a": 0.5, "b": 0.1, "c": 0.3, "d": 0.2}) == ["b", "c", "d", "a"]
    assert boosts.shift == 0.5 and "every document gets 0.5 more" in notes[1]
    assert [file.path for file in files] == ["function_score/boosts-*.ndjson", "function_score/query.json"]
    # a product that came after the export has no field: it counts as not boosted, not as boosted least
    assert order(tmp_path / "f", {"a": 0.5, "new": 0.3, "c": 0.29}) == ["new", "c", "a"]


def test_yesterdays_boosts_are_taken_back(tmp_path: Path):
    write_function_score(table({"a": 0.2}, ["a", "b"]), ExportSettings(), tmp_path / "f")
    left = {"b": {"ltexpo_boost": 9.0}}
    assert order(tmp_path / "f", {"a": 0.1, "b": 0.2}, before=left) == ["a", "b"]


numbers = st.floats(-1, 1, width=32)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), numbers), min_size=1, max_size=20))
def test_function_score_ranks_by_the_sum(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]]):
    folder = tmp_path_factory.mktemp("f") / "f"
    names = [f"i{at:02d}" for at in range(len(rows))]
    boosts = table(dict(zip(names, (boost for _, boost in rows), strict=True)), names)
    write_function_score(boosts, ExportSettings(), folder)
    got = order(folder, dict(zip(names, (score for score, _ in rows), strict=True)))
    true = {name: score + boost for name, (score, boost) in zip(names, rows, strict=True)}
    # to the last digit that 32 bits hold of the shifted sum
    step = np.spacing(np.float32(2 * boosts.shift + 2))
    ranked = [true[name] for name in got]
    assert all(upper >= lower - step for upper, lower in pairwise(ranked))


def catalogue(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    items = pd.DataFrame({
        "item_id": [f"sku-{at}" for at in range(60)], "title": "x", "tier": ["head"] * 15 + ["tail"] * 45,
        "brand": [f"b{at % 6}" for at in range(60)],
    })
    rows = [
        (f"r{request:03d}", f"sku-{item}", 0.5 * rng.beta(2, 5) + (0.3 if item < 15 else 0.0))
        for request in range(80) for item in rng.choice(60, 20, replace=False)
    ]
    return items, pd.DataFrame(rows, columns=["request_id", "item_id", "score"])


@pytest.fixture(scope="module")
def priced() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Items, candidates, boosts of both signs, and the lists that the re-ranker makes at these prices alone."""
    items, candidates = catalogue(np.random.default_rng(7))
    goals = [Goal(group="tail", min_share=0.6), Goal(group="brand", value="b1", max_share=0.05)]
    # what holds within one list is in no boost
    settings = RerankSettings(k=8, goals=goals, guardrails=GuardrailSettings(min_score_ratio=None))
    solved = ExposureReranker(settings).fit(candidates, items=items, rng=0).fitted_
    assert solved.boosts["boost"].min() < 0 < solved.boosts["boost"].max()
    applied = ExposureReranker(settings).apply_prices(candidates, solved.prices, items=items)
    return items, candidates, solved.boosts, applied.rankings


def lists_of(rankings: pd.DataFrame) -> dict[str, list[str]]:
    return {str(name): list(rows["item_id"]) for name, rows in rankings.sort_values("rank").groupby("request_id")}


def engine_lists(folder: Path, candidates: pd.DataFrame, query: str) -> dict[str, list[str]]:
    return {
        str(name): order(folder, dict(zip(rows["item_id"], np.float32(rows["score"]).tolist(), strict=True)),
                         query=query)[:8]
        for name, rows in candidates.groupby("request_id")
    }


def test_function_score_gives_the_rerankers_lists(tmp_path: Path, priced: Any):
    items, candidates, boosts, rankings = priced
    boost_table = BoostTable.of(boosts, items["item_id"], where="boosts.parquet")
    write_function_score(boost_table, ExportSettings(), tmp_path / "f")
    assert engine_lists(tmp_path / "f", candidates, "query.json") == lists_of(rankings)


@pytest.mark.parametrize("query", ["query.json", "query_saturation.json"])
def test_rank_feature_ranks_alike_but_for_what_nine_bits_hide(tmp_path: Path, priced: Any, query: str):
    items, candidates, boosts, rankings = priced
    boost_table = BoostTable.of(boosts, items["item_id"], where="boosts.parquet")
    _, notes = write_rank_feature(boost_table, ExportSettings(), tmp_path / "f")
    off = np.abs(nine_bits(boost_table.boosts + boost_table.shift) - boost_table.boosts - boost_table.shift).max()
    assert 0 < off <= 2.0**-9 * 2 * boost_table.shift and f"off by {off:.3g} at most" in notes[0]
    most = (boost_table.boosts + boost_table.shift).max()
    slack = 2 * off + 1e-6 + (0 if query == "query.json" else 2 * most / 1000)
    boost = dict(zip(boost_table.item_ids, boost_table.boosts, strict=True))
    got, exact = engine_lists(tmp_path / "f", candidates, query), lists_of(rankings)
    score = candidates.set_index(["request_id", "item_id"])["score"]
    for name, ranked in got.items():
        sums = [score[name, item] + boost[item] for item in ranked]
        best = [score[name, item] + boost[item] for item in exact[name]]
        assert np.all(np.diff(sums) <= slack)
        assert np.allclose(sums, best, atol=slack)


def test_boosts_above_zero_need_no_shift_and_leave_other_documents_without_a_feature(tmp_path: Path):
    boosts = table({"b": 0.4}, ["a", "b"])
    write_rank_feature(boosts, ExportSettings(field="up"), tmp_path / "f")
    lines = [json.loads(line) for line in (tmp_path / "f" / "boosts-00000.ndjson").read_text().splitlines()]
    assert lines == [
        {"update": {"_id": "a"}}, {"doc": {"up_feature": None}}, {"update": {"_id": "b"}},
        {"doc": {"up_feature": 0.400390625}},  # 0.4 in 9 bits
    ]
    assert order(tmp_path / "f", {"a": 0.3, "b": 0.0, "elsewhere": 0.2}) == ["b", "a", "elsewhere"]


@given(st.floats(2.0**-120, 2.0**100, width=32))
def test_nine_bits_are_what_a_feature_keeps(value: float):
    kept = nine_bits(np.array([value]))[0]
    assert abs(kept - value) <= 2.0**-9 * value
    again = np.float32(kept)
    assert float((again.view(np.int32) >> 15 << 15).view(np.float32)) == kept


def test_the_shift_is_above_every_negative_boost_and_stays_over_small_moves():
    for least in (-0.3, -0.26, -0.49):
        assert table({"a": least}, ["a", "b"]).shift == 0.5
    assert table({"a": -0.5}, ["a"]).shift == 1.0
    assert table({"a": 0.5}, ["a"]).shift == 0.0
    assert table({}, ["a"]).shift == 0.0


def test_bulk_files_come_in_parts_that_together_hold_every_row(tmp_path: Path):
    rows = [(f'id "{at}" ü\n', at / 8) for at in range(100)]
    count, parts = write_bulk(rows, "b", tmp_path, part_bytes=1_000)
    files = sorted(tmp_path.iterdir())
    assert count == 100 and parts == len(files) > 5
    assert all(file.stat().st_size <= 1_000 for file in files)
    documents: Documents = {name: {} for name, _ in rows[:99]}
    assert sum(apply_bulk(file.read_text(encoding="utf-8"), documents) for file in files) == 1
    assert documents == {name: {"b": value} for name, value in rows[:99]}


def test_what_cannot_be_expressed_is_refused(tmp_path: Path):
    with pytest.raises(TableError, match="600 bytes; search engines take ids of 512"):
        write_function_score(table({}, ["x" * 600]), ExportSettings(), tmp_path / "f")
    with pytest.raises(ColumnError, match="32-bit scores"):
        write_function_score(table({"a": 1e39}, ["a"]), ExportSettings(), tmp_path / "f")
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(("boosts", "said"), [
    (pd.DataFrame({"item_id": ["a"]}), "lacks 'boost'"),
    (pd.DataFrame({"item_id": ["a", "b"], "boost": [0.1, np.nan]}), r"row 1: boost is .*not a finite number \(1 such"),
    (pd.DataFrame({"item_id": ["a"], "boost": ["much"]}), "not a finite number"),
    (pd.DataFrame({"item_id": ["a", "a"], "boost": [0.1, 0.2]}), "'a' stands there twice"),
    (pd.DataFrame({"item_id": ["z"], "boost": [0.1]}), "'z' is not in the catalogue"),
])
def test_boost_tables_that_are_refused(boosts: pd.DataFrame, said: str):
    with pytest.raises((ColumnError, TableError), match=f"boosts.parquet.*{said}"):
        BoostTable.of(boosts, pd.Series(["a", "b"]), where="boosts.parquet")
