"""'ltexpo train' and 'recommend --model' from end to end, and what they refuse."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_ranking import tiny_settings, vectors_of

from ltexpo.cli import main
from ltexpo.columns import Columns
from ltexpo.config import check_settings, documented_yaml
from ltexpo.data.files import read_json
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.data.synthetic import Shop, make_shop
from ltexpo.data.tables import read_frame, read_metadata, write_frame
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.encoders.item_vectors import write_vectors
from ltexpo.jobs.pipeline import Pipeline, run_pipeline
from ltexpo.jobs.training import TrainJob

UNTIL = "2026-01-10"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(n_items=300, n_users=400, n_days=6, rng=0)


@pytest.fixture(scope="module")
def room(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, vectors/ and train.yaml; the models words/ (of its own words) and model/ (of the vectors)."""
    folder = tmp_path_factory.mktemp("train")
    shop.save(folder / "data", pictures=False)
    rows, there = vectors_of(shop.dataset)["image"]
    states = np.where(there, State.OK, State.ABSENT)
    (folder / "vectors").mkdir()
    write_vectors(
        folder / "vectors", pd.Index(shop.dataset.items[Columns.Item]),
        {"image": Encoded(rows, np.asarray(states), computed=len(rows))}, {},
    )
    settings = tiny_settings(tfidf={"width": 16}, rolling=tiny_settings()["rolling"] | {"days": 1})
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    assert train(folder, "words", "--until", UNTIL) == 0
    assert train(folder, "model", "--until", UNTIL, "--vectors", folder / "vectors") == 0
    return folder


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def train(room: Path, out: str, *more: object) -> int:
    return run("train", "--data", room / "data", "--config", room / "train.yaml", "--out", room / out, *more)


def recommend(room: Path, out: Path, *more: object) -> int:
    return run("recommend", "--data", room / "data", "--out", out, *more)


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert code == 2
    error = capsys.readouterr().err.splitlines()[-1]  # warnings may come before
    assert error.startswith("ltexpo: ")
    return error


def test_a_model_is_a_folder_that_says_what_it_is(room: Path):
    assert {path.name for path in (room / "words").iterdir()} == {
        ".ltexpo", "config.json", "vectors.json", "README.md", "words", "reader", "demand", "ranker",
    }
    assert not (room / "model" / "words").exists()
    suffixes = {path.suffix for path in (room / "model").rglob("*") if path.is_file()}
    assert suffixes == {"", ".json", ".md", ".safetensors", ".parquet", ".txt"}
    card = (room / "model" / "README.md").read_text(encoding="utf-8")
    assert "vectors `image`" in card and "nothing at or after 2026-01-10" in card


