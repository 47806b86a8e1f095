"""A rerank's tables as folders of parts, as an engine of many machines writes them: every verb reads them alike."""

import shutil
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fuzz_room import VERBS, Room

from ltexpo.data.batches import write_batches
from ltexpo.data.tables import read_metadata
from ltexpo.jobs.running.worker import _rows

TABLES = ("rankings/rankings.parquet", "rankings/control.parquet", "rankings/promotions.parquet", "candidates.parquet")
READERS = ("monitor", "export", "explain", "report", "simulate", "evaluate", "ope", "frontier", "rerank")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Room, Room]:
    """The same inputs, with tables that are files and with tables that are folders."""
    whole, cut = (Room(tmp_path_factory.mktemp(name) / "room") for name in ("whole", "cut"))
    for name in TABLES:
        in_parts(cut.folder / name)
    return whole, cut


def in_parts(file: Path) -> None:
    table, noted = pq.read_table(file), read_metadata(file)
    file.unlink()
    file.mkdir()
    edges = [0, len(table) // 3, len(table) // 3, len(table)]  # one part has no rows
    for part, (first, last) in enumerate(pairwise(edges)):
        write_batches(
            table[first:last].to_batches(), table.schema.remove_metadata(), file / f"part-{part:05}.parquet",
            metadata=noted,
        )
    (file / "_SUCCESS").touch()
    (file / ".part-00009.parquet.crc").write_bytes(b"crc")


def written(room: Room, words: str) -> dict[str, object]:
    """What the verb of `words` says and writes; tables by their rows."""
    shutil.rmtree(room.folder / "out", ignore_errors=True)
    made = room.run(words)
    assert made.code == 0, made.err
    files: dict[str, object] = {"": made.out}
    for path in [*room.folder.glob("out.html"), *(room.folder / "out").rglob("*")]:
        if path.suffix == ".parquet":
            files[path.name] = pq.read_table(path).to_pylist()
        elif path.is_file():
            files[path.name] = path.read_bytes()
    return files


def test_parts_say_what_the_file_said(rooms: tuple[Room, Room]):
    whole, cut = (room.folder / TABLES[0] for room in rooms)
    assert whole.is_file() and cut.is_dir()
    assert read_metadata(cut) == read_metadata(whole) == {"trained_until": "2024-01-06"}


def test_a_run_counts_their_rows(rooms: tuple[Room, Room]):
    whole, cut = (_rows(room.folder / "rankings") for room in rooms)
    assert whole == cut and whole["rankings.parquet"] > 0


@pytest.mark.parametrize("verb", READERS)
def test_a_verb_reads_parts_as_it_reads_a_file(verb: str, rooms: tuple[Room, Room]):
    whole, cut = (written(room, VERBS[verb]) for room in rooms)
    assert whole.keys() == cut.keys()
    for name, content in whole.items():
        if not isinstance(content, list):  # NaN is not itself
            assert content == cut[name], name
        else:
            assert repr(content) == repr(cut[name]), name
