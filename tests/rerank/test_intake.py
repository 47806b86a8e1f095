"""Candidates in any form, order and partition give the same lists; what cannot be used is refused in the same words."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from ltexpo.data.batches import write_batches
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.errors import ColumnError, InputError, LtexpoError, OutputError, TableError
from ltexpo.rerank import ExposureReranker, Goal, GuardrailSettings, Reranked, RerankSettings, rerank
from ltexpo.rerank import lists as lists_module
from ltexpo.rerank import source as source_module
from ltexpo.rerank.encode import encode

ITEMS = pd.DataFrame({
    "item_id": [f"i{n:02d}" for n in range(40)], "title": "T", "tier": ["head"] * 12 + ["tail"] * 28,
    "seller_id": [f"s{n % 5}" for n in range(40)],
})
RAILS = GuardrailSettings(min_score_ratio=0.3, confidence=0.5, max_per={"seller_id": 3}, banned=("i39",))
JOB = RerankSettings(k=4, goals=(Goal(group="tail", min_share=0.65),), guardrails=RAILS, elastic=True)


def candidates(n_lists: int = 150, seed: int = 0) -> pd.DataFrame:
    """Lists of 1 to 12 candidates, sorted by request, every column that the re-ranker reads."""
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(40, rng.integers(1, 13), replace=False) for _ in range(n_lists)]
    owner = np.repeat(np.arange(n_lists), [len(items) for items in drawn])
    item = np.concatenate(drawn)
    return pd.DataFrame({
        "request_id": [f"r{n:04d}" for n in owner], "user_id": [f"u{n % 50}" for n in owner],
        "item_id": ITEMS["item_id"].to_numpy()[item],
        "score": np.round(rng.beta(2, 18, len(item)) * np.where(item < 12, 1.0, 0.4), 3) + 0.01,
        "score_std": 0.01 * rng.random(len(item)),
        "weight": 1.0 + owner % 3,
    })


def outcome(result: Reranked, folder: Path) -> dict[str, Any]:
    """Everything a job writes, as bytes; its duration left out."""
    lists = result.lists
    files = {
        "rankings": (lists.rankings(), lists.rankings_schema), "control": (lists.control(), lists.rankings_schema),
        "promotions": (lists.promotions(), lists.promotions_schema),
    }
    written = {
        name: write_batches(batches, schema, folder / name).read_bytes() for name, (batches, schema) in files.items()
    }
    certificate = result.certificate.to_dict()
    del certificate["seconds"]
    return {**written, "certificate": certificate, "boosts": result.boosts.to_json()}


def in_parts(frame: pd.DataFrame, folder: Path, *, seed: int, days: bool = False) -> Path:
    """Rows dealt out to parts at random, in order within each; with `days`, into hive folders."""
    part = np.random.default_rng(seed).integers(0, 5, len(frame))
    for n in range(5):
        at = folder / (f"date=2024-01-0{n + 1}" if days else "") / f"part-{n}.parquet"
        at.parent.mkdir(parents=True, exist_ok=True)
        frame[part == n].to_parquet(at, row_group_size=50)
    (folder / "notes.txt").write_text("not a part")
    return folder


FORMS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "Arrow": lambda frame, room: pa.Table.from_pandas(frame),
    "Arrow in dictionaries": lambda frame, room: pa.Table.from_pandas(
        frame.astype({"request_id": "category", "item_id": "category", "user_id": "category"})
    ),
    "objects": lambda frame, room: frame.astype({"request_id": object, "item_id": object}),
    "shuffled": lambda frame, room: frame.sample(frac=1, random_state=3),
    "reversed": lambda frame, room: frame.iloc[::-1],
    "a file": lambda frame, room: (frame.to_parquet(room / "c.parquet", row_group_size=64), room / "c.parquet")[1],
    "a file's name": lambda frame, room: (frame.to_parquet(room / "c.parquet"), str(room / "c.parquet"))[1],
    "a folder": lambda frame, room: in_parts(frame, room / "parts", seed=1),
    "hive folders": lambda frame, room: in_parts(frame, room / "parts", seed=2, days=True),
    "a dataset": lambda frame, room: ds.dataset(pa.Table.from_pandas(frame)),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(rerank(candidates(), ITEMS, JOB), tmp_path_factory.mktemp("frame"))


@pytest.mark.parametrize("form", FORMS)
def test_any_form_order_and_partition_gives_the_same_bytes(
    form: str, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = FORMS[form](candidates(), tmp_path)
    assert outcome(rerank(given, ITEMS, JOB), tmp_path) == expected
    # batches so small that lists are cut by them
    monkeypatch.setattr(source_module, "BATCH_ROWS", 7)
    assert outcome(rerank(given, ITEMS, JOB), tmp_path) == expected


@pytest.mark.parametrize(("rising", "limit"), [(True, 0.0), (False, 0.00009)])
def test_arrays_on_disk_give_the_same_bytes_and_leave_no_file(rising: bool, limit: float, tmp_path: Path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    given = candidates(1500, seed=4)
    if not rising:
        given = pd.concat([rows for _, rows in sorted(given.groupby("request_id"), key=lambda pair: pair[0][::-1])])
    settings = JOB.model_copy(update={"memory_limit": limit})
    encoded = encode(given, ITEMS, settings, scratch=scratch)
    assert is_mapped(encoded.problem.items)
    assert is_mapped(encoded.problem.scores)
    assert list(scratch.iterdir()) == []
    result = ExposureReranker(settings, scratch=scratch).fit(given, items=ITEMS).fitted_
    in_memory = encode(given, ITEMS, JOB)
    assert not is_mapped(in_memory.problem.items)
    assert outcome(result, tmp_path) == outcome(rerank(candidates(1500, seed=4), ITEMS, JOB), tmp_path)


def is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def test_no_file_stays_after_an_error(tmp_path: Path):
    spoilt = candidates()
    spoilt.loc[len(spoilt) - 1, "item_id"] = "nobody"
    with pytest.raises(TableError, match="'nobody' is not in items"):
        encode(spoilt, ITEMS, JOB.model_copy(update={"memory_limit": 0.0}), scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"cannot hold a temporary file.*raise memory_limit"):
        encode(candidates(), ITEMS, JOB.model_copy(update={"memory_limit": 0.0}), scratch=tmp_path)


def test_rows_too_scattered_to_sort_are_refused():
    shuffled = candidates().sample(frac=1, random_state=0)
    with pytest.raises(InputError, match=r"do not stand together.*Sort the candidates by request_id"):
        encode(shuffled, ITEMS, JOB.model_copy(update={"memory_limit": 0.00001}))


def spoilt(column: str, row: int, value: Any) -> pd.DataFrame:
    frame = candidates(20)
    if isinstance(value, list):
        return frame.assign(**{column: [value[n % len(value)] for n in range(len(frame))]})
    frame.loc[[row, len(frame) - 1], column] = value
    return frame


BAD = {
    "a missing column": candidates(3).drop(columns="score"),
    "no rows": candidates(3).iloc[:0],
    "a NaN score": spoilt("score", 30, np.nan),
    "an infinite score": spoilt("score", 30, np.inf),
    "a request gap": spoilt("request_id", 30, None),
    "an item gap": spoilt("item_id", 30, None),
    "a user gap": spoilt("user_id", 30, None),
    "a blank request": spoilt("request_id", 30, ""),
    "a blank item": spoilt("item_id", 30, ""),
    "a blank user": spoilt("user_id", 30, ""),
    "float items": spoilt("item_id", 0, [1.0, 2.0]),
    "true and false as requests": spoilt("request_id", 0, [True]),
    "scores in words": spoilt("score", 0, ["high", "low"]),
    "a negative score_std": spoilt("score_std", 30, -0.5),
    "a negative weight": spoilt("weight", 30, -1.0),
    "an item twice": pd.concat([candidates(20), candidates(20).iloc[[30, 40]]]),
}


@pytest.mark.parametrize("way", ["frame", "Arrow", "file"])
@pytest.mark.parametrize("case", BAD)
def test_refusals_are_those_of_the_contract(case: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source_module, "BATCH_ROWS", 16)
    frame = BAD[case]
    if way == "file":
        frame.to_parquet(tmp_path / "c.parquet", row_group_size=25)
    with pytest.raises(LtexpoError) as by_contract:
        check_table(pd.read_parquet(tmp_path / "c.parquet") if way == "file" else frame, CANDIDATES)
    given = {"frame": frame, "Arrow": pa.Table.from_pandas(frame), "file": tmp_path / "c.parquet"}[way]
    with pytest.raises(LtexpoError) as refused:
        encode(given, ITEMS, JOB)
    assert str(refused.value) == str(by_contract.value)
    assert type(refused.value) is type(by_contract.value)


def test_a_score_outside_its_kind_is_named_by_its_row_in_the_table(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source_module, "BATCH_ROWS", 16)
    with pytest.raises(ColumnError, match=r"'score' row 30 is 1\.5, above 1"):
        encode(spoilt("score", 30, 1.5), ITEMS, JOB)
    with pytest.raises(ColumnError, match=r"'score' row 30 is -1, negative"):
        encode(spoilt("score", 30, -1.0), ITEMS, JOB)


def test_integer_ids_are_read_as_strings_and_counted():
    numbers = pd.DataFrame({"request_id": [10, 10, 9], "item_id": [7, 8, 7], "score": [0.1, 0.2, 0.3]})
    items = pd.DataFrame({"item_id": ["7", "8"], "title": "T", "tier": "tail"})
    result = rerank(numbers, items, RerankSettings(k=2, goals=()))
    assert list(result.rankings["request_id"]) == ["10", "10", "9"]
    assert list(result.rankings["item_id"]) == ["8", "7", "7"]
    assert result.certificate.facts["notes"] == {
        "request_id: integers read as strings": 3, "item_id: integers read as strings": 3,
    }


def test_parts_that_differ_are_refused(tmp_path: Path):
    folder = in_parts(candidates(20), tmp_path / "parts", seed=1)
    candidates(5).drop(columns="weight").to_parquet(folder / "part-9.parquet")
    with pytest.raises(TableError, match=r"part-9\.parquet: 'weight' is in some parts"):
        encode(folder, ITEMS, JOB)
    candidates(5).assign(item_id=1).to_parquet(folder / "part-9.parquet")
    with pytest.raises(TableError, match="its parts differ in type"):
        encode(folder, ITEMS, JOB)
    (folder / "part-9.parquet").write_bytes((folder / "part-1.parquet").read_bytes()[:-100])
    with pytest.raises(TableError, match="not readable Parquet"):
        encode(folder, ITEMS, JOB)
    # a part with a sound footer over broken pages
    sound = bytearray((folder / "part-1.parquet").read_bytes())
    sound[4:400] = bytes(396)
    (folder / "part-9.parquet").write_bytes(sound)
    with pytest.raises(TableError, match="not readable Parquet"):
        encode(folder, ITEMS, JOB)


def test_weights_count_requests_as_often_as_they_are_shown():
    items = pd.DataFrame({"item_id": ["h", "t"], "title": "T", "tier": ["head", "tail"]})
    lists = pd.DataFrame({
        "request_id": ["a", "a", "b", "b"], "item_id": ["h", "t"] * 2, "score": [0.5, 0.4, 0.5, 0.1],
        "weight": [1, 1, 3, 3],
    })
    free = GuardrailSettings(min_score_ratio=None)
    result = rerank(lists, items, RerankSettings(k=1, goals=(Goal(group="tail", min_share=0.5),), guardrails=free))
    # of 4 units of exposure the tail needs 2: only b, which weighs 3, is enough
    assert list(result.rankings["item_id"]) == ["h", "t"]
    assert list(result.rankings["exposure"]) == [1.0, 3.0]
    assert result.certificate.clicks_before == pytest.approx(1 * 0.5 + 3 * 0.5)
    assert result.certificate.clicks_after == pytest.approx(1 * 0.5 + 3 * 0.1)
    assert result.certificate.goals["achieved"].iloc[0] == pytest.approx(0.75)
    assert result.promotions["clicks_given_up"].tolist() == pytest.approx([3 * 0.4])
    same = lists.loc[lists.index.repeat(lists["weight"])]
    copies = same.assign(request_id=same["request_id"] + same.groupby(["request_id", "item_id"]).cumcount().astype(str))
    apart = rerank(
        copies.drop(columns="weight"), items,
        RerankSettings(k=1, goals=(Goal(group="tail", min_share=0.25),), guardrails=free),
    )
    assert apart.certificate.clicks_before == pytest.approx(result.certificate.clicks_before)
    assert apart.certificate.clicks_after == pytest.approx(4 * 0.5 - 0.1)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [2, 0, 3, 1]])
@pytest.mark.parametrize("size", [1, 2, 10])
def test_two_weights_in_one_request_are_refused(rows: list[int], size: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source_module, "BATCH_ROWS", size)
    lists = pd.DataFrame({
        "request_id": ["a", "a", "b", "b"], "item_id": ["i00", "i01"] * 2, "score": 0.1, "weight": [1.0, 1.0, 2.0, 3.0],
    }).iloc[rows]
    with pytest.raises(TableError, match=r"'weight' is [23] in one row of a request_id and [23] in another"):
        rerank(lists, ITEMS, RerankSettings(k=1, goals=()))
    with pytest.raises(TableError, match="'weight' is 0 in every request"):
        rerank(lists.assign(weight=0.0), ITEMS, RerankSettings(k=1, goals=()))


def joined_promotions(result: Reranked) -> pd.DataFrame:
    """Promotions by joins of the written tables."""
    rankings, control = result.rankings, result.control
    slot = ["request_id", "rank"]
    before = control[[*slot, "item_id", "score"]].rename(columns={"item_id": "displaced", "score": "displaced_score"})
    own = control[["request_id", "item_id", "rank"]].rename(columns={"rank": "rank_before"})
    table = (
        rankings[rankings["boosted"]]
        .merge(before, on=slot, how="left")
        .merge(own, on=["request_id", "item_id"], how="left")
        .merge(result.boosts[["item_id", "goal"]], on="item_id", how="left")
    )
    lost = table["displaced_score"].fillna(0.0).astype(float) - table["score"].astype(float)
    return table.assign(clicks_given_up=table["exposure"] * lost)[list(result.promotions.columns)]


@pytest.mark.parametrize("size", [8, 2**20])
def test_promotions_are_those_of_the_tables(size: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists_module, "BATCH_ROWS", size)
    result = rerank(candidates(400, seed=9), ITEMS, JOB)
    assert len(result.promotions) == result.certificate.facts["boosted"] > 100
    assert result.promotions["rank_before"].isna().any()
    pd.testing.assert_frame_equal(
        result.promotions, joined_promotions(result), check_dtype=False, check_column_type=False
    )
    plain = result.control["score"] @ result.control["exposure"]
    assert plain == pytest.approx(result.certificate.clicks_before)
    assert result.rankings["score"] @ result.rankings["exposure"] == pytest.approx(result.certificate.clicks_after)


def test_written_lists_read_as_plain_columns(tmp_path: Path):
    result = rerank(candidates(), ITEMS, JOB)
    lists = result.lists
    path = write_batches(lists.rankings(), lists.rankings_schema, tmp_path / "r.parquet", metadata={"seen": "yes"})
    assert [str(kind) for kind in pq.read_schema(path).types] == [
        "string", "string", "int32", "string", "float", "double", "double", "bool",
    ]
    pd.testing.assert_frame_equal(pd.read_parquet(path), result.rankings)
    assert b"seen" in pq.read_schema(path).metadata[b"ltexpo"]
