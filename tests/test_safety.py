"""What a hostile catalogue, page or file may not do: leave its folder, fill the memory, run code, name people."""

import ast
import io
import json
import logging
import os
from pathlib import Path

import pandas as pd
import pytest
from fuzz_room import PERSON, VERBS, Room
from PIL import Image
from tiny_models import bomb, to_bytes

import ltexpo
from ltexpo.data import Dataset
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.plain_yaml import read_yaml

ROOT = Path(ltexpo.__file__).parent
SOURCES = sorted([*ROOT.rglob("*.py"), *(ROOT.parent / "pipelines").glob("*.py")])
NO_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
NO_CALLS = {"eval", "exec", "read_pickle", "to_pickle", "unsafe_load", "full_load", "system", "popen"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("room"))


def unsafe(source: str) -> list[str]:
    """What in `source` could run code that a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name.split(".")[0] in NO_MODULES]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        last = called.split(".")[-1]
        # a network's eval() without words sets it to predict
        if last in NO_CALLS and not (last == "eval" and not node.args):
            found.append(called)
        if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            found.append(f"{called} without allow_pickle=False")
        if called == "torch.load" and given.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if called == "yaml.load" or given.get("shell") == "True" or given.get("trust_remote_code") == "True":
            found.append(called)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_that_a_file_holds_is_run(path: Path):
    assert unsafe(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", [
    "import pickle", "from joblib import load", "import torch; torch.load('x')", "import numpy as np; np.load('x')",
    "pd.read_pickle('x')", "yaml.load(text)", "eval(text)", "subprocess.run(x, shell=True)", "os.system('x')",
])
def test_the_search_finds_what_it_should(source: str):
    assert unsafe(source)


def test_yaml_gives_plain_values_or_a_refusal():
    assert read_yaml("a: &x [1, 2]\nb: *x\nc: 2024-01-05\n") == {
        "a": [1, 2], "b": [1, 2], "c": pd.Timestamp("2024-01-05").date(),
    }
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    for text, said in (
        (laughs, "stand for more than"), ("a: &a [*a]", "within what it names"), ("[" * 60 + "]" * 60, "deep in one"),
        ("k: 2024-13-45", "'2024-13-45' is no timestamp"), ("k: !!bool maybe", "is no bool"),
        ("? [a]\n: 1", "is a word"),
        ("k: " + "9" * 400, "bits is too large"), ("k: 1\nk: 2", "stands there twice"),
    ):
        with pytest.raises(Exception, match=said):
            read_yaml(text)


def animation(frames: int) -> bytes:
    """A GIF of a few kilobytes with thousands of frames."""
    pictures = [Image.new("P", (4, 4), number % 2) for number in range(frames)]
    target = io.BytesIO()
    pictures[0].save(target, "GIF", save_all=True, append_images=pictures[1:])
    return target.getvalue()


def hostile(folder: Path) -> pd.DataFrame:
    """A catalogue whose pictures are what they should not be, in `folder`."""
    secret = folder / "secret.png"
    secret.write_bytes(to_bytes(Image.new("RGB", (8, 8), "red"), "PNG"))
    data = folder / "shop"
    (data / "images").mkdir(parents=True)
    (data / "images/link.png").symlink_to(secret)
    (data / "images/loop.png").symlink_to(data / "images/loop.png")
    os.mkfifo(data / "images/pipe.png")
    huge = Image.new("1", (20_000, 20_000))
    for name, content in {
        "good.png": to_bytes(Image.new("RGB", (8, 8), "blue"), "PNG"), "bomb.png": bomb(),
        "huge.png": to_bytes(huge, "PNG"),
        "frames.gif": animation(3_000), "text.png": b"no picture", "empty.png": b"",
        "page.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "code.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(/etc/passwd) run\n",
    }.items():
        (data / "images" / name).write_bytes(content)
    paths = {
        "good": "images/good.png", "frames": "images/frames.gif", "up": "../secret.png",
        "etc": "../../../../etc/passwd",
        "absolute": str(secret), "link": "images/link.png", "loop": "images/loop.png", "pipe": "images/pipe.png",
        "folder": "images", "zero": "images/a\x00b.png", "long": "x" * 5_000, "gone": "images/gone.png",
        "bomb": "images/bomb.png", "huge": "images/huge.png", "text": "images/text.png", "empty": "images/empty.png",
        "svg": "images/page.svg", "eps": "images/code.eps", "none": None,
    }
    return pd.DataFrame({"item_id": list(paths), "title": "a product", "image": list(paths.values())})


STATES = {"ok": 2, "absent": 1, "outside": 4, "missing": 6, "unreadable": 6}


def test_pictures_that_leave_the_folder_or_fill_the_memory_are_counted(tmp_path: Path, room: Room):
    items = hostile(tmp_path)
    write_frame(items, tmp_path / "shop/items.parquet")
    ran = room.run(["describe", str(tmp_path / "shop")])
    assert ran.code == 0 and not ran.warned, ran
    told = json.loads(ran.out)["images"]
    assert {state: told[state] for state in STATES} == STATES
    assert told["examples"]["outside"] == "up"


def test_an_import_takes_no_picture_from_outside(tmp_path: Path, room: Room):
    items = hostile(tmp_path)
    items = items[~items["item_id"].isin(["zero"])]  # no CSV holds this
    source = tmp_path / "shop"
    items.to_csv(source / "products.csv", index=False)
    (source / "columns.yaml").write_text("items: {path: products.csv}\n")
    ran = room.run(["import", "generic", str(source), "--out", str(tmp_path / "made")])
    assert ran.code == 0, ran.err
    counted = json.loads(ran.out)["tolerated"]
    assert counted["items: picture outside"] == 4 and counted["items: picture missing"] == 5
    kept = read_frame(tmp_path / "made/items.parquet").set_index("item_id")["image"]
    assert kept[["up", "etc", "absolute", "link", "loop", "pipe", "folder", "long", "gone"]].isna().all()
    assert {path.name for path in (tmp_path / "made/images").rglob("*")} == {
        "images", "good.png", "bomb.png", "huge.png", "frames.gif", "text.png", "empty.png", "page.svg", "code.eps",
    }


SCRIPT = "<script>alert(1)</script>"
BREAK = '"><img src=x onerror=alert(1)>'
FORMULA = "=HYPERLINK(\"http://x\")"


def test_a_page_shows_markup_as_text_and_tables_keep_it(tmp_path: Path):
    hostile_room = Room(tmp_path)
    data = tmp_path / "data"
    items = read_frame(data / "items.parquet")
    marks = [SCRIPT, BREAK, FORMULA, "&amp;", "'", "`", "<b>", "$(id)"]
    ids = {name: name + mark for name, mark in zip(items["item_id"], marks, strict=True)}
    items = items.assign(title=SCRIPT, brand=BREAK, category=FORMULA, image=BREAK, item_id=items["item_id"].map(ids))
    events = read_frame(data / "events.parquet")
    events = events.assign(item_id=events["item_id"].map(ids))
    candidates = read_frame(tmp_path / "candidates.parquet")
    candidates = candidates.assign(item_id=candidates["item_id"].map(ids))
    write_frame(items, data / "items.parquet")
    write_frame(events, data / "events.parquet")
    write_frame(candidates, tmp_path / "candidates.parquet", metadata={"trained_until": "2024-01-06"})
    for words in (
        VERBS["rerank"].replace("--tail-share 0.1 --out out", "--tail-share 0.4 --out rankings"),
        VERBS["evaluate"].replace("--out out", "--out evaluation"),
        VERBS["simulate"].replace("--out out", "--out experiment"), VERBS["report"],
    ):
        ran = hostile_room.run(words)
        assert ran.code == 0, ran.err
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page and "<img src=x" not in page
    assert PERSON not in page
    shown = read_frame(tmp_path / "rankings/rankings.parquet")["item_id"]
    assert set(shown) <= set(ids.values()) and shown.str.contains("<script>", regex=False).any()


def test_no_verb_prints_or_logs_a_user(room: Room, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, logger="ltexpo"):
        for verb, words in VERBS.items():
            ran = room.hold(words + " -v" if verb != "explain" else words)
            assert ran.code == 0, ran.err
            if verb != "explain":  # which was asked for one request by name
                assert PERSON not in ran.out + ran.err
    said = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert said and not [line for line in said if PERSON in line]


def test_no_aggregate_holds_a_user(room: Room):
    """Reports and tables of figures; lists, candidates and promotions are the product and name their requests."""
    for verb in ("evaluate", "simulate", "frontier", "examine", "ope", "report", "encode", "graph"):
        assert room.run(VERBS[verb]).code == 0
        out = room.folder / "out"
        files = [path for path in out.rglob("*") if path.is_file()] if out.exists() else [room.folder / "out.html"]
        for path in files:
            if path.suffix == ".parquet":
                frame = read_frame(path)
                texts = frame.select_dtypes(["object", "string"]).astype(str)
                named = texts.apply(lambda column: column.str.contains(PERSON)).to_numpy().any()
                if path.name == "nodes.parquet":
                    continue
                assert not named, path
            else:
                assert PERSON.encode() not in path.read_bytes(), path
        for path in (out, room.folder / "out.html"):
            if path.is_dir():
                import shutil

                shutil.rmtree(path)
            path.unlink(missing_ok=True)


def test_dataset_facts_are_counts(room: Room):
    described = Dataset.load(room.folder / "data")
    assert PERSON not in json.dumps(described.notes)
    assert PERSON not in (room.folder / "data/dataset.json").read_text()
