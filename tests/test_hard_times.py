"""Full disks, kills, damaged parts, moved clocks: the outcome is clear, the old output stays, nothing lies about."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fuzz_room import VERBS, Room, snapshot

from ltexpo.data import Dataset
from ltexpo.data.files import replacing, write_text
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame, write_frame

RERANK = VERBS["rerank"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("room"))


@pytest.fixture
def old(room: Room) -> dict[str, bytes]:
    """The room with an output of yesterday, which must survive."""
    shutil.rmtree(room.folder / "out", ignore_errors=True)
    assert room.run(RERANK).code == 0
    return snapshot(room.folder)


def spawn(folder: Path, script: str, *, limit: int | None = None) -> subprocess.Popen[str]:
    """A process of its own in `folder`; `limit`: bytes that a file of it may hold, as on a disk that fills up."""
    def bounded() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job is born deaf to it
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}, preexec_fn=bounded,
    )


def test_a_disk_that_fills_up(room: Room, old: dict[str, bytes]):
    script = f"from ltexpo.cli import main; main({RERANK.split()})"
    process = spawn(room.folder, script, limit=1_000)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    last = said.splitlines()[-1]
    assert "cannot be written (File too large). What was there before stays. Free some space" in last
    assert snapshot(room.folder) == old


@pytest.mark.parametrize("nth", [0, 1, 4])
@pytest.mark.parametrize("verb", ["rerank", "evaluate", "frontier", "report"])
def test_a_disk_that_is_full_at_the_nth_file(
    verb: str, nth: int, room: Room, monkeypatch: pytest.MonkeyPatch
):
    shutil.rmtree(room.folder / "out", ignore_errors=True)
    left = [nth]
    write, text = pq.ParquetWriter.write_table, Path.write_text

    def full(real: Callable[..., object]) -> Callable[..., object]:
        def wrote(self: object, *words: object, **more: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(self, *words, **more)

        return wrote

    before = snapshot(room.folder)
    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", full(write))
        patched.setattr(Path, "write_text", full(text))
        ran = room.run(VERBS[verb])
    if left[0] >= 0:
        assert ran.code == 0, ran.err  # it writes fewer files
        (room.folder / "out.html").unlink(missing_ok=True)
        shutil.rmtree(room.folder / "out", ignore_errors=True)
    else:
        assert ran.code == 1
        assert "No space left on device" in ran.err and "fault of ltexpo" not in ran.err
        assert ran.err.count("\n") == 1
    assert snapshot(room.folder) == before


KILLED = """
    import threading, time
    import pyarrow.parquet as pq
    from ltexpo import cli
    real = pq.ParquetWriter.write_table
    def half(self, table, *words, **more):
        real(self, table, *words, **more)
        if threading.current_thread() is threading.main_thread():  # the lists' own threads end by themselves
            print("writing", flush=True)
            time.sleep(60)
    pq.ParquetWriter.write_table = half
    cli.main({words})
