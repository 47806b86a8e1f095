"""A pair is found again by what it learnt from, and by nothing else; a damaged one is not taken."""

import zipfile
from pathlib import Path

import pytest

from ltexpo.encoders import State
from ltexpo.encoders.kept_pair import copy_pair, is_pair, keep_pair, kept_pair, pair_key, take_pair
from ltexpo.encoders.pair_settings import PairSettings

PARTS = [("red shirt", "wool"), ("dress",)]
PICTURES: list[bytes | State] = [b"1" * 16, State.MISSING]


def key(**changed: object) -> str:
    given: dict[str, object] = {
        "parts": PARTS, "pictures": PICTURES, "settings": PairSettings(), "seed": 0, "versions": {"torch": "2"},
    }
    return pair_key(**{**given, **changed})  # type: ignore[arg-type]


def test_the_key_follows_all_that_a_pair_learns_from():
    keys = [
        key(), key(parts=[("red", "shirt", "wool"), ("dress",)]), key(parts=PARTS[::-1]),
        key(pictures=[b"2" * 16, State.MISSING]), key(pictures=[b"1" * 16, State.ABSENT]), key(seed=1),
        key(settings=PairSettings(epochs=3)), key(versions={"torch": "3"}),
    ]
    assert len(set(keys)) == len(keys)
    assert key(settings=PairSettings(device="cpu")) == key()


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    folder = tmp_path / "pair"
    folder.mkdir()
    for name in ("training.json", "open_clip_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "open_clip_model.safetensors").write_bytes(bytes(range(256)) * 40)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_is_taken_is_what_was_kept(pair: Path, tmp_path: Path):
    file = kept_pair(tmp_path / "cache", key())
    assert not take_pair(file, tmp_path / "taken")
    keep_pair(pair, file)
    assert take_pair(file, tmp_path / "taken")
    copy_pair(pair, tmp_path / "copied")
    assert contents(tmp_path / "taken") == contents(tmp_path / "copied") == contents(pair)
    assert is_pair(tmp_path / "taken") and not is_pair(tmp_path / "cache")


@pytest.mark.parametrize("place", [0, 5_000, None])
def test_a_damaged_pair_is_not_taken(pair: Path, tmp_path: Path, place: int | None, caplog: pytest.LogCaptureFixture):
    file = kept_pair(tmp_path / "cache", key())
    keep_pair(pair, file)
    whole = bytearray(file.read_bytes())
    if place is not None:
        whole[place] ^= 0xFF
    file.write_bytes(whole[:-100] if place is None else whole)
    assert not take_pair(file, tmp_path / "taken")
    assert "trained anew" in caplog.text
    assert not (tmp_path / "taken").exists()


def test_a_file_that_names_other_folders_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "pair.zip"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("../outside", "x")
    assert not take_pair(file, tmp_path / "taken")
    assert "names files outside its folder" in caplog.text
    assert not (tmp_path / "outside").exists() and not (tmp_path / "taken").exists()
