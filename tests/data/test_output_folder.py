"""A folder that is written anew while somebody reads it."""

import threading
from pathlib import Path

import pytest

from ltexpo.data import output_folder as module
from ltexpo.data.output_folder import output_folder


def write(out: Path, word: str) -> None:
    with output_folder(out, verb="test") as folder:
        (folder / "one").write_text(word)
        (folder / "two").write_text(word)


def test_a_reader_always_finds_a_folder(tmp_path: Path):
    out = tmp_path / "out"
    write(out, "first")
    if not module._exchange(out, out):
        pytest.skip("this file system cannot exchange two folders in one step")
    stopped, missing, reads = threading.Event(), [], 0

    def read() -> None:
        nonlocal reads
        while not stopped.is_set():
            try:
                (out / "one").read_text()
                reads += 1
            except OSError as error:
                missing.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        write(out, str(turn))
    stopped.set()
    reader.join()
    assert missing == [] and reads > 0
    assert (out / "two").read_text() == "199"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_an_exchange_the_folder_is_replaced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_exchange", lambda *_: False)
    for word in ("first", "second"):
        write(tmp_path / "out", word)
    assert (tmp_path / "out" / "one").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
