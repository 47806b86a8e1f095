"""'ltexpo encode' from end to end: what it writes, what a second run does, what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_models import AWKWARD, BROKEN, save_bert, save_clip

from ltexpo.cli import main
from ltexpo.data import Dataset
from ltexpo.data.files import read_json
from ltexpo.data.tables import read_frame
from ltexpo.encoders import ImageEncoder, ItemVectors, TfidfEncoder
from ltexpo.jobs.encoding import EncodeJob, run_encode
from ltexpo.jobs.pipeline import Pipeline
from ltexpo.jobs.running.steps import stages

pytest.importorskip("torch", reason="extra 'model' is not installed")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ with 60 awkward products, and the folders bert/ and clip/."""
    folder = tmp_path_factory.mktemp("encode")
    (folder / "data" / "images").mkdir(parents=True)
    pictures = {**AWKWARD, **BROKEN}
    for name, content in pictures.items():
        (folder / "data" / "images" / name).write_bytes(content)
    (folder / "data" / "images" / "empty.jpg").write_bytes(b"")
    good, names = sorted(AWKWARD), sorted(pictures)
    images = [f"images/{names[n]}" if n < len(names) else f"images/{good[n % len(good)]}" for n in range(56)]
    titles = [f"red shirt {n}" for n in range(56)]
    titles[:5] = ["", "👗 " * 30, "فستان", "long dress " * 1_000, "\u200b"]
    items = pd.DataFrame({
        "item_id": [f"i{n:02d}" for n in range(60)], "title": [*titles, "a", "b", "c", "d"],
        "colour": ["red", "blue", None] * 20,
        "image": [*images, None, "images/none.jpg", "../x.jpg", "images/empty.jpg"],
    })
    Dataset.of(items, root=folder / "data").save(folder / "made")
    shutil.move(folder / "data" / "images", folder / "made" / "images")
    save_bert(folder / "bert")
    save_clip(folder / "clip")
    return folder


def encode(room: Path, out: str, **settings: object) -> ItemVectors:
    run_encode(EncodeJob.model_validate({"data": room / "made", "out": room / out, **settings}))
    return ItemVectors.load(room / out)


def test_without_any_model_the_texts_are_projected(room: Path):
    vectors = encode(room, "plain")
    assert list(vectors.vectors) == ["text"]
    assert vectors.facts["columns"] == ["title", "colour"]
    assert vectors.facts["titles"] == {"empty titles": 1, "cut off": 0}  # a title of ten thousand letters is read whole
    again = TfidfEncoder.load(room / "plain" / "tfidf").encode(["red shirt 9, red"]).vectors
    assert np.allclose(again, vectors.of("text", ["i09"])[0], atol=1e-5)


def test_saved_models_encode_and_every_row_is_accounted_for(room: Path):
    given = {"text": str(room / "bert"), "image": str(room / "clip"), "titles": True}
    vectors = encode(room, "models", **given)
    facts = vectors.facts["vectors"]
    assert {name: facts[name]["width"] for name in facts} == {"text": 16, "image": 12, "title": 12}
    assert all(sum(facts[name]["states"].values()) == 60 for name in facts)
    broken = len(BROKEN) + 1  # and the file without a byte
    assert facts["image"]["states"] == {"ok": 51, "absent": 1, "missing": 1, "outside": 1, "unreadable": broken}
    assert facts["text"]["states"] == {"ok": 58, "truncated": 2}  # without a title there is still a colour
    assert vectors.facts["titles"] == {"empty titles": 1, "cut off": 2}
    assert facts["image"]["first_of_each_state"]["missing"] == "i57"
    states = read_frame(room / "models" / "items.parquet")
    assert (states["image_state"].isin(["ok"]) == vectors.masks["image"]).all()
    assert (room / "models.cache").is_dir()
    second = run_encode(EncodeJob.model_validate({"data": room / "made", "out": room / "models", **given}))
    assert second.encoded["text"].computed == 0
    assert second.encoded["image"].computed == 0  # the broken ones are tried again, but the model sees none of them
    assert np.array_equal(second.encoded["image"].vectors, vectors.vectors["image"])
    assert "unreadable" in str(second)


