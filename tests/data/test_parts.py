"""Tables as folders of parts and of hive partitions."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from ltexpo.data import Dataset
from ltexpo.data.importers import import_source
from ltexpo.data.parquet import last_snapshot
from ltexpo.data.tables import parquet_columns, read_frame
from ltexpo.errors import ColumnError, TableError

ITEMS = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"]})
EVENTS = pd.DataFrame({
    "user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"], "event": ["click", "click", "purchase"],
    "timestamp": pd.to_datetime(["2024-05-01T08:00Z", "2024-05-02T09:00Z", "2024-05-02T10:00Z"]),
})


def write(frame: pd.DataFrame, *parts: str) -> None:
    path = Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)


def test_events_by_date_and_a_catalogue_by_date(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(EVENTS[:1], str(tmp_path), "events", "date=2024-05-01", "part-0.parquet")
    write(EVENTS[1:2], str(tmp_path), "events", "date=2024-05-02", "part-0.parquet")
    write(EVENTS[2:], str(tmp_path), "events", "date=2024-05-02", "part-1.parquet")
    write(ITEMS[:1], str(tmp_path), "items.parquet", "date=2024-05-01", "part-0.parquet")
    write(ITEMS, str(tmp_path), "items.parquet", "date=2024-05-02", "part-0.parquet")
    # what a writer has not finished, and its marks
    write(EVENTS, str(tmp_path), "events", "_temporary", "part-0.parquet")
    (tmp_path / "events" / "_SUCCESS").touch()
    with caplog.at_level(logging.INFO, "ltexpo"):
        dataset = Dataset.load(tmp_path)
    assert dataset.items.to_dict("list") == ITEMS.to_dict("list")  # no column 'date': it is no attribute of a product
    assert "the last of 2 days is taken, date=2024-05-02" in caplog.text
    assert dataset.events is not None
    assert dataset.events["item_id"].to_list() == ["a", "b", "a"]
    assert dataset.events["date"].astype(str).to_list() == ["2024-05-01", "2024-05-02", "2024-05-02"]
    assert dataset.events["timestamp"].to_list() == EVENTS["timestamp"].to_list()


def test_partitions_by_something_else_are_an_attribute(tmp_path: Path):
    write(ITEMS[:1], str(tmp_path), "items", "season=summer", "part-0.parquet")
    write(ITEMS[1:], str(tmp_path), "items", "season=winter", "part-0.parquet")
    assert last_snapshot(tmp_path / "items") == tmp_path / "items"
    assert Dataset.load(tmp_path).items["season"].to_list() == ["summer", "winter"]
    write(ITEMS, str(tmp_path), "items.parquet")
    with pytest.raises(TableError, match=r"holds both items\.parquet and items/"):
        Dataset.load(tmp_path)


def test_a_schema_that_changed_overnight(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(EVENTS, str(tmp_path), "log", "date=2024-05-02", "part-0.parquet")
    more = EVENTS.assign(query="shoes", price=[1, 2, 3])
    write(more, str(tmp_path), "log", "date=2024-05-03", "part-0.parquet")
    write(more.assign(price=[1.5, 2.5, 3.5]), str(tmp_path), "log", "date=2024-05-04", "part-0.parquet")
    frame = read_frame(tmp_path / "log")
    assert "'query' is in 2 of 3 parts only; it is missing in the rows of the others" in caplog.text
    assert frame["query"].isna().to_list() == [True] * 3 + [False] * 6
    assert frame["price"].to_list()[3:] == [1, 2, 3, 1.5, 2.5, 3.5]
    assert list(frame.columns) == parquet_columns(tmp_path / "log")
    assert read_frame(tmp_path / "log", columns=["price"]).columns.to_list() == ["price"]
    write(EVENTS.drop(columns="item_id"), str(tmp_path), "events", "date=2024-05-02", "part-0.parquet")
    write(EVENTS, str(tmp_path), "events", "date=2024-05-03", "part-0.parquet")
    write(ITEMS, str(tmp_path), "items.parquet")
    with pytest.raises(ColumnError, match=r"date=2024-05-02/part-0\.parquet: lacks 'item_id', which 1 of the 2 parts"):
        Dataset.load(tmp_path)
    write(EVENTS.assign(item_id=[1, 2, 3]), str(tmp_path), "events", "date=2024-05-02", "part-0.parquet")
    with pytest.raises(TableError, match="its parts differ in type"):
        Dataset.load(tmp_path)
    (tmp_path / "events" / "date=2024-05-02" / "part-0.parquet").write_bytes(b"PAR1half")
    with pytest.raises(TableError, match=r"date=2024-05-02/part-0\.parquet: is not readable Parquet"):
        Dataset.load(tmp_path)


def test_a_part_without_a_required_column_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(ITEMS[:1].assign(brand="b"), str(tmp_path), "items", "part-0.parquet")
    write(ITEMS[1:], str(tmp_path), "items", "part-1.parquet")
    assert Dataset.load(tmp_path).items["brand"].isna().to_list() == [False, True]  # an optional one may be absent
    assert "'brand' is in 1 of 2 parts only" in caplog.text
    write(ITEMS[1:].drop(columns="title"), str(tmp_path), "items", "part-1.parquet")
    with pytest.raises(ColumnError, match=r"items/part-1\.parquet: lacks 'title', which 1 of the 2 parts hold"):
        Dataset.load(tmp_path)


def test_a_required_column_may_be_the_name_of_the_folders(tmp_path: Path):
    write(ITEMS, str(tmp_path), "items.parquet")
    for kind, part in EVENTS.groupby("event"):
        write(part.drop(columns="event"), str(tmp_path), "events", f"event={kind}", "part-0.parquet")
    events = Dataset.load(tmp_path).events
    assert events is not None and events["event"].to_list() == ["click", "click", "purchase"]


def test_a_source_whose_part_lacks_a_required_column_is_refused(tmp_path: Path):
    source = ITEMS.rename(columns={"title": "name"})
    write(source[:1], str(tmp_path), "in", "products", "part-0.parquet")
    write(source[1:].drop(columns="name"), str(tmp_path), "in", "products", "part-1.parquet")
    (tmp_path / "in" / "columns.yaml").write_text("items: {path: products, columns: {title: name}}\n")
    with pytest.raises(ColumnError, match=r"part-1\.parquet: lacks 'name'"):
        import_source("generic", tmp_path / "in", tmp_path / "out")


def test_a_source_may_hold_partitions(tmp_path: Path):
    write(ITEMS.rename(columns={"item_id": "sku"}), str(tmp_path), "in", "products", "dt=2024-05-02", "a.parquet")
    write(EVENTS[:1], str(tmp_path), "in", "log", "dt=2024-05-01", "a.parquet")
    write(EVENTS[1:], str(tmp_path), "in", "log", "dt=2024-05-02", "a.parquet")
    (tmp_path / "in" / "columns.yaml").write_text(
        "items: {path: products, columns: {item_id: sku}}\nevents: {path: log}\n"
    )
    import_source("generic", tmp_path / "in", tmp_path / "out")
    dataset = Dataset.load(tmp_path / "out")
    assert dataset.items["item_id"].to_list() == ["a", "b"]
    assert dataset.events is not None and len(dataset.events) == 3
