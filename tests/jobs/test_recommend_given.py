"""A shop whose visitors type what they want, from its log to 'recommend --model --candidates'."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_models import save_bert
from tiny_ranking import tiny_settings

from ltexpo.cli import main
from ltexpo.columns import Columns
from ltexpo.data import Dataset
from ltexpo.data.files import read_json
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.encoders.encoded import Encoded
from ltexpo.encoders.item_vectors import write_vectors

KINDS = ("shoe", "shirt", "dress")
COLOURS = ("red", "blue", "green")
N_ITEMS, N_USERS, DAYS, SLOTS = 90, 250, 4, 6
ASKED, OTHER = 0.5, 0.04
"""P(click | examined) of what was asked for, and of the rest."""


def catalogue() -> pd.DataFrame:
    """Item i is of kind i % 3 and colour i // 3 % 3; the category says neither."""
    rows = np.arange(N_ITEMS)
    return pd.DataFrame({
        "item_id": [f"i{row:03d}" for row in rows],
        "title": [f"{COLOURS[row // 3 % 3]} {KINDS[row % 3]}" for row in rows], "category": "Clothes",
        "price": 10.0 + rows % 7,
    })


def log(seed: int = 0) -> pd.DataFrame:
    """Every visitor comes twice a day, asks for any kind, sees random products, and clicks what was asked for."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in range(DAYS):
        for user in range(N_USERS):
            for visit in range(2):
                kind = rng.integers(3)
                stamp = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day, seconds=2 * user + visit)
                query = " " if rng.random() < 0.1 else f" {KINDS[kind]} " if visit else KINDS[kind]
                shown = rng.choice(N_ITEMS, SLOTS, replace=False)
                for rank, item in enumerate(shown, start=1):
                    row = (f"u{user}", f"i{item:03d}", stamp, f"r{day}-{user}-{visit}", rank)
                    rows.append((*row, "impression", query))
                    looked = rng.random() < 1 / np.log2(rank + 1)
                    if looked and rng.random() < (ASKED if item % 3 == kind else OTHER):
                        rows.append((*row, "click", None))
    return pd.DataFrame(
        rows, columns=["user_id", "item_id", "timestamp", "request_id", "rank", "event", "query"]
    )


EVENTS = log()


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("ltexpo: ") and error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and silent/ (the same without queries), train.yaml, and models of the catalogue's words: asks/, silent/."""
    folder = tmp_path_factory.mktemp("asked")
    Dataset.of(catalogue(), EVENTS).save(folder / "data")
    Dataset.of(catalogue(), EVENTS.drop(columns="query")).save(folder / "mute")
    settings = tiny_settings(
        tfidf={"width": 16}, graph=None, training={"epochs": 4, "batch": 128, "uniform": 32, "rate": 0.01},
    )
    settings["rolling"] |= {"max_users": 250, "as_new": 0.0}
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    assert train(folder, "asks") == 0
    assert train(folder, "silent", data="mute") == 0
    return folder


def train(room: Path, out: str, *more: object, data: str = "data") -> int:
    return run("train", "--data", room / data, "--config", room / "train.yaml", "--out", room / out, *more)


def lists(queries: list[str | None], **more: object) -> pd.DataFrame:
    """Every product for one request of each of `queries`."""
    return pd.DataFrame({
        "request_id": np.repeat([f"q{row}" for row in range(len(queries))], N_ITEMS),
        "item_id": np.tile(catalogue()["item_id"], len(queries)),
        "user_id": np.repeat([f"u{row}" for row in range(len(queries))], N_ITEMS),
        "query": np.repeat(np.array(queries, dtype=object), N_ITEMS), **more,
    })


def score(room: Path, out: Path, frame: pd.DataFrame, *more: object, model: str = "asks", data: str = "data") -> int:
    write_frame(frame, out.parent / "given.parquet")
    return run("recommend", "--data", room / data, "--model", room / model, "--candidates",
               out.parent / "given.parquet", "--out", out, *more)


def ahead(scored: pd.DataFrame, kind: int) -> float:
    """How often a product of `kind` scores above one of another kind, in the same request: 0.5 by chance."""
    found = []
    for _, one in scored.groupby("request_id"):
        mine = one["item_id"].str[1:].astype(int).to_numpy() % 3 == kind
        values = one["score"].to_numpy()
        gap = values[mine][:, None] - values[~mine]
        found.append((gap > 0).mean() + (gap == 0).mean() / 2)
    return float(np.mean(found))


