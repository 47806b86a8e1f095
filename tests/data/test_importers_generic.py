"""The generic importer: one small shop in every file format, and every way a column map can be wrong."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ltexpo.data import Dataset
from ltexpo.data.importers import import_source
from ltexpo.errors import ColumnError, ConfigError, TableError

PRODUCTS = pd.DataFrame({
    "sku": ["007", "8"], "name": ["Lamp", "Chair"], "maker": ["Lux", None], "cost": ["9.5", ""],
    "colour": ["red", "blue"], "size": ["2", None], "image": ["lamp.png", None],
})
LOG = pd.DataFrame({
    "customer": ["u1", "u1", "u2", "u2"], "sku": ["007", "8", "007", "007"],
    "action": ["view", "buy", "login", "buy"], "ts": [1704067200, 1704067260, 1704067300, 1704153600],
    "slot": [1, 2, 1, 3],
})
MAP = {
    "items": {
        "path": "products.csv", "columns": {"item_id": "sku", "title": "name", "brand": "maker", "price": "cost"},
        "attributes": ["colour", "size"], "numbers": ["size"],
    },
    "events": {
        "path": "log.csv",
        "columns": {"user_id": "customer", "item_id": "sku", "event": "action", "timestamp": "ts", "rank": "slot"},
        "kinds": {"view": "impression", "buy": "purchase", "login": None}, "time_unit": "s",
    },
    "users": {"path": "people.tsv", "columns": {"user_id": "id"}, "attributes": "all"},
    "images": "pictures",
}


def changed(table: str, **settings: object) -> dict:
    return MAP | {table: {**MAP[table], **settings}}


def write_shop(folder: Path, column_map: dict, *, products: pd.DataFrame = PRODUCTS, log: pd.DataFrame = LOG) -> Path:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "pictures" / "lamp.png").write_bytes(b"picture")
    for frame, path in ((products, column_map["items"]["path"]), (log, column_map["events"]["path"])):
        write_table(frame, folder / path)
    (folder / "people.tsv").write_text("id\tcity\tsegment\nu1\tRome\tloyal\nu2\tParis, Texas\t\n")
    (folder / "columns.yaml").write_text(yaml.safe_dump(column_map))
    return folder


def write_table(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
        return
    if ".jsonl" in path.name:
        text = "".join(
            json.dumps({name: value for name, value in row.items() if not pd.isna(value)}) + "\n"
            for row in frame.to_dict("records")
        )
    else:
        text = frame.to_csv(index=False)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "jsonl", "jsonl.gz"])
def test_every_format_gives_the_same_dataset(suffix: str, tmp_path: Path):
    column_map = changed("items", path=f"products.{suffix}") | {"events": {**MAP["events"], "path": f"log.{suffix}"}}
    products = PRODUCTS.assign(cost=["9.5", None]) if suffix == "parquet" else PRODUCTS
    if suffix.startswith("jsonl"):
        products = PRODUCTS.assign(cost=[9.5, None])
    out = import_source("generic", write_shop(tmp_path / "in", column_map, products=products), tmp_path / "out")
    dataset = Dataset.load(out)
    columns = ["item_id", "title", "brand", "price", "colour", "size", "image"]
    items = dataset.items[columns].astype(object).where(dataset.items[columns].notna(), None)
    assert items.to_numpy().tolist() == [
        ["007", "Lamp", "Lux", 9.5, "red", 2.0, "images/lamp.png"], ["8", "Chair", None, None, "blue", None, None],
    ]
    events = dataset.events.assign(timestamp=dataset.events["timestamp"].map(pd.Timestamp.isoformat))
    assert events[["user_id", "item_id", "event", "timestamp", "rank"]].to_numpy().tolist() == [
        ["u1", "007", "impression", "2024-01-01T00:00:00+00:00", 1],
        ["u1", "8", "purchase", "2024-01-01T00:01:00+00:00", 2],
        ["u2", "007", "purchase", "2024-01-02T00:00:00+00:00", 3],
    ]
    assert dataset.users["user_id"].tolist() == ["u1", "u2"]
    assert dataset.users["city"].tolist() == ["Rome", "Paris, Texas"]
    assert dataset.users["segment"][0] == "loyal" and pd.isna(dataset.users["segment"][1])
    assert json.loads((out / "dataset.json").read_text())["left_out"] == {"events: kind 'login'": 1}


def test_number_ids_meet_string_ids(tmp_path: Path):
    # The catalogue counts in integers, the log writes the same ids as strings.
    products = PRODUCTS.assign(sku=[7, 8], cost=[9.5, None])
    log = LOG.assign(sku=["7", "8", "7", "9"])
    column_map = changed("items", path="products.parquet")
    folder = write_shop(tmp_path / "in", column_map, products=products, log=log)
    out = import_source("generic", folder, tmp_path / "out")
    dataset = Dataset.load(out)
    assert dataset.items["item_id"].tolist() == ["7", "8"]
    assert dataset.events["item_id"].tolist() == ["7", "8"]
    left_out = json.loads((out / "dataset.json").read_text())["left_out"]
    assert left_out == {"events: kind 'login'": 1, "events: item not in the catalogue": 1}


def test_a_table_in_the_contracts_words_needs_no_columns(tmp_path: Path):
    (tmp_path / "items.csv").write_text("item_id,title,price,note\na,A,1.5,x\n")
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp,rank\nu,a,2024-01-01T00:00:00Z,first\n")
    column_map = {
        "items": {"path": "items.csv", "attributes": "all"},
        "events": {"path": "log.csv", "kind": "click", "columns": {"rank": None}},
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(column_map))
    out = import_source("generic", tmp_path, tmp_path / "out", map_file=tmp_path / "m.yaml")
    dataset = Dataset.load(out)
    assert dataset.items.to_dict("records") == [{"item_id": "a", "title": "A", "price": 1.5, "note": "x"}]
    assert list(dataset.events.columns) == ["user_id", "item_id", "timestamp", "event"]
    assert dataset.events["event"].tolist() == ["click"]


def test_nested_attributes_become_json_text(tmp_path: Path):
    lines = [{"item_id": "a", "title": "A", "tags": ["x", "y"]}, {"item_id": "b", "title": "B", "more": 1}]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "columns.yaml").write_text("items: {path: items.jsonl, attributes: all}")
    items = Dataset.load(import_source("generic", tmp_path, tmp_path / "out")).items
    assert items["tags"][0] == '["x", "y"]' and pd.isna(items["tags"][1])
    assert items["more"][1] == 1


@pytest.mark.parametrize(
    ("column_map", "error", "message"),
    [
        ({}, ConfigError, "'items' is missing"),
        (MAP | {"item": {}}, ConfigError, "unknown setting 'item'"),
        (changed("items", columns={"item_id": "sku", "titel": "name"}), ConfigError, "names 'titel'.*Known: item_id"),
        (changed("items", columns={"item_id": "sku", "title": "label"}), ColumnError, "no column 'label'.*found sku"),
        (changed("items", columns={"item_id": "sku"}), ColumnError, "items need 'title'; found sku, name"),
        (changed("items", attributes=["weight"]), ColumnError, "has no column 'weight'"),
        (changed("items", attributes=["image"]), ConfigError, "'image', a contract column"),
        (changed("items", numbers=["colour"]), ColumnError, "'colour' row 0 is 'red', not a number"),
        (changed("items", path="absent.csv"), TableError, "no such file. Check items.path"),
        (changed("items", path="products.xlsx"), ConfigError, "ends in none of .csv"),
        (changed("items", columns={"item_id": "sku", "title": "name", "price": "maker"}), ColumnError,
         "'maker' row 0 is 'Lux', not a number"),
        (changed("events", kinds={"view": "impression"}), ColumnError, "event 'buy' is not in events.kinds .3 such"),
        (changed("events", kinds={"view": "seen"}), ConfigError, "'events.kinds.view' is 'seen'"),
        (changed("events", time_unit="ms", columns={**MAP["events"]["columns"], "timestamp": "action"}), ColumnError,
         "'action' row 0 is 'view', not a number"),
        (changed("events", time_unit="hours"), ConfigError, "'events.time_unit' is 'hours'"),
        (changed("events", columns={"user_id": "customer", "item_id": "sku", "timestamp": "ts"}), ColumnError,
         "events need 'event'.*or give events.kind"),
    ],
)
def test_wrong_maps_are_refused(column_map: dict, error: type[Exception], message: str, tmp_path: Path):
    folder = write_shop(tmp_path / "in", MAP)
    (folder / "columns.yaml").write_text(yaml.safe_dump(column_map))
    (folder / "products.xlsx").write_bytes(b"x")
    with pytest.raises(error, match=message):
        import_source("generic", folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_time_unit_is_noticed(tmp_path: Path):
    folder = write_shop(tmp_path / "in", MAP, log=LOG.assign(ts=LOG["ts"] * 1000))
    with pytest.raises(ColumnError, match="not a time in 's' since 1970"):
        import_source("generic", folder, tmp_path / "out")


def test_no_map_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such column map"):
        import_source("generic", tmp_path, tmp_path / "out", map_file=tmp_path / "none.yaml")


def test_on_real_reviews(shared_data: Path, tmp_path: Path):
    source = shared_data / "womens_clothing_reviews"
    file = next(source.glob("*.csv"))
    column_map = {
        "items": {"path": file.name, "columns": {"item_id": "Clothing ID", "title": "Class Name",
                                                 "category": "Department Name"}},
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(column_map))
    out = import_source("generic", source, tmp_path / "out", map_file=tmp_path / "m.yaml")
    noted = json.loads((out / "dataset.json").read_text())
    assert noted["items"] + noted["left_out"]["items: repeated item_id, first row kept"] == 23_486
