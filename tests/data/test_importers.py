"""What all importers share: how unusable rows are counted, pictures placed, wrong folders and files refused."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ltexpo.data import Dataset
from ltexpo.data.importers import IMPORTERS, import_source
from ltexpo.data.importers.base import Imported, leave_out_unusable, save_imported
from ltexpo.data.importers.convert import as_ids, as_numbers, as_price, as_times
from ltexpo.data.importers.files import json_lines, read_columns, text_lines
from ltexpo.errors import ColumnError, ConfigError, ImportFormatError, TableError

ITEMS = pd.DataFrame({"item_id": ["a", "b", "a", None], "title": ["A", "B", "again", "none"]})
EVENTS = pd.DataFrame({
    "user_id": ["u", "u", "v", None, "w"],
    "item_id": ["a", "x", "b", "a", "a"],
    "event": ["click"] * 5,
    "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", None], utc=True),
})


def facts(out: Path) -> dict:
    return json.loads((out / "dataset.json").read_text())


def test_unusable_rows_are_left_out_and_counted():
    users = pd.DataFrame({"user_id": ["u", "u", "v"], "age": [1, 2, 3]})
    kept = leave_out_unusable(Imported(ITEMS, EVENTS, users, left_out={"events: no user_id": 10}))
    assert kept.items["title"].tolist() == ["A", "B"]
    assert kept.events[["user_id", "item_id"]].to_numpy().tolist() == [["u", "a"], ["v", "b"]]
    assert kept.users["age"].tolist() == [1, 3]
    assert kept.left_out == {
        "events: no user_id": 11, "items: no item_id": 1, "items: repeated item_id, first row kept": 1,
        "events: no timestamp": 1, "events: item not in the catalogue": 1,
        "users: repeated user_id, first row kept": 1,
    }


def test_every_row_is_either_kept_or_counted():
    kept = leave_out_unusable(Imported(ITEMS, EVENTS))
    left = kept.left_out
    assert len(ITEMS) == len(kept.items) + sum(n for why, n in left.items() if why.startswith("items"))
    assert len(EVENTS) == len(kept.events) + sum(n for why, n in left.items() if why.startswith("events"))


def test_nothing_left_is_refused():
    with pytest.raises(ImportFormatError, match="no item is left"):
        leave_out_unusable(Imported(ITEMS.iloc[3:]))
    with pytest.raises(ImportFormatError, match=r"no event is left.*not in the catalogue: 1"):
        leave_out_unusable(Imported(ITEMS, EVENTS.iloc[1:2]))


def test_pictures_come_along_and_bad_ones_are_counted(tmp_path: Path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    Image.new("RGB", (2, 2), "red").save(source / "deep" / "a.png")
    Image.new("RGB", (2, 2), "red").save(tmp_path / "secret.png")
    items = pd.DataFrame({
        "item_id": list("abcd"), "title": list("ABCD"),
        "image": ["deep/a.png", "../secret.png", "deep/none.png", None],
    })
    out = save_imported(Imported(items, image_root=source), source, tmp_path / "out", source="test")
    assert (out / "images" / "deep" / "a.png").read_bytes() == (source / "deep" / "a.png").read_bytes()
    assert sorted(p.name for p in out.rglob("*.png")) == ["a.png"]
    noted = facts(out)
    assert noted["tolerated"] == {"items: picture missing": 1, "items: picture outside": 1}
    assert noted["missing"] == {"image": 3}
    report = Dataset.load(out).image_report()
    assert (report.ok, report.absent) == (1, 3)


def test_pictures_are_copied_where_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("ltexpo.data.importers.base.os.link", refuse)
    (tmp_path / "a.png").write_bytes(b"picture")
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "image": ["a.png", "a.png"]})
    out = save_imported(Imported(items, image_root=tmp_path), tmp_path / "source", tmp_path / "out", source="test")
    assert (out / "images" / "a.png").read_bytes() == b"picture"
    assert (tmp_path / "a.png").stat().st_nlink == 1


def test_extra_tables_and_remarks_are_written(tmp_path: Path):
    edges = pd.DataFrame({"source": ["a"], "relation": ["r"], "target": ["b"]})
    imported = Imported(ITEMS.iloc[:2], remarks={"x": "y"}, extra={"edges": edges})
    out = save_imported(imported, tmp_path / "source", tmp_path / "out", source="test")
    pd.testing.assert_frame_equal(pd.read_parquet(out / "edges.parquet"), edges, check_dtype=False)
    assert facts(out)["remarks"] == {"x": "y"}
    assert facts(out)["source"] == "test"


def test_a_refused_import_leaves_nothing(tmp_path: Path):
    bad = ITEMS.iloc[:2].assign(price=[1.0, -1.0])
    with pytest.raises(ColumnError, match="price"):
        save_imported(Imported(bad), tmp_path / "source", tmp_path / "out", source="test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", sorted(IMPORTERS))
def test_wrong_folders_are_refused(source: str, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises((ImportFormatError, ConfigError), match=r"nothing|no such column map"):
        import_source(source, empty, tmp_path / "out")
    with pytest.raises(ImportFormatError, match="no such folder"):
        import_source(source, tmp_path / "nowhere", tmp_path / "out")
    file = tmp_path / "file.csv"
    file.write_text("a\n1\n")
    with pytest.raises(ImportFormatError, match="is a file"):
        import_source(source, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_source_and_needless_map_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"'ebay' is unknown. Use one of hm, movielens"):
        import_source("ebay", tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="--map is for the source 'generic'"):
        import_source("hm", tmp_path, tmp_path / "out", map_file=tmp_path / "m.yaml")


def test_csv_keeps_texts_as_they_stand(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfid,name,more\n007,NA,x\n2,"two\nlines, one cell",\n')
    frame = read_columns(path, ["name", "id"], ["absent"])
    assert frame["id"].tolist() == ["007", "2"]
    assert frame["name"].tolist() == ["NA", "two\nlines, one cell"]
    zipped = tmp_path / "b.csv.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(read_columns(zipped, ["name", "id"]), frame)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", TableError, "is empty"),
        (b"id,name\n1,a\n2,b,c\n", TableError, "Row #3: Expected 2 columns, got 3"),
        (b"id,title\n1,a\n", ColumnError, "lacks 'name'; found id, title"),
        (b"id,id,name\n1,2,a\n", ColumnError, "two columns named 'id'"),
        (b"id,name\n" + b"1,a\n" * 5000 + b"1,\xff\xfe\n", TableError, "is not readable CSV .*invalid UTF8"),
        (b"\xff\xfeid,name\n", TableError, "Save it as UTF-8"),
    ],
)
def test_broken_csv_is_refused(content: bytes, error: type[Exception], message: str, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_columns(path, ["id", "name"])


def test_parquet_is_read_or_refused(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"id": [1], "x": [2]}).to_parquet(path)
    assert read_columns(path, ["id"]).to_dict("list") == {"id": [1]}
    with pytest.raises(ColumnError, match="lacks 'name'; found id, x"):
        read_columns(path, ["id", "name"])
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(TableError, match="not readable Parquet"):
        read_columns(path, ["id"])


@pytest.mark.parametrize(
    ("line", "message"), [("{'a': 1}", "line 3: is not JSON"), ("[1, 2]", "line 3: holds a list")]
)
def test_broken_json_line_is_named(line: str, message: str, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(ImportFormatError, match=message):
        list(json_lines(path))


def test_a_torn_gzip_is_refused(tmp_path: Path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[:-20])
    with pytest.raises(TableError, match="is not readable after line"):
        list(text_lines(path))


def test_ids_become_strings():
    assert as_ids(pd.Series([1, 20]), "x").tolist() == ["1", "20"]
    with_gap = as_ids(pd.Series([1.0, None]), "x")
    assert with_gap[0] == "1" and pd.isna(with_gap[1])
    assert as_ids(pd.Series(["007", "x"]), "x").tolist() == ["007", "x"]
    assert as_ids(pd.Series([7, "x"], dtype=object), "x").tolist() == ["7", "x"]
    assert as_ids(pd.Series([7, 8]).astype("category"), "x").tolist() == ["7", "8"]
    assert as_ids(pd.Series([2**60 + 1]), "x").tolist() == [str(2**60 + 1)]
    for wrong in ([1.5], [True], [2.0**60]):
        with pytest.raises(ColumnError, match=r"^x"):
            as_ids(pd.Series(wrong), "x")


def test_numbers_and_times_name_the_row_that_is_wrong():
    assert as_numbers(pd.Series(["1.5", None]), "x").tolist()[0] == 1.5
    with pytest.raises(ColumnError, match="x row 1 is 'abc', not a number"):
        as_numbers(pd.Series(["1", "abc"]), "x")
    with pytest.raises(ColumnError, match="x row 0 is 'yesterday', not an ISO 8601 time"):
        as_times(pd.Series(["yesterday"]), "x")
    with pytest.raises(ColumnError, match="not a time in 's' since 1970"):
        as_times(pd.Series([1_700_000_000_000]), "x", unit="s")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("1260759144", "s", "2009-12-14T02:52:24+00:00"),
        (1588687728923, "ms", "2020-05-05T14:08:48.923000+00:00"),
        ("2018-09-20", "iso", "2018-09-20T00:00:00+00:00"),
        ("2018-09-20T01:00:00+02:00", "iso", "2018-09-19T23:00:00+00:00"),
    ],
)
def test_times(value: object, unit: str, expected: str):
    assert as_times(pd.Series([value]), "x", unit=unit)[0].isoformat() == expected


@pytest.mark.parametrize(
    ("cell", "price", "mended"),
    [
        (12.99, 12.99, None), ("$12.99", 12.99, None), ("1,012.50", 1012.5, None), ("from 14.99", 14.99, None),
        ("$5.00 - $9.00", 5.0, "price range, lowest taken"), ("None", None, None), ("", None, None),
        (None, None, None), (".price-block {margin: 0}", None, "price not readable, left empty"),
        (float("nan"), None, "price not readable, left empty"), (-1, None, "price not readable, left empty"),
    ],
)
def test_prices(cell: object, price: float | None, mended: str | None):
    assert as_price(cell) == (price, mended)