def test_what_any_model_cut_off_is_counted_once(room: Path):
    vectors = encode(room, "cut", image=str(room / "clip"), titles=True)  # TF-IDF reads texts of any length
    assert vectors.facts["vectors"]["title"]["states"]["truncated"] == 2
    assert vectors.facts["titles"]["cut off"] == 2
    both = encode(room, "cut both", text=str(room / "bert"), image=str(room / "clip"), titles=True)
    assert both.facts["titles"]["cut off"] == 2


PAIR = {
    "model": {"width": 8, "image_size": 32, "image_model": "test_resnet", "words": 100, "context": 12,
              "text_width": 32, "text_layers": 1},
    "epochs": 1, "batch_size": 16, "device": "cpu",
}


def test_train_makes_a_pair_that_a_later_run_takes_up(room: Path):
    config = room / "train.yaml"
    config.write_text(yaml.safe_dump({"pair": PAIR}))
    with pytest.raises(SystemExit) as done:
        main(["encode", "--data", str(room / "made"), "--out", str(room / "own"), "--train", "--config", str(config)])
    assert done.value.code == 0
    vectors = ItemVectors.load(room / "own")
    assert set(vectors.vectors) == {"text", "image", "title"}
    assert read_json(room / "own" / "pair" / "training.json")["left_out"]["picture not readable"] >= len(BROKEN)
    later = encode(room, "later", text="none", image=str(room / "own" / "pair"))
    assert np.array_equal(later.vectors["image"], vectors.vectors["image"])
    assert ImageEncoder.load(room / "own" / "pair").width == 8
    # yesterday's encoders give the vectors that yesterday's model reads, and lie beside them for tomorrow
    assert np.array_equal(later.vectors["title"], vectors.vectors["title"])
    third = encode(room, "third", text=str(room / "own" / "tfidf"), image=str(room / "later" / "pair"))
    assert {name: facts["identity"] for name, facts in third.facts["vectors"].items()} == {
        name: facts["identity"] for name, facts in vectors.facts["vectors"].items()
    }
    assert third.facts["vectors"]["text"]["settings"] == vectors.facts["vectors"]["text"]["settings"]
    assert third.facts["vectors"]["image"]["settings"] == vectors.facts["vectors"]["image"]["settings"]