def test_what_is_typed_decides_the_scores(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    queries = ["shoe"] * 5 + ["  SHOE\t"] + ["shirt"] * 5 + [None] * 4 + ["", "zzz"]
    given = lists(queries)
    assert score(room, tmp_path / "out", given.sample(frac=1, random_state=0)) == 0
    said = capsys.readouterr().out
    assert "17 requests, 1,530 candidates, 0 requests of users without history, 5 requests without a query, " \
        "1 queries without a known word" in said
    scored = check_table(read_frame(tmp_path / "out" / "candidates.parquet"), CANDIDATES).frame
    assert scored[["request_id", "item_id"]].equals(
        given.sample(frac=1, random_state=0)[["request_id", "item_id"]].reset_index(drop=True).astype("str")
    )
    asked = scored.set_index(scored["request_id"].str[1:].astype(int).rename(None)).sort_index()
    assert ahead(asked.loc[:5], 0) > 0.95
    assert ahead(asked.loc[6:10], 1) > 0.95 and ahead(asked.loc[6:10], 0) < 0.4
    assert max(ahead(asked.loc[11:], kind) for kind in range(3)) < 0.75
    mine = asked.loc[:5]["item_id"].str[1:].astype(int).to_numpy() % 3 == 0
    means = [asked.loc[:5]["score"][rows].mean() for rows in (mine, ~mine)]
    assert means == [pytest.approx(ASKED, rel=0.2), pytest.approx(OTHER, abs=0.04)]
    # nothing, blanks and unknown words are the same to the model
    of_nobody = lists([None, "", "zzz"]).assign(user_id="nobody")
    assert score(room, tmp_path / "nobody", of_nobody) == 0
    silent = read_frame(tmp_path / "nobody" / "candidates.parquet")["score"].to_numpy().reshape(3, -1)
    assert (silent[0] == silent[1]).all() and (silent[0] == silent[2]).all()


def test_explain_says_what_the_query_brings(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert score(room, tmp_path / "out", lists(["shoe"] * 3)) == 0
    (tmp_path / "rerank.yaml").write_text("k: 6\ngoals: []\n")
    data, rankings = room / "data", tmp_path / "lists"
    assert run("rerank", "--data", data, "--candidates", tmp_path / "out" / "candidates.parquet", "--out", rankings,
               "--config", tmp_path / "rerank.yaml") == 0
    capsys.readouterr()
    ask = ("explain", "--data", data, "--rankings", rankings, "--request", "q1")
    assert run(*ask, "--model", room / "asks", "--query", " Shoe ") == 0
    told = capsys.readouterr().out
    assert told.count("what was typed") >= 5, told
    assert run(*ask, "--model", room / "asks", "--query", "shirt") == 0
    assert " ".join(capsys.readouterr().out.split()).count("against it: what was typed") == 6
    assert run(*ask, "--model", room / "asks") == 0
    assert "as of a request without" in " ".join(capsys.readouterr().err.split())
    assert "has not learnt to read any" in refused(capsys, run(*ask, "--model", room / "silent", "--query", "shoe"))
    assert "give 'model'" in refused(capsys, run(*ask, "--query", "shoe"))


def test_rows_keep_what_they_came_with(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = lists(["shoe", None]).assign(rank=np.tile(np.arange(1, N_ITEMS + 1), 2), score=7.0, origin="engine")
    given["timestamp"] = pd.to_datetime(np.repeat(["2024-01-02", "2024-02-01"], N_ITEMS), utc=True)
    assert score(room, tmp_path / "out", given) == 0
    assert "1 requests from before the last event learnt from" in capsys.readouterr().out
    found = check_table(read_frame(tmp_path / "out" / "candidates.parquet"), CANDIDATES).frame
    assert (found["given_score"] == 7).all() and (found["origin"] == "engine").all()
    assert (found["rank"] == given["rank"]).all() and found["score"].between(0, 1).all()
    assert (found["score_std"] >= 0).all()
    # one request alone, the same rows: scores do not hang on what else is in the file
    alone = given[given["request_id"] == "q1"]
    assert score(room, tmp_path / "alone", alone) == 0
    one = read_frame(tmp_path / "alone" / "candidates.parquet")["score"].to_numpy()
    assert np.allclose(one, found.loc[found["request_id"] == "q1", "score"], atol=1e-6)


def test_a_request_without_a_user_is_one(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plain = lists([None, None]).assign(request_id=lambda frame: frame["user_id"])
    assert score(room, tmp_path / "with", plain, model="silent", data="mute") == 0
    assert score(room, tmp_path / "without", plain[["request_id", "item_id"]], model="silent", data="mute") == 0
    both = [read_frame(tmp_path / name / "candidates.parquet")["score"] for name in ("with", "without")]
    assert both[0].equals(both[1])
    own = plain.assign(user_id="a new visitor")
    capsys.readouterr()
    assert score(room, tmp_path / "new", own, model="silent", data="mute") == 0
    assert "2 requests of users without history" in capsys.readouterr().out


@pytest.mark.parametrize(("spoil", "said"), [
    (lambda frame: frame.assign(item_id=frame["item_id"].replace("i004", "i999")),
     "row 4: item_id 'i999' is not in items (2 such rows)"),
    (lambda frame: frame.assign(user_id=None), "'user_id' row 0 is a gap"),
    (lambda frame: frame.assign(user_id=frame["user_id"].where(frame.index != 3, "u7")),
     "row 3: its request has another user_id in an earlier row"),
    (lambda frame: frame.assign(query=frame["query"].where(frame.index != 3, "boot")),
     "row 3: its request has another query in an earlier row"),
    (lambda frame: frame.assign(query=3.5), "'query' holds float64 values"),
    (lambda frame: frame.drop(columns="item_id"), "lacks 'item_id'"),
    (lambda frame: pd.concat([frame, frame.head(1)]), "stands there twice"),
    (lambda frame: frame.iloc[:0], "candidates is empty"),
])
def test_bad_lists_are_refused(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, said: str
):
    assert said in refused(capsys, score(room, tmp_path / "out", spoil(lists(["shoe", "shirt"]))))
    assert not (tmp_path / "out").exists()


def test_what_does_not_go_together_is_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code = score(room, tmp_path / "out", lists(["shoe"]), model="silent", data="mute")
    assert "the model has not learnt to read any" in refused(capsys, code)
    assert score(room, tmp_path / "blank", lists([" "]), model="silent", data="mute") == 0
    capsys.readouterr()
    code = score(room, tmp_path / "out", lists(["shoe"]), "--k", 5)
    assert "'k' is decided by the candidates; leave it out" in refused(capsys, code)
    words = ("--candidates", tmp_path / "given.parquet", "--out", tmp_path / "out")
    code = run("recommend", "--data", room / "data", *words)
    assert "candidates are scored by a model" in refused(capsys, code)


def test_queries_are_read_by_the_encoder_of_the_texts(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("transformers")
    bert = save_bert(tmp_path / "bert")
    assert run("encode", "--data", room / "data", "--text", bert, "--out", tmp_path / "vectors") == 0
    assert train(room, "bert", "--vectors", tmp_path / "vectors") == 0
    card = (room / "bert" / "README.md").read_text(encoding="utf-8")
    assert "- queries, read as the vectors `text` are: 3 different ones on" in card
    assert not (room / "bert" / "query_words").exists() and read_json(room / "bert" / "config.json")["queries"]
    vectors = ("--vectors", tmp_path / "vectors")
    assert score(room, tmp_path / "out", lists(["shoe"] * 3), *vectors, model="bert") == 0
    assert ahead(read_frame(tmp_path / "out" / "candidates.parquet"), 0) > 0.9
    bert.rename(tmp_path / "gone")
    capsys.readouterr()
    code = score(room, tmp_path / "no", lists(["shoe"]), *vectors, model="bert")
    assert "queries cannot be read: the encoder that" in refused(capsys, code)
    assert score(room, tmp_path / "unasked", lists([None]), *vectors, model="bert") == 0


def test_vectors_of_unknown_make_are_joined_by_words(room: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N_ITEMS, 8)).astype(np.float32)
    (tmp_path / "vectors").mkdir()
    made = {"text": Encoded(rows, np.zeros(N_ITEMS, np.uint8), computed=N_ITEMS)}
    write_vectors(tmp_path / "vectors", pd.Index(catalogue()["item_id"]), made, {})
    vectors = ("--vectors", tmp_path / "vectors")
    assert train(room, "own", *vectors) == 0
    assert (room / "own" / "query_words").is_dir()
    assert score(room, tmp_path / "out", lists(["shirt"] * 3), *vectors, model="own") == 0
    assert ahead(read_frame(tmp_path / "out" / "candidates.parquet"), 1) > 0.95
    assert train(room, "further", *vectors, "--continue-from", room / "own") == 0
    terms = [(room / name / "query_words" / "tfidf.safetensors").read_bytes() for name in ("own", "further")]
    assert terms[0] == terms[1] and read_json(room / "further" / "config.json")["queries"]


def test_purchases_tell_queries_too(room: Path, tmp_path: Path):
    """A log of purchases alone: what is typed is learnt from what was bought for it."""
    clicks = EVENTS[EVENTS["event"] == "click"]
    typed = EVENTS[EVENTS["event"] == "impression"].drop_duplicates("request_id").set_index("request_id")["query"]
    bought = clicks.assign(query=clicks["request_id"].map(typed), event="purchase").drop(columns=["rank", "request_id"])
    Dataset.of(catalogue(), bought).save(tmp_path / "data")
    assert run("train", "--data", tmp_path / "data", "--config", room / "train.yaml", "--out", tmp_path / "model") == 0
    given = lists(["shoe"] * 5 + ["shirt"] * 5)
    write_frame(given, tmp_path / "given.parquet")
    assert run("recommend", "--data", tmp_path / "data", "--model", tmp_path / "model", "--candidates",
               tmp_path / "given.parquet", "--out", tmp_path / "out") == 0
    scored = read_frame(tmp_path / "out" / "candidates.parquet")
    for kind, query in enumerate(("shoe", "shirt")):
        assert ahead(scored[scored["query"] == query], kind) > 0.9
    assert Columns.ScoreSpread not in scored.columns
