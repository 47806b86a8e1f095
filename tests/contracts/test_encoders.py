"""Every encoder under the laws of `Encoder`."""

from pathlib import Path

import numpy as np
import pytest
from tiny_models import AWKWARD, BROKEN, WORDS, picture, save_bert, save_clip

from ltexpo.encoders import (
    Encoder,
    ImageEncoder,
    ImageSettings,
    State,
    TextEncoder,
    TextSettings,
    TfidfEncoder,
    TfidfSettings,
    VectorCache,
)

pytest.importorskip("torch", reason="extra 'model' is not installed")

RNG = np.random.default_rng(3)
TEXTS = [" ".join(RNG.choice(WORDS, n % 7 + 1)) for n in range(40)]
PICTURES = [*AWKWARD.values(), *(picture(seed=n, size=(20 + n, 30)) for n in range(20))]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_bert(folder / "bert")
    save_clip(folder / "clip")
    TfidfEncoder(TfidfSettings(width=8, min_texts=1)).fit(TEXTS).save(folder / "tfidf")
    return folder


NAMES = ("text mean", "text cls", "picture", "title", "tfidf")


def make(name: str, models: Path, batch_size: int = 4) -> Encoder:
    if name == "tfidf":
        return TfidfEncoder.load(models / "tfidf")
    if name.startswith("text"):
        return TextEncoder(
            TextSettings(model=str(models / "bert"), pooling=name.split()[1], batch_size=batch_size, device="cpu")
        )
    pictures = ImageEncoder(ImageSettings(model=str(models / "clip"), batch_size=batch_size, workers=2, device="cpu"))
    return pictures if name == "picture" else pictures.titles


def contents(name: str) -> list[object]:
    return list(PICTURES if name == "picture" else TEXTS)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_unit_vectors_or_masked_zeros(name: str, models: Path):
    encoder = make(name, models)
    result = encoder.encode([*contents(name), None, "", float("nan")])
    assert result.vectors.shape == (len(contents(name)) + 3, encoder.width)
    assert result.vectors.dtype == np.float32
    assert result.mask.tolist() == [True] * len(contents(name)) + [False] * 3
    assert np.abs(np.linalg.norm(result.vectors[result.mask], axis=1) - 1).max() < 1e-5
    assert not result.vectors[~result.mask].any()
    assert result.counts()["absent"] == 3


@pytest.mark.parametrize("name", NAMES)
def test_different_contents_differ_and_equal_calls_are_equal(name: str, models: Path):
    first, again = (make(name, models).encode(contents(name)).vectors for _ in range(2))
    assert np.array_equal(first, again)
    assert (np.linalg.norm(first[0] - first[1:], axis=1) > 1e-4).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_order_neighbours_or_batch_size(name: str, models: Path):
    given = contents(name)
    whole = make(name, models).encode(given).vectors
    backwards = make(name, models, batch_size=7).encode(given[::-1]).vectors[::-1]
    alone = np.concatenate([make(name, models).encode([content]).vectors for content in given[:5]])
    assert np.allclose(whole, backwards, atol=1e-5)
    assert np.allclose(whole[:5], alone, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_computes_only_what_changed(name: str, models: Path, tmp_path: Path):
    given = contents(name)
    first = make(name, models).encode(given[:-1], cache=VectorCache(tmp_path))
    second = make(name, models).encode(given, cache=VectorCache(tmp_path))
    assert first.computed == len(set(given[:-1]))
    assert second.computed == len(set(given)) - len(set(given[:-1]))
    assert np.array_equal(second.vectors[:-1], first.vectors)
    assert np.array_equal(second.states[:-1], first.states)


@pytest.mark.parametrize("name", NAMES)
def test_no_content_raises(name: str, models: Path):
    strange: list[object] = (
        [*AWKWARD.values(), *BROKEN.values(), b"", 7, "no/such/file.jpg", "../../etc/passwd", "a\0b"]
        if name == "picture" else
        ["", " \n\t ", "x" * 10_000, "long dress " * 1_000, "👗🏽", "فستان أحمر", "\ud83d", "\0", "\u200b", 7, None]
    )
    result = make(name, models).encode(strange)
    assert sum(result.counts().values()) == len(strange)
    assert np.isfinite(result.vectors).all()
    if name == "picture":
        states = dict(zip([*AWKWARD, *BROKEN], result.states, strict=False))
        assert all(states[kind] == State.OK for kind in AWKWARD)
        assert all(states[kind] == State.UNREADABLE for kind in BROKEN)
        assert [State(code).name for code in result.states[-5:]] == [
            "ABSENT", "UNREADABLE", "MISSING", "OUTSIDE", "MISSING",
        ]
    elif name != "tfidf":
        assert [result.states[row] for row in (2, 3)] == [State.TRUNCATED] * 2


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_encoded_to_nothing(name: str, models: Path):
    encoder = make(name, models)
    result = encoder.encode([])
    assert result.vectors.shape == (0, encoder.width)
    assert result.counts() == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_encoder_gives_the_same_vectors(name: str, models: Path, tmp_path: Path):
    encoder = make(name, models)
    saved = (encoder.pictures if name == "title" else encoder).save(tmp_path / "model")  # type: ignore[attr-defined]
    loaded: Encoder = (
        TextEncoder.load(saved) if name.startswith("text")
        else TfidfEncoder.load(saved) if name == "tfidf"
        else ImageEncoder.load(saved)
    )
    if name == "title":
        loaded = loaded.titles  # type: ignore[attr-defined]
    # up to rounding: the saved model runs with the default batch size
    assert np.allclose(loaded.encode(contents(name)).vectors, encoder.encode(contents(name)).vectors, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_follows_the_model(name: str, models: Path, tmp_path: Path):
    assert make(name, models).identity == make(name, models, batch_size=9).identity
    save_bert(tmp_path / "bert", seed=1)
    save_clip(tmp_path / "clip", seed=1)
    TfidfEncoder(TfidfSettings(width=8, min_texts=1)).fit(TEXTS[1:]).save(tmp_path / "tfidf")
    assert make(name, models).identity != make(name, tmp_path).identity