def test_a_pair_is_trained_once_for_the_same(
    room: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    from ltexpo.encoders import pair_training

    trained: list[object] = []
    train_pair = pair_training.train_pair

    def counted(*given: object, **named: object) -> pair_training.TrainedPair:
        trained.append(given)
        return train_pair(*given, **named)  # type: ignore[arg-type]

    def run(out: str, **settings: object) -> str:
        told = {"data": room / "made", "out": room / out, "cache": room / "kept", "train": True, "pair": PAIR}
        return str(run_encode(EncodeJob.model_validate({**told, **settings})))

    monkeypatch.setattr(pair_training, "train_pair", counted)
    assert "not trained anew" not in run("first")
    with caplog.at_level("INFO", "ltexpo"):
        assert "pair: not trained anew, taken from" in run("first again")
    assert len(trained) == 1 and "used again" in caplog.text
    first, again = ({file.relative_to(room / out): file.read_bytes() for file in (room / out).rglob("*")
                     if file.is_file()} for out in ("first", "first again"))
    assert first == again
    run("other seed", seed=1)
    run("other settings", pair={**PAIR, "epochs": 2})
    assert len(trained) == 3
    kept = list((room / "kept").glob("pair-*"))
    assert len(kept) == 3
    for file in kept:
        file.write_bytes(file.read_bytes()[:5_000])
    assert "not trained anew" not in run("after damage")
    assert len(trained) == 4
    assert "not trained anew" in run("after damage, again")


def test_a_night_encodes_by_the_encoders_of_the_night_before(room: Path):
    """One title is another: TF-IDF and a pair made anew would be others, which yesterday's model cannot read."""
    data = room / "changed"
    items = Dataset.load(room / "made").items
    Dataset.of(items.assign(title=["blue shirt", *items["title"][1:]])).save(data)
    shutil.copytree(room / "made" / "images", data / "images")

    def night(out: str, data: Path, **settings: object) -> ItemVectors:
        [stage] = stages(Pipeline.model_validate({
            "out": room / out, "data": str(data), "encode": {"text": "tfidf", "train": True, "pair": PAIR}, **settings,
        }).settled(), "night")
        stage.run()
        return ItemVectors.load(room / out / "vectors")

    def identities(vectors: ItemVectors) -> dict[str, str]:
        return {name: facts["identity"] for name, facts in vectors.facts["vectors"].items()}

    first = night("night one", room / "made")
    second = night("night two", data, previous=room / "night one")
    assert set(identities(first)) == {"text", "image", "title"}
    assert identities(second) == identities(first)
    assert not np.array_equal(second.of("text", ["i00"])[0], first.of("text", ["i00"])[0])
    assert identities(night("night three", data, previous=room / "night two")) == identities(first)
    anew = identities(night("night two anew", data))
    assert all(anew[name] != identities(first)[name] for name in anew)


def test_only_encoders_that_would_be_made_anew_are_taken_from_yesterday(tmp_path: Path):
    vectors = tmp_path / "first" / "vectors"
    for made in ("tfidf/tfidf.json", "pair/training.json"):
        (vectors / made).parent.mkdir(parents=True)
        (vectors / made).touch()
    text, pair = {"text": str(vectors / "tfidf")}, {"image": str(vectors / "pair")}
    for settings, taken in [
        ({}, text), ({"text": "tfidf"}, text), ({"train": True}, {**text, **pair}),
        ({"text": "none", "train": True}, pair), ({"text": "minilm", "image": "clip"}, {}),
        ({"train": True, "image": "clip"}, text),
    ]:
        pipeline = Pipeline(out=tmp_path / "second", previous=tmp_path / "first", encode=settings)
        assert pipeline.carried.get("encode", {}) == taken, settings
        given = pipeline.given("encode")
        assert given is not None and ("train" in given) == ("train" in settings and "image" not in taken), settings
    assert Pipeline(out=tmp_path / "second", previous=tmp_path / "first", rerank={}).carried == {}


@pytest.mark.parametrize(("words", "says"), [
    ("--text none", "nothing is to be encoded"),
    ("--train --image clip", "give no other with 'image'"),
    ("--text ./nowhere", "no such folder"),
    ("--image nowhere", "neither a folder nor an architecture"),
    ("--image ViT-B-32", "without weights"),
    ("--image clip --pretrained openai", "brings its own weights"),
    ("--text clip", "config.json"),
])
def test_wrong_settings_are_refused_in_a_line(
    room: Path, words: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(room)
    with pytest.raises(SystemExit) as refused:
        main(["encode", "--data", "made", "--out", "refused", *words.split()])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (room / "refused").exists()


def test_weights_on_a_hub_that_is_out_of_reach_are_refused_at_once(
    room: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    import huggingface_hub
    import open_clip

    def away(*given: object, **named: object) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(room / "hub"))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", away)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda *_: pytest.fail("a download was tried"))
    words = ["encode", "--data", str(room / "made"), "--out", str(room / "refused"), "--image", "ViT-B-32"]
    with pytest.raises(SystemExit) as refused:
        main([*words, "--pretrained", "openai"])
    assert refused.value.code == 2
    assert "cannot be fetched (ConnectionError: no route to the hub)" in capsys.readouterr().err