"""


@pytest.mark.parametrize(("number", "code", "cleaned"), [
    (signal.SIGTERM, 128 + signal.SIGTERM, True), (signal.SIGINT, 130, True), (signal.SIGKILL, -signal.SIGKILL, False),
])
def test_a_job_that_is_stopped_while_it_writes(
    number: signal.Signals, code: int, cleaned: bool, room: Room, old: dict[str, bytes]
):
    process = spawn(room.folder, KILLED.format(words=RERANK.split()))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert not cleaned or said.strip().splitlines()[-1] == "ltexpo: stopped."
    if cleaned:
        assert snapshot(room.folder) == old
    seen = {name: held for name, held in snapshot(room.folder).items() if not name.startswith(".")}
    assert seen == old
    ran = room.run(RERANK)
    assert ran.code == 0, ran.err
    assert not [path.name for path in room.folder.iterdir() if path.name.startswith(".")]


def test_scratch_of_the_living_is_left_alone_and_that_of_the_dead_removed(tmp_path: Path):
    with output_folder(tmp_path / "out", verb="rerank") as mine:
        (mine / "half").write_text("half")
        with output_folder(tmp_path / "out", verb="rerank") as other, replacing(tmp_path / "out.html") as page:
            assert (mine / "half").exists() and other != mine
            with replacing(tmp_path / "out.html"):
                assert page.exists()
    script = f"""
        import os
        from pathlib import Path
        from ltexpo.data.files import replacing
        from ltexpo.data.output_folder import output_folder
        with output_folder(Path({str(tmp_path)!r}) / "out", verb="rerank") as folder:
            (folder / "half").write_text("half")
            with replacing(Path({str(tmp_path)!r}) / "out.html"):
                os.kill(os.getpid(), 9)
    """
    spawn(tmp_path, script).communicate(timeout=60)
    (tmp_path / ".out.ltexpo").write_text("a user's own")
    assert len(list(tmp_path.glob(".out*.ltexpo-*"))) == 2
    with output_folder(tmp_path / "out", verb="rerank") as folder:
        (folder / "whole").write_text("whole")
    write_text("page", tmp_path / "out.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.ltexpo", "out", "out.html"]


def test_an_output_between_two_renames_is_put_back(tmp_path: Path):
    (tmp_path / ".out.old.x1" / "replaced").mkdir(parents=True)
    (tmp_path / ".out.old.x1" / "replaced" / "yesterday").write_text("yesterday")
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out", verb="rerank"):
        raise RuntimeError
    assert snapshot(tmp_path) == {"out": b"", "out/yesterday": b"yesterday"}


def parts_of(room: Room) -> tuple[Path, list[Path]]:
    """The candidates as a folder of four parts."""
    folder = room.folder / "parts"
    shutil.rmtree(folder, ignore_errors=True)
    frame = read_frame(room.folder / "candidates.parquet")
    places = [folder / f"date=2024-01-0{day}" / "part.parquet" for day in range(6, 10)]
    for place, rows in zip(places, np.array_split(np.arange(len(frame)), 4), strict=True):
        write_frame(frame.iloc[rows], place)
    return folder, places


def flipped(content: bytes) -> bytes:
    """One bit in the first page, which only a checksum can tell."""
    spoilt = bytearray(content)
    spoilt[len(content) // 20] ^= 4
    return bytes(spoilt)


@pytest.mark.parametrize("damage", [
    lambda content: content[: len(content) // 2], lambda content: content[:-4], lambda content: b"",
    lambda content: bytes(len(content)), flipped, lambda content: content[:200] + bytes(200) + content[400:],
], ids=["cut", "without its end", "empty", "zeros", "a bit", "a hole"])
@pytest.mark.parametrize("which", [0, 2, 3])
def test_one_damaged_part(damage: Callable[[bytes], bytes], which: int, room: Room, old: dict[str, bytes]):
    folder, places = parts_of(room)
    words = RERANK.replace("candidates.parquet", "parts")
    places[which].write_bytes(damage(places[which].read_bytes()))
    before = snapshot(room.folder)
    ran = room.run(words)
    assert ran.code == 2, ran.err
    assert str(folder.name) in ran.err and ran.err.count("\n") == 1
    assert snapshot(room.folder) == before
    shutil.rmtree(folder)


@pytest.mark.parametrize(("change", "code", "said"), [
    (lambda frame: frame.drop(columns="score"), 2, "'score' is in some parts"),
    (lambda frame: frame.rename(columns={"score": "points"}), 2, "'score' is in some parts"),
    (lambda frame: frame.assign(score=frame["score"].astype(str)), 2, "differ in type"),
    (lambda frame: frame.assign(score=frame["score"].astype("float32")), 0, ""),
    (lambda frame: frame.assign(request_id=np.arange(len(frame))), 2, "differ in type"),
    (lambda frame: frame.assign(more=1), 0, ""),
    (lambda frame: frame[frame.columns[::-1]], 0, ""),
], ids=["dropped", "renamed", "texts", "narrower", "other ids", "more", "other order"])
def test_a_schema_that_changed_overnight(
    change: Callable[[pd.DataFrame], pd.DataFrame], code: int, said: str, room: Room, old: dict[str, bytes]
):
    folder, places = parts_of(room)
    write_frame(change(read_frame(places[-1])), places[-1])
    before = snapshot(room.folder)
    ran = room.run(RERANK.replace("candidates.parquet", "parts"))
    assert ran.code == code, ran.err
    assert said in ran.err
    if code:
        assert snapshot(room.folder) == before
    shutil.rmtree(folder)


def test_events_of_the_future_and_events_twice_are_counted_and_said(tmp_path: Path, room: Room):
    now = pd.Timestamp.now("UTC")
    events = pd.DataFrame({
        "user_id": ["u1", "u1", "u2", "u2"], "item_id": "a", "event": "purchase",
        "timestamp": [now - pd.Timedelta(days=2), now - pd.Timedelta(days=2), now + pd.Timedelta(days=3), now],
    })
    Dataset.of(pd.DataFrame({"item_id": ["a"], "title": ["A"]}), events).save(tmp_path / "data")
    ran = room.run(["describe", str(tmp_path / "data")])
    assert ran.code == 0
    assert "in the future: 1. Check the clock" in " ".join(ran.err.split())
    assert '"events.rows equal to an earlier row, each counted as an event of its own": 1' in ran.out
    assert '"purchase": 4' in ran.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_right_to_write(tmp_path: Path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(Exception, match="Permission denied"), output_folder(tmp_path / "locked/out", verb="rerank"):
        pass


@pytest.mark.parametrize("refused", [errno.EACCES, errno.EROFS])
def test_a_place_that_cannot_be_written(refused: int, room: Room, monkeypatch: pytest.MonkeyPatch):
    import tempfile

    def no(*words: object, **more: object) -> str:
        raise OSError(refused, os.strerror(refused))

    shutil.rmtree(room.folder / "out", ignore_errors=True)
    before = snapshot(room.folder)
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", no)
        ran = room.run(RERANK)
    assert ran.code == 2 and os.strerror(refused) in ran.err and ran.err.count("\n") == 1
    assert snapshot(room.folder) == before


def test_memory_that_is_gone_is_said_as_that(room: Room, monkeypatch: pytest.MonkeyPatch):
    from ltexpo.cli import ranking

    def no(job: object) -> None:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr(ranking, "run_rerank", no)
    ran = room.run(RERANK)
    assert (ran.code, ran.err) == (1, "ltexpo: out of memory (Unable to allocate 1 TiB). Give the job more, or a "
                                      "smaller job.\n")
