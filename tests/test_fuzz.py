"""Thousands of spoilt tables and settings: refused in one line with an exit code of 2, 3 or 4, or borne; no fault."""

import io
import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from fuzz_room import CODES, PERSON, READS, SCORE, VERBS, Room
from fuzz_tables import spoilt_csv, spoilt_parquet
from fuzz_yaml import raw_yaml, spoilt_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltexpo.cli import JOBS
from ltexpo.columns import Columns
from ltexpo.data.importers.generic import ColumnMap

SHARE = float(os.environ.get("LTEXPO_FUZZ", "0.3"))
"""Share of the cases below that are tried; LTEXPO_FUZZ=1 tries all of them, 10 ten times as many."""
TABLE_CASES = {
    "describe": 200, "recommend": 60, "rerank": 200, "warm": 80, "explain": 80, "frontier": 60, "evaluate": 120,
    "examine": 80, "simulate": 60, "ope": 80, "encode": 60, "graph": 60, "report": 60, "import": 150,
    "monitor": 80, "export": 80,
}
YAML_CASES = {
    "rerank": 150, "frontier": 40, "evaluate": 60, "recommend": 60, "simulate": 100, "ope": 60, "examine": 50,
    "encode": 50, "graph": 40, "report": 40, "describe": 20, "import": 20, "monitor": 60, "export": 40,
}
RAW_CASES, MAP_CASES, MODEL_TABLE_CASES, MODEL_YAML_CASES = 200, 150, 40, 40
HOPELESS = {"train": "train --data nowhere --out out", "demo": "demo --tail-share 2 --out out"}
"""Verbs that work for long, asked for what is refused before they begin, however sound the settings."""
HOPELESS_CASES = 50
assert sum((*TABLE_CASES.values(), *YAML_CASES.values(), RAW_CASES, MAP_CASES)) >= 2_000


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("room"))


def try_cases(strategy: st.SearchStrategy[Any], case: Callable[[Any], int], wanted: int, what: str) -> dict[int, int]:
    """Run `case` on `wanted` examples, the same ones every time; prints and returns how often each code came."""
    wanted = math.ceil(wanted * SHARE)
    codes = dict.fromkeys(CODES, 0)

    @settings(
        max_examples=wanted, derandomize=True, database=None, deadline=None, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: Any) -> None:
        codes[case(example)] += 1

    run()
    ran = sum(codes.values())
    print(f"{what}: {ran} cases, exit codes {codes}")
    assert ran >= wanted
    return codes


@pytest.fixture(scope="module")
def trained(room: Room) -> Room:
    """The room with a model."""
    for package in ("torch", "lightgbm"):
        pytest.importorskip(package, reason="extra 'model' is not installed")
    room.train()
    return room


@pytest.mark.parametrize("verb", TABLE_CASES)
def test_spoilt_tables(verb: str, room: Room):
    _try_tables(VERBS[verb], READS[verb], room, TABLE_CASES[verb], f"tables of {verb}")


def test_spoilt_tables_for_a_model(trained: Room):
    ran = trained.hold(SCORE)
    assert ran.code == 0, ran.err
    _try_tables(SCORE, ("data/items.parquet", "data/events.parquet"), trained, MODEL_TABLE_CASES, "tables for a model")


def _try_tables(words: str, names: Sequence[str], room: Room, wanted: int, what: str) -> None:
    sound = {name: (room.folder / name).read_bytes() for name in dict.fromkeys(names)}
    strategies = [
        st.tuples(
            st.just(name), spoilt_csv(sound[name]) if name.endswith(".csv") else _parquet(room, name), st.booleans()
        )
        for name in names
    ]

    def case(example: tuple[str, bytes, bool]) -> int:
        name, content, old = example
        with room.spoilt(name, content):
            return room.hold(words, old=old, private=not _ids_elsewhere(content)).code

    codes = try_cases(st.one_of(strategies), case, wanted, what)
    assert codes[2] > 0, "no table was refused: the cases are too tame"


def _ids_elsewhere(content: bytes) -> bool:
    """Whether a table holds ids of users outside of the columns for them, or cannot be looked at."""
    try:
        table = pq.read_table(io.BytesIO(content))
        others = [name for name in table.schema.names if name not in Columns.Personal]
        return any(PERSON in str(table.column(at).to_pylist()) for at, name in enumerate(table.schema.names)
                   if name in others)
    except Exception:  # a CSV, or bytes that are no table
        return True


def _parquet(room: Room, name: str) -> st.SearchStrategy[bytes]:
    table = pq.read_table(room.folder / name)
    frame: pd.DataFrame = table.to_pandas()
    return spoilt_parquet(frame, dict(table.schema.metadata or {}))


def _without_config(verb: str) -> str:
    return re.sub(r" --config \S+", "", VERBS[verb]) + " --config job.yaml"


@pytest.mark.parametrize("verb", YAML_CASES)
def test_spoilt_settings(verb: str, room: Room):
    own = room.folder / f"{verb}.yaml"
    sound = yaml.safe_load(own.read_text()) if own.exists() else {}
    codes = _try_settings(verb, _without_config(verb), sound, room, YAML_CASES[verb], f"settings of {verb}")
    assert codes[2] > 0


def test_spoilt_settings_for_a_model(trained: Room):
    codes = _try_settings(
        "recommend", f"{SCORE} --config job.yaml", {}, trained, MODEL_YAML_CASES, "settings for a model"
    )
    assert codes[2] > 0


@pytest.mark.parametrize("verb", HOPELESS)
def test_spoilt_settings_of_what_works_for_long(verb: str, room: Room):
    words = f"{HOPELESS[verb]} --config job.yaml"
    codes = _try_settings(verb, words, {}, room, HOPELESS_CASES, f"settings of {verb}")
    assert codes[2] == sum(codes.values())


def _try_settings(
    verb: str, words: str, sound: dict[str, Any], room: Room, wanted: int, what: str
) -> dict[int, int]:
    def case(example: tuple[bytes, bool]) -> int:
        content, old = example
        with room.spoilt("job.yaml", content):
            return room.hold(words, old=old).code

    return try_cases(st.tuples(spoilt_settings(JOBS[verb], sound), st.booleans()), case, wanted, what)


def test_texts_that_are_no_settings(room: Room):
    def case(content: bytes) -> int:
        with room.spoilt("job.yaml", content):
            return room.hold(_without_config("rerank")).code

    assert try_cases(raw_yaml(), case, RAW_CASES, "texts as settings")[2] > 100 * SHARE


def test_spoilt_column_maps(room: Room):
    sound = yaml.safe_load((room.folder / "source/columns.yaml").read_text())

    def case(content: bytes) -> int:
        with room.spoilt("source/columns.yaml", content):
            return room.hold(VERBS["import"], private=False).code

    assert try_cases(st.one_of(spoilt_settings(ColumnMap, sound), raw_yaml()), case, MAP_CASES, "column maps")[2] > 0


def test_a_sound_room_passes(room: Room):
    for words in VERBS.values():
        ran = room.hold(words, old=True)
        assert ran.code == 0, ran.err
        assert not ran.warned, ran.warned
