"""The cache: killed half-way it resumes, damaged it computes again, two encoders do not meet in it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from ltexpo.encoders import Encoder, ItemVectors, State, VectorCache
from ltexpo.encoders.cache import map_safetensors, write_safetensors
from ltexpo.encoders.encoder import Computed
from ltexpo.encoders.item_vectors import write_vectors
from ltexpo.encoders.text import text_bytes
from ltexpo.errors import InputError, TableError


class Lengths(Encoder):
    """(1, length of the text); counts what it computes; dies at the word 'kill'."""

    what, chunk = "texts", 3

    def __init__(self, identity: str = "lengths" * 6) -> None:
        self._identity = identity
        self.seen: list[str] = []

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def width(self) -> int:
        return 2

    def _read(self, contents: Sequence[object]) -> list[bytes | State]:
        return [text_bytes(content) for content in contents]

    def _compute(self, contents: list[bytes]) -> Iterator[Computed]:
        for row, content in reversed(list(enumerate(contents))):
            if content == b"kill":
                raise KeyboardInterrupt
            self.seen.append(content.decode())
            state = State.UNREADABLE if b"bad" in content else State.OK
            yield np.array([row]), np.array([[1.0, len(content)]], np.float32), np.array([state], np.uint8)


def test_a_killed_run_resumes_at_its_last_chunk(tmp_path: Path):
    texts = ["a", "bb", "ccc", "dddd", "kill", "f"]
    first = Lengths()
    with pytest.raises(KeyboardInterrupt):
        first.encode(texts, cache=VectorCache(tmp_path))
    assert first.seen == ["ccc", "bb", "a", "f"]
    texts[4] = "e"
    second = Lengths()
    result = second.encode(texts, cache=VectorCache(tmp_path))
    assert second.seen == ["f", "e", "dddd"]
    assert result.computed == 3
    assert np.allclose(result.vectors[1], np.array([1, 2]) / np.sqrt(5))


def test_a_slow_chunk_is_kept_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ltexpo.encoders.encoder.KEEP_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        Lengths().encode(["kill", "bb", "ccc"], cache=VectorCache(tmp_path))
    assert len(list(tmp_path.rglob("part-*.safetensors"))) == 2
    second = Lengths()
    result = second.encode(["bb", "ccc", "dddd"], cache=VectorCache(tmp_path))
    assert (second.seen, result.computed) == (["dddd"], 1)
    assert np.array_equal(result.vectors, Lengths().encode(["bb", "ccc", "dddd"]).vectors)


def test_a_chunk_that_came_to_its_end_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ltexpo.encoders.encoder.KEEP_EVERY", 0.0)
    Lengths().encode(["a", "bad", "ccc"], cache=VectorCache(tmp_path))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 1 and not files[0].name.startswith("part-")
    again = Lengths()
    assert again.encode(["a", "bad", "ccc"], cache=VectorCache(tmp_path)).computed == 0
    assert again.seen == ["bad"]


def test_equal_contents_are_computed_once_and_order_does_not_matter(tmp_path: Path):
    encoder = Lengths()
    result = encoder.encode(["x", "yy", "x", " x ", "yy", "z"], cache=VectorCache(tmp_path))
    assert sorted(encoder.seen) == ["x", "yy", "z"]
    assert result.computed == 3
    assert np.array_equal(result.vectors[0], result.vectors[3])
    again = Lengths().encode(["z", "x", "yy"], cache=VectorCache(tmp_path))
    assert again.computed == 0
    assert np.array_equal(again.vectors, result.vectors[[5, 0, 1]])


def test_what_could_not_be_read_is_tried_again(tmp_path: Path):
    for good in (1, 0):
        encoder = Lengths()
        result = encoder.encode(["bad", "good"], cache=VectorCache(tmp_path))
        assert result.mask.tolist() == [False, True]
        assert not result.vectors[0].any()
        assert "bad" in encoder.seen
        assert result.computed == good  # of what is not a picture the model sees nothing


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, None])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture):
    Lengths().encode(["a", "bb", "ccc", "d"], cache=VectorCache(tmp_path))
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 2
    files[0].write_bytes(files[0].read_bytes()[:-9] if damage is None else damage)
    result = Lengths().encode(["a", "bb", "ccc", "d"], cache=VectorCache(tmp_path))
    assert result.computed in (1, 3)
    assert "computed again" in caplog.text
    assert Lengths().encode(["a", "bb", "ccc", "d"], cache=VectorCache(tmp_path)).computed == 0


def test_two_encoders_share_a_folder_without_meeting(tmp_path: Path):
    Lengths("one").encode(["a"], cache=VectorCache(tmp_path))
    assert Lengths("two").encode(["a"], cache=VectorCache(tmp_path)).computed == 1


def test_vectors_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch):
    broken = np.arange(1), np.full((1, 2), np.nan, np.float32), np.zeros(1, np.uint8)
    monkeypatch.setattr(Lengths, "_compute", lambda self, texts: iter([broken]))
    with pytest.raises(InputError, match="not finite"):
        Lengths().encode(["a"])


def test_item_vectors_come_back_by_id(tmp_path: Path):
    import pandas as pd

    encoded = Lengths().encode(["a", "", "ccc"])
    write_vectors(tmp_path, pd.Index(["i", "j", "k"]), {"text": encoded}, {"items": 3})
    loaded = ItemVectors.load(tmp_path)
    vectors, mask = loaded.of("text", ["k", "unknown", "j", "i"])
    assert mask.tolist() == [True, False, False, True]
    assert np.array_equal(vectors[0], encoded.vectors[2])
    assert not vectors[1:3].any()
    with pytest.raises(TableError, match="called 'image'"):
        loaded.of("image", ["i"])
    write_safetensors({"vectors": encoded.vectors[:2], "mask": np.ones(2, np.uint8)}, tmp_path / "text.safetensors")
    with pytest.raises(TableError, match="has 2 rows"):
        ItemVectors.load(tmp_path)


def test_mapped_arrays_are_those_written(tmp_path: Path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 0], np.uint8)}
    arrays["c"] = np.zeros((0, 3), np.float32)
    write_safetensors(arrays, tmp_path / "x.safetensors")
    read = map_safetensors(tmp_path / "x.safetensors")
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)
