"""Lists by key: what a lookup gives is what the rankings say, in every format, for any batch size and order of keys."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import ColumnError, TableError
from ltexpo.exports.export import export_lists
from ltexpo.exports.settings import ExportSettings

IDS = pa.array(['a"1', "b,2", "c\n3", "ü", "e"])
LOOKUPS = ("redis", "csv", "parquet", "jsonl")


def rankings(lists: dict[str, list[int]], users: dict[str, str] | None = None) -> pd.DataFrame:
    rows = [
        (request, (users or {}).get(request, request), rank, IDS[item].as_py(), np.float32(1 / (rank + 2)), 0.1 * item)
        for request, items in lists.items() for rank, item in enumerate(items, 1)
    ]
    frame = pd.DataFrame(rows, columns=["request_id", "user_id", "rank", "item_id", "score", "price"])
    return frame.astype({"rank": np.int32, "score": np.float32})


def export(frame: pd.DataFrame, folder: Path, *, batch_rows: int = 3, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    write_frame(frame, folder / "rankings.parquet")
    wanted = ExportSettings.model_validate({"formats": LOOKUPS, **changes})
    export_lists(folder / "rankings.parquet", IDS, wanted, folder, batch_rows=batch_rows)
    return folder


def resp(raw: bytes) -> Iterator[list[bytes]]:
    """Commands of a mass insertion: arrays of bulk strings, each with its length."""
    at = 0

    def line() -> bytes:
        nonlocal at
        end = raw.index(b"\r\n", at)
        found, at = raw[at:end], end + 2
        return found

    while at < len(raw):
        head = line()
        assert head[:1] == b"*"
        command = []
        for _ in range(int(head[1:])):
            size = line()
            assert size[:1] == b"$"
            n = int(size[1:])
            command.append(raw[at : at + n])
            assert raw[at + n : at + n + 2] == b"\r\n"
            at += n + 2
        yield command


def stored(folder: Path) -> dict[str, object]:
    """What a Redis server holds after the file."""
    return {
        command[1].decode(): json.loads(command[2]) for command in resp((folder / "lists.resp").read_bytes())
        if command[0] == b"SET"
    }


def read_all(folder: Path, key: str) -> dict[str, dict[str, list[str]]]:
    """Format → key → item_ids, in the order of the file."""
    table = read_frame(folder / "lists.parquet")
    rows = pd.read_csv(folder / "lists.csv", dtype=str, keep_default_na=False)
    lines = [json.loads(line) for line in (folder / "lists.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    return {
        "parquet": dict(zip(table[key], (list(items) for items in table["item_ids"]), strict=True)),
        "csv": {str(name): list(part["item_id"]) for name, part in rows.groupby(key, sort=False)},
        "jsonl": {line[key]: line["items"] for line in lines},
        "redis": {name.removeprefix("ltexpo:"): items for name, items in stored(folder).items()},  # type: ignore[misc]
    }


LISTS = {"r1": [0, 1, 2], "r2": [4], "r3": [3, 2], "r4": [1, 0, 2, 3, 4]}


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 4, 100])
def test_every_format_says_what_the_rankings_say(tmp_path: Path, batch_rows: int):
    folder = export(rankings(LISTS), tmp_path / "x", batch_rows=batch_rows)
    true = {name: [IDS[item].as_py() for item in items] for name, items in LISTS.items()}
    for kind, found in read_all(folder, "request_id").items():
        assert found == true, kind
        assert list(found) == sorted(true), kind


def test_details_stand_beside_each_item(tmp_path: Path):
    folder = export(rankings({"r1": [1, 3]}), tmp_path / "x", details=True)
    first = {"rank": 1, "item_id": "b,2", "score": 0.33333334, "price": 0.1}
    second = {"rank": 2, "item_id": "ü", "score": 0.25, "price": 0.30000000000000004}
    assert stored(folder) == {"ltexpo:r1": [first, second]}
    assert json.loads((folder / "lists.jsonl").read_text()) == {"request_id": "r1", "items": [first, second]}
    assert read_frame(folder / "lists.csv".replace("csv", "parquet")).map(
        lambda cell: cell.tolist() if isinstance(cell, np.ndarray) else cell
    ).to_dict("records") == [{
        "request_id": "r1", "ranks": [1, 2], "item_ids": ["b,2", "ü"],
        "scores": [float(np.float32(1 / 3)), 0.25], "prices": [0.1, 0.30000000000000004],
    }]
    assert list(pd.read_csv(folder / "lists.csv")) == ["request_id", "rank", "item_id", "score", "price"]


def test_a_redis_command_sets_a_list_whole_and_may_let_it_expire(tmp_path: Path):
    folder = export(rankings({"ä": [3, 4]}), tmp_path / "x", prefix="shop:", ttl=3600)
    assert list(resp((folder / "lists.resp").read_bytes())) == [
        [b"SET", "shop:ä".encode(), '["ü","e"]'.encode(), b"EX", b"3600"]
    ]
    again = export(rankings({"ä": [3]}), tmp_path / "y", prefix="")
    assert list(resp((again / "lists.resp").read_bytes())) == [[b"SET", "ä".encode(), '["ü"]'.encode()]]


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    st.dictionaries(names, st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True), min_size=1, max_size=8),
    st.integers(1, 7), st.randoms(use_true_random=False),
)
def test_any_ids_any_order_any_batches(
    tmp_path_factory: pytest.TempPathFactory, lists: dict[str, list[int]], batch_rows: int, random: object
):
    folder = tmp_path_factory.mktemp("x")
    shuffled = list(lists)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    frame = rankings({name: lists[name] for name in shuffled})
    export(frame, folder, batch_rows=batch_rows, formats=("redis", "jsonl", "parquet"))
    true = {name: [IDS[item].as_py() for item in items] for name, items in lists.items()}
    table = read_frame(folder / "lists.parquet")
    assert dict(zip(table["request_id"], (list(items) for items in table["item_ids"]), strict=True)) == true
    assert {name.removeprefix("ltexpo:"): items for name, items in stored(folder).items()} == true
    assert table["request_id"].tolist() == sorted(lists, key=str.encode)


def test_the_files_are_the_same_for_any_batches(tmp_path: Path):
    frame = rankings({name: LISTS[name] for name in ("r3", "r1", "r4", "r2")})
    one, other = (export(frame, tmp_path / str(rows), batch_rows=rows) for rows in (1, 50))
    for name in ("lists.resp", "lists.csv", "lists.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    pd.testing.assert_frame_equal(read_frame(one / "lists.parquet"), read_frame(other / "lists.parquet"))


def test_lists_by_user_are_sorted_by_user(tmp_path: Path):
    users = {"r1": "zoe", "r2": "adam", "r3": "mia", "r4": "bob"}
    folder = export(rankings(LISTS, users), tmp_path / "x", key="user", batch_rows=2)
    true = {users[name]: [IDS[item].as_py() for item in items] for name, items in LISTS.items()}
    for kind, found in read_all(folder, "user_id").items():
        assert found == true, kind
        assert list(found) == ["adam", "bob", "mia", "zoe"], kind


def test_a_user_of_several_lists_is_refused_without_naming_anybody(tmp_path: Path):
    frame = rankings(LISTS, {"r1": "zoe", "r2": "adam", "r3": "zoe", "r4": "zoe"})
    with pytest.raises(TableError, match="2 of 4 lists are of a user_id that has another list before") as refused:
        export(frame, tmp_path / "x", key="user")
    assert "zoe" not in str(refused.value)
    export(frame, tmp_path / "x", key="request")


def spoilt(**columns: list[object]) -> pd.DataFrame:
    return rankings({"r1": [0, 1], "r2": [2]}).assign(**columns)


@pytest.mark.parametrize(("frame", "said"), [
    (spoilt(rank=[1, 1, 1]), "list 1 has rank 1 after 1"),
    (spoilt(rank=[2, 1, 1]), "list 1 has rank 1 after 2"),
    (spoilt(rank=[0, 1, 1]), "list 1 has rank 0 after 0"),
    (spoilt(item_id=["e", "gone", "e"]), "row 1: item_id 'gone' is not in the catalogue"),
    (spoilt(request_id=["r1", "r2", "r1"]), "row 2: its request_id stands further up, too"),
    (spoilt().drop(columns="rank"), "lacks 'rank'"),
    (spoilt().iloc[:0], "holds no list"),
    (spoilt(request_id=["r1", None, "r2"]), "request_id has 1 gaps"),
])
def test_rankings_that_are_refused(tmp_path: Path, frame: pd.DataFrame, said: str):
    with pytest.raises((TableError, ColumnError), match=said):
        export(frame, tmp_path / "x")


def test_scores_that_are_no_numbers_are_refused_where_they_are_written(tmp_path: Path):
    frame = rankings({"r1": [0, 1]}).assign(score=np.array([0.5, np.nan], np.float32))
    export(frame, tmp_path / "x")
    with pytest.raises(ColumnError, match="row 1: score is nan"):
        export(frame, tmp_path / "x", details=True)
    with pytest.raises(ColumnError, match=r"lacks 'user_id'.*use key: request"):
        export(frame.drop(columns="user_id"), tmp_path / "x", key="user")


def test_slots_that_stay_empty_are_counted(tmp_path: Path):
    folder = tmp_path / "x"
    folder.mkdir()
    write_frame(spoilt(rank=np.array([1, 3, 1], np.int32)), folder / "rankings.parquet")
    _, notes = export_lists(folder / "rankings.parquet", IDS, ExportSettings(formats=("parquet", "jsonl")), folder)
    assert "1 lists leave a slot empty" in notes[0]
    assert read_frame(folder / "lists.parquet")["ranks"].map(list).tolist() == [[1, 3], [1]]


@pytest.mark.parametrize(("name", "guess"), [
    ("elasticsearch", "function_score"), ("Redis", "redis"), ("rank_features", "rank_feature"), ("json", "jsonl"),
])
def test_an_unknown_format_is_met_with_a_guess(name: str, guess: str):
    with pytest.raises(ValueError, match=f"unknown format '{name}'. Did you mean '{guess}'"):
        ExportSettings.model_validate({"formats": [name]})
