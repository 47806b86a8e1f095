"""Files are whole or not there; a dataset survives the disk; pictures are judged without surprise."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltexpo.data import Dataset, IdMap
from ltexpo.data.dataset import read_facts
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import read_frame, read_metadata, write_frame
from ltexpo.errors import OutputError, TableError
from ltexpo.jobs.importing import DescribeJob, run_describe


@pytest.fixture
def dataset() -> Dataset:
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", None], "price": [1.0, np.nan]})
    events = pd.DataFrame({
        "user_id": ["u"], "item_id": ["a"], "event": ["click"], "timestamp": pd.to_datetime(["2024-01-01"], utc=True),
    })
    return Dataset.of(items, events, pd.DataFrame({"user_id": ["w"]}))


def test_a_dataset_survives_the_disk(dataset: Dataset, tmp_path: Path):
    dataset.save(tmp_path / "out", source="test", left_out={"too old": 3})
    loaded = Dataset.load(tmp_path / "out")
    pd.testing.assert_frame_equal(loaded.items, dataset.items)
    pd.testing.assert_frame_equal(loaded.events, dataset.events)
    facts = read_facts(tmp_path / "out")
    assert facts["left_out"] == {"too old": 3}
    assert facts["missing"] == {"title": 1, "price": 1}
    assert facts["tolerated"] == {"events.users without a row in users": 1}
    assert facts["tail"]["tiers"][0] == {
        "tier": "head", "items": 1, "item_share": 0.5, "interactions": 1, "interaction_share": 1.0,
    }


def test_a_blank_title_is_a_missing_one(tmp_path: Path):
    items = pd.DataFrame({"item_id": list("abcd"), "title": ["A", "", " \t", None], "colour": ["", "x", None, "y"]})
    Dataset.of(items).save(tmp_path / "out")
    assert run_describe(DescribeJob(data=tmp_path / "out"))["missing"] == {"title": 3, "colour": 1}


@pytest.mark.parametrize("tags", [["x", "y", "x", "x"], [["x"], ["y"], ["x"], ["x"]]], ids=["words", "lists"])
def test_rows_that_stand_there_again_are_counted_and_stay(tags: list[object]):
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"]})
    events = pd.DataFrame({
        "user_id": ["u", "u", "u", "v"], "item_id": "a", "event": "click", "tags": tags,
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC"),
    })
    made = Dataset.of(items, events)
    # the second differs in its tag, the fourth in its user
    assert made.notes == {"events.rows equal to an earlier row, each counted as an event of its own": 1}
    assert len(made.require_events("the test")) == 4
    assert Dataset.of(items, events.iloc[[0, 1, 3]]).notes == {}


def test_what_is_written_appears_whole_or_not_at_all(tmp_path: Path):
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out", verb="test") as folder:
        write_json({"half": 1}, folder / "a.json")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError), output_folder(tmp_path / "new" / "deep" / "out", verb="test") as folder:
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with output_folder(tmp_path / "out", verb="test") as folder:
        write_json({"first": 1}, folder / "a.json")
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out", verb="test") as folder:
        raise RuntimeError
    assert (tmp_path / "out" / "a.json").exists()
    with output_folder(tmp_path / "out", verb="test") as folder:
        write_json({"second": 1}, folder / "b.json")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".ltexpo", "b.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(OutputError, match="did not write"), output_folder(tmp_path / "photos", verb="test"):
        pass
    assert (tmp_path / "photos" / "me.jpg").exists()


def test_only_what_the_same_verb_wrote_is_replaced(tmp_path: Path):
    out = tmp_path / "out"
    with output_folder(out, verb="import") as folder:
        write_json({}, folder / "a.json")
    other = "was written by 'import', not by 'rerank'"
    with pytest.raises(OutputError, match=other), output_folder(out, verb="rerank"):
        pass
    (out / "notes.txt").write_text("mine")
    foreign = r"holds 'notes\.txt', which ltexpo did not"
    with pytest.raises(OutputError, match=foreign), output_folder(out, verb="import"):
        pass
    assert sorted(path.name for path in out.iterdir()) == [".ltexpo", "a.json", "notes.txt"]


def test_an_input_may_not_lie_in_the_output(tmp_path: Path):
    out = tmp_path / "out"
    with output_folder(out, verb="test") as folder:
        write_json({}, folder / "a.json")
    inputs = (None, out / "a.json")
    with pytest.raises(OutputError, match="holds the input"), output_folder(out, verb="test", inputs=inputs):
        pass
    assert (out / "a.json").exists()


def test_a_link_is_followed(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with output_folder(tmp_path / "link", verb="test") as folder:
        write_json({}, folder / "a.json")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.json").exists()


def test_a_folder_of_parquet_parts_is_one_table(tmp_path: Path):
    for part in (1, 2):
        path = tmp_path / "parts" / f"part-{part}.parquet"
        write_frame(pd.DataFrame({"x": [part]}), path, metadata={"until": "2024"})
    assert sorted(read_frame(tmp_path / "parts")["x"]) == [1, 2]
    assert read_metadata(tmp_path / "parts") == {"until": "2024"}
    (tmp_path / "none").mkdir()
    with pytest.raises(TableError, match=r"without \.parquet parts"):
        read_frame(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = write_frame(pd.DataFrame({"x": [1]}), tmp_path / "t.parquet", metadata={"until": "2024"})
    with pytest.raises(Exception, match="Could not convert"):
        write_frame(pd.DataFrame({"x": pd.Series([object()], dtype=object)}), path)
    assert list(read_frame(path)["x"]) == [1]
    assert read_metadata(path) == {"until": "2024"}
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_json_is_strict(tmp_path: Path):
    write_json({"nan": float("nan"), "n": np.int64(3), "inf": np.float32("inf"), "list": (1, 2)}, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"nan": None, "n": 3, "inf": None, "list": [1, 2]}
    assert "NaN" not in text


def test_ids_round_trip_and_unknown_ids_are_named():
    ids = IdMap.of(["b", "a", "b"])
    assert list(ids.codes(["b", "a"])) == [1, 0]
    assert list(ids.decode(np.array([1, 0]))) == ["b", "a"]
    assert list(ids.codes_or_missing(["z"])) == [-1]
    with pytest.raises(TableError, match="item 'z' is unknown"):
        ids.codes(["a", "z"], what="item")


def jpeg(mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_pictures_are_counted_by_state(tmp_path: Path):
    root = tmp_path / "data"
    root.mkdir()
    (root / "ok.jpg").write_bytes(jpeg())
    (root / "cmyk.jpg").write_bytes(jpeg("CMYK"))
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("not a picture")
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    cells = ["ok.jpg", "cmyk.jpg", jpeg(), "empty.jpg", "text.jpg", "gone.jpg", "../secret.jpg", None, ""]
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(len(cells))], "title": "t",
                          "image": pd.Series(cells, dtype=object)})
    report = Dataset.of(items, root=root).image_report()
    assert (report.ok, report.unreadable, report.missing, report.outside, report.absent) == (3, 2, 1, 1, 2)
    assert report.examples == {"unreadable": "i3", "missing": "i5", "outside": "i6"}