@pytest.mark.parametrize("kind", ["words", "model"])
def test_a_model_makes_candidates(room: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = ("--vectors", room / "vectors") if kind == "model" else ()
    assert recommend(room, tmp_path / "out", "--model", room / kind, "--until", UNTIL, "--k", 7, *given) == 0
    assert "2,800 candidates" in capsys.readouterr().out
    made = check_table(read_frame(tmp_path / "out" / "candidates.parquet"), CANDIDATES).frame
    assert made.groupby(Columns.Request).size().eq(7).all()
    assert read_json(tmp_path / "out" / "recommend.json")["counts"]["users"] == 400
    assert recommend(room, tmp_path / "again", "--model", room / kind, "--until", UNTIL, "--k", 7, *given) == 0
    paths = [tmp_path / name / "candidates.parquet" for name in ("out", "again")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(("until", "noted"), [
    (UNTIL, "2026-01-10 00:00:00+00:00"),
    ("2026-01-08", "2026-01-10 00:00:00+00:00"),  # the model had seen more than what lists were made from
    ("2026-01-10 12:00", "2026-01-10 12:00:00+00:00"),
    (None, None),
])
def test_what_was_seen_is_the_later_of_both(
    shop: Shop, room: Path, until: str | None, noted: str | None, tmp_path: Path
):
    given = () if until is None else ("--until", until)
    assert recommend(room, tmp_path / "out", "--model", room / "words", *given) == 0
    found = pd.Timestamp(read_metadata(tmp_path / "out" / "candidates.parquet")["trained_until"])
    last = shop.dataset.events[Columns.Timestamp].max() + pd.Timedelta(microseconds=1)
    assert found == (last if noted is None else pd.Timestamp(noted))


def test_a_model_of_all_events_notes_when_they_ended(shop: Shop, room: Path, tmp_path: Path):
    assert train(room, "all") == 0
    newer = shop.dataset.events.copy()
    newer.loc[newer.index[-1], Columns.Timestamp] += pd.Timedelta(days=3)
    replace(shop.dataset, events=newer).save(tmp_path / "newer")
    code = run("recommend", "--data", tmp_path / "newer", "--model", room / "all", "--until", UNTIL,
               "--out", tmp_path / "out")
    assert code == 0
    found = pd.Timestamp(read_metadata(tmp_path / "out" / "candidates.parquet")["trained_until"])
    assert found == shop.dataset.events[Columns.Timestamp].max() + pd.Timedelta(microseconds=1)


def test_anybody_may_read_a_model(room: Path):
    plain = room / "plain"
    plain.touch()
    for path in (room / "model").rglob("*"):
        assert path.is_dir() or path.stat().st_mode == plain.stat().st_mode, path


def test_a_model_without_its_list_of_vectors_is_refused(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(room / "model", tmp_path / "model")
    (tmp_path / "model" / "vectors.json").unlink()
    code = recommend(room, tmp_path / "out", "--model", tmp_path / "model", "--vectors", room / "vectors")
    assert "vectors.json: cannot be read" in refused(capsys, code)


def test_other_vectors_than_those_learnt_from_are_refused(
    shop: Shop, room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows, there = vectors_of(shop.dataset)["image"]
    encoded = Encoded(rows, np.where(there, State.OK, State.ABSENT), computed=len(rows))
    (tmp_path / "other").mkdir()
    write_vectors(tmp_path / "other", pd.Index(shop.dataset.items[Columns.Item]), {"photo": encoded}, {})
    code = recommend(room, tmp_path / "out", "--model", room / "model", "--vectors", tmp_path / "other")
    assert "learnt from the vectors image; those given are photo. Give" in refused(capsys, code)


def test_a_catalogue_without_a_word_learns_from_behaviour(
    shop: Shop, room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    items = shop.dataset.items[[Columns.Item]].assign(**{Columns.Title: ""})
    replace(shop.dataset, items=items).save(tmp_path / "bare")
    given = ("--data", tmp_path / "bare", "--until", UNTIL)
    assert run("train", *given, "--config", room / "train.yaml", "--out", tmp_path / "model") == 0
    assert "no product has a title or an attribute" in caplog.text
    assert run("recommend", *given, "--model", tmp_path / "model", "--k", 3, "--out", tmp_path / "out") == 0
    assert len(read_frame(tmp_path / "out" / "candidates.parquet")) == 1_200
    capsys.readouterr()
    on = ("--continue-from", tmp_path / "model", "--config", room / "train.yaml", "--out", tmp_path / "on")
    assert run("train", "--data", tmp_path / "bare", *on) == 0


def test_lists_of_another_scorer_are_not_explained(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, by in (("blend", ()), ("words", ("--model", room / "words"))):
        assert recommend(room, tmp_path / name, "--until", UNTIL, *by) == 0
        assert run("rerank", "--data", room / "data", "--candidates", tmp_path / name / "candidates.parquet",
                   "--k", 3, "--out", tmp_path / f"{name}_lists") == 0
    given = ("--data", room / "data", "--request", "U000001", "--model", room / "model", "--vectors", room / "vectors")
    for name, why in (("blend", "a blend of baselines. Leave"), ("words", "another model than")):
        code = run("explain", "--rankings", tmp_path / f"{name}_lists", *given)
        assert why in refused(capsys, code)


def test_explain_says_what_a_match_is_made_of(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = ("--model", room / "model", "--vectors", room / "vectors")
    assert recommend(room, tmp_path / "candidates", "--until", UNTIL, *given) == 0
    assert run("rerank", "--data", room / "data", "--candidates", tmp_path / "candidates" / "candidates.parquet",
               "--k", 5, "--tail-share", 0.1, "--out", tmp_path / "rankings") == 0
    capsys.readouterr()
    asked = ("explain", "--data", room / "data", "--rankings", tmp_path / "rankings", "--request", "U000001")
    assert run(*asked, *given) == 0
    printed = capsys.readouterr().out
    assert printed.count("this match is") + printed.count("nothing speaks for this match") == 5
    assert "picture" in printed and max(map(len, printed.splitlines())) <= 80
    assert run(*asked) == 0
    assert "this match" not in capsys.readouterr().out
    assert "vectors and edges need a model" in refused(capsys, run(*asked, *given[2:]))
    unknown = refused(capsys, run(*asked[:-1], "nobody", *given))
    assert "request 'nobody' has no list" in unknown


def test_going_on_without_a_new_day_is_said(room: Path, caplog: pytest.LogCaptureFixture):
    assert train(room, "same", "--continue-from", room / "words", "--until", UNTIL) == 0
    assert "learn from nothing new" in caplog.text
    caplog.clear()
    assert train(room, "further", "--continue-from", room / "words") == 0
    assert "learn from nothing new" not in caplog.text


def test_trees_of_another_model_are_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(room / "model", tmp_path / "model")
    for path in (room / "model" / "demand").glob("*.txt"):
        for other in (tmp_path / "model" / "ranker").rglob("*.txt"):
            shutil.copy(path, other)
    code = recommend(room, tmp_path / "out", "--model", tmp_path / "model", "--vectors", room / "vectors")
    assert "are of different models" in refused(capsys, code)


def test_training_goes_on_from_a_model(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert train(room, "later", "--continue-from", room / "words") == 0
    before, after = (read_json(room / name / "reader" / "match" / "config.json") for name in ("words", "later"))
    assert len(after["held_out_loss"]) > len(before["held_out_loss"])
    assert after["until"] > before["until"]
    terms = [(room / name / "words" / "tfidf.safetensors").read_bytes() for name in ("words", "later")]
    assert terms[0] == terms[1]  # the network reads the words that it learnt
    capsys.readouterr()
    code = train(room, "no", "--continue-from", room / "model")
    assert "was trained on vectors; give the folders" in refused(capsys, code)
    code = train(room, "no", "--continue-from", room / "words", "--vectors", room / "vectors")
    assert "was trained on its own words" in refused(capsys, code)
    code = train(room, "no", "--continue-from", room / "later", "--until", UNTIL)
    assert "later than the start of the label days" in refused(capsys, code)
    assert not (room / "no").exists()


def test_bad_input_is_refused_in_one_line(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, model = tmp_path / "out", ("--model", room / "model", "--vectors", room / "vectors")
    assert "holds no trained model" in refused(capsys, recommend(room, out, "--model", room / "data"))
    assert "give the folders of such vectors" in refused(capsys, recommend(room, out, "--model", room / "model"))
    words = ("--model", room / "words", "--vectors", room / "vectors")
    assert "was trained on its own words; leave vectors out" in refused(capsys, recommend(room, out, *words))
    assert "vectors and edges need a model" in refused(capsys, recommend(room, out, "--vectors", room / "vectors"))
    (tmp_path / "more.yaml").write_text("exclude_seen: true\n")
    code = recommend(room, out, *model, "--config", tmp_path / "more.yaml")
    assert "'exclude_seen' was decided when the model was trained" in refused(capsys, code)
    kin = pd.DataFrame({"source": ["P000001"], "relation": ["kin"], "target": ["P000002"]})
    write_frame(kin, tmp_path / "e.parquet")
    code = recommend(room, out, *model, "--edges", tmp_path / "e.parquet")
    assert "learnt without given edges" in refused(capsys, code)
    code = recommend(room, out, "--model", room / "model", "--vectors", room / "vectors", "--vectors", room / "vectors")
    assert "'image' lies in" in refused(capsys, code)
    assert "no event before until" in refused(capsys, recommend(room, out, *model, "--until", "2020-01-01"))
    assert "no event before until" in refused(capsys, train(room, "no", "--until", "2020-01-01"))
    assert not out.exists() and not (room / "no").exists()


def test_vectors_of_another_encoder_are_refused(
    room: Path, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "encode.yaml").write_text("tfidf: {width: 8}\n")
    encode = ("encode", "--config", tmp_path / "encode.yaml", "--data")
    assert run(*encode, room / "data", "--out", tmp_path / "one") == 0
    assert train(room, "told", "--until", UNTIL, "--vectors", tmp_path / "one") == 0
    fewer = shop.dataset.items.assign(title=lambda items: items[Columns.Title].where(items.index > 40, "thing"))
    replace(shop.dataset, items=fewer).save(tmp_path / "data")
    assert run(*encode, tmp_path / "data", "--out", tmp_path / "two") == 0
    same = ("--text", tmp_path / "one" / "tfidf")
    assert run(*encode, tmp_path / "data", "--out", tmp_path / "three", *same) == 0
    asked = ("recommend", "--data", tmp_path / "data", "--model", room / "told", "--out", tmp_path / "out", "--vectors")
    capsys.readouterr()
    assert "vectors 'text' were made by another encoder" in refused(capsys, run(*asked, tmp_path / "two"))
    assert run(*asked, tmp_path / "three") == 0


def test_a_pipeline_feeds_the_model(room: Path, shop: Shop, tmp_path: Path):
    shop.save(tmp_path / "run" / "data", pictures=False)
    settings = yaml.safe_load((room / "train.yaml").read_text())
    done = run_pipeline(Pipeline.model_validate({
        "out": tmp_path / "run", "encode": {"tfidf": {"width": 16}}, "train": {**settings, "until": UNTIL},
        "recommend": {"until": UNTIL, "k": 8}, "rerank": {"k": 4, "goals": [{"group": "tail", "min_share": 0.1}]},
    }))
    assert list(done.done) == ["encode", "train", "recommend", "rerank"]
    assert "vectors `text`" in (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")
    assert read_json(tmp_path / "run" / "rankings" / "certificate.json")["feasible"]


def test_the_settings_say_what_they_mean():
    printed = documented_yaml(TrainJob)
    given = yaml.safe_load(printed) | {"data": "a", "out": "b"}
    assert check_settings(TrainJob, given, "printed") == TrainJob(data=Path("a"), out=Path("b"))
    lines = printed.splitlines()
    for name in ("vectors:", "edges:", "continue_from:", "fusion:", "graph:", "ranker:"):
        at = next(n for n, line in enumerate(lines) if line.startswith(name))
        assert lines[at - 1].startswith("# ")


@pytest.mark.parametrize("name", [
    "config.json", "reader/match/model.safetensors", "reader/match/config.json", "demand/booster_0.txt",
    "demand/config.json",
])
def test_a_broken_model_is_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str):
    broken = tmp_path / "model"
    shutil.copytree(room / "model", broken)
    whole = (broken / name).read_bytes()
    for part in (whole[: len(whole) // 2], b"", b"[]"):
        (broken / name).write_bytes(part)
        words = ("recommend", "--data", room / "data", "--model", broken, "--vectors", room / "vectors")
        said = refused(capsys, run(*words, "--out", tmp_path / "out"))
        assert str(broken) in said
    assert not (tmp_path / "out").exists()


def test_vectors_of_another_catalogue_are_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = tmp_path / "vectors"
    shutil.copytree(room / "vectors", other)
    items = read_frame(other / "items.parquet")
    write_frame(items.assign(item_id="Z" + items["item_id"]), other / "items.parquet")
    words = ("--data", room / "data", "--out", tmp_path / "out", "--vectors", other)
    for verb in (("recommend", "--model", room / "model"), ("train",)):
        assert "does not hold any of the dataset's items" in refused(capsys, run(*verb, *words))
    said = refused(capsys, run("train", "--data", room / "data", "--out", tmp_path / "out", "--vectors", room / "data"))
    assert "does not hold vectors" in said
