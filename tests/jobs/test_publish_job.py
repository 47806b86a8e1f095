"""Published lists: what a reader finds, in which order it gets there, and what stays."""

import json
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import ConfigError, TableError
from ltexpo.jobs.pipeline import Pipeline, run_pipeline
from ltexpo.jobs.publishing import PublishJob, run_publish


@pytest.fixture
def rankings(tmp_path: Path) -> Path:
    for name in ("rankings", "prices", "boosts"):
        write_frame(pd.DataFrame({"item_id": [name, "b"]}), tmp_path / "rankings" / f"{name}.parquet")
    return tmp_path / "rankings"


def publish(rankings: Path, to: str, **further: object) -> dict:
    return run_publish(PublishJob.model_validate(
        {"rankings": rankings, "to": to, "date": "2024-05-02", "out": rankings.parent / "published.json", **further}
    ))


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_reader_finds_the_last_day_and_all_days(rankings: Path, tmp_path: Path, kind: str):
    system = fsspec.filesystem("memory")
    system.store.clear()
    to = str(tmp_path / "to") if kind == "folder" else "memory://lists"
    read = (lambda path: (tmp_path / "to" / path).read_bytes()) if kind == "folder" else (
        lambda path: system.cat_file(f"/lists/{path}"))
    first = publish(rankings, to)
    assert first["tables"]["rankings"]["path"].startswith("rankings/date=2024-05-02/part-")
    assert json.loads(read("latest.json")) == {key: first[key] for key in ("date", "tables", "files")}
    # an earlier day does not become the last one
    publish(rankings, to, date="2024-05-01")
    assert json.loads(read("latest.json"))["date"] == "2024-05-02"
    assert json.loads(read("days/2024-05-01.json"))["date"] == "2024-05-01"
    # the same day with other lists: the old part goes, that of the day before stays
    write_frame(pd.DataFrame({"item_id": ["c"]}), rankings / "rankings.parquet")
    second = publish(rankings, to)
    assert read(second["tables"]["rankings"]["path"]) == (rankings / "rankings.parquet").read_bytes()
    with pytest.raises(FileNotFoundError):
        read(first["tables"]["rankings"]["path"])
    if kind == "folder":
        assert read_frame(tmp_path / "to" / "rankings")["date"].value_counts().to_dict() == {
            "2024-05-01": 2, "2024-05-02": 1,
        }


def test_a_table_in_parts_is_published_part_by_part(rankings: Path, tmp_path: Path):
    first = publish(rankings, str(tmp_path / "to"))
    whole = read_frame(rankings / "rankings.parquet")
    (rankings / "rankings.parquet").unlink()
    for part in (0, 1):
        write_frame(whole[part:part + 1], rankings / "rankings.parquet" / f"part-{part:05}.parquet")
    (rankings / "rankings.parquet" / "_SUCCESS").touch()
    told = publish(rankings, str(tmp_path / "to"))["tables"]["rankings"]
    assert told["rows"] == 2 and [part["rows"] for part in told["parts"]] == [1, 1]
    assert sum(part["bytes"] for part in told["parts"]) == told["bytes"]
    assert read_frame(tmp_path / "to" / "rankings").drop(columns="date").equals(whole)
    assert not (tmp_path / "to" / first["tables"]["rankings"]["path"]).exists()


def test_a_broken_latest_is_replaced_and_an_older_day_leaves_it(
    rankings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    latest = tmp_path / "to" / "latest.json"
    publish(rankings, str(tmp_path / "to"))
    whole = latest.read_text()
    for broken in ("{bad", "[]", '"text"', "{}"):
        latest.write_text(broken)
        caplog.clear()
        publish(rankings, str(tmp_path / "to"))
        assert latest.read_text() == whole and "is replaced" in caplog.text
    latest.write_text(whole.replace("2024-05-02", "2031-01-01"))
    publish(rankings, str(tmp_path / "to"))
    assert "stays at 2031-01-01: 2024-05-02 lies before it" in caplog.text and "2031" in latest.read_text()


def test_exports_lie_beside_and_are_named(rankings: Path, tmp_path: Path):
    (tmp_path / "export" / "es").mkdir(parents=True)
    (tmp_path / "export" / "es" / "boosts.ndjson").write_text("{}\n")
    told = publish(rankings, str(tmp_path / "to"), export=tmp_path / "export")
    path, = told["files"]
    assert path.startswith("export/date=2024-05-02/") and path.endswith("/es/boosts.ndjson")
    assert (tmp_path / "to" / path).read_text() == "{}\n"


def test_a_reader_never_sees_a_file_before_it_is_whole(rankings: Path, tmp_path: Path, monkeypatch):
    """At every step of a publication, whatever latest.json names lies there."""
    from ltexpo.data import stores

    to = tmp_path / "to"
    publish(rankings, str(to))
    seen = []

    def looking(what):
        def look(self, *given):
            latest = json.loads((to / "latest.json").read_text())
            seen.append(all((to / table["path"]).stat().st_size == table["bytes"]
                            for table in latest["tables"].values()))
            return what(self, *given)
        return look

    for name in ("put", "write", "remove"):
        monkeypatch.setattr(stores.Store, name, looking(getattr(stores.Store, name)))
    for name in ("rankings", "prices", "boosts"):
        write_frame(pd.DataFrame({"item_id": ["other", name, "third"]}), rankings / f"{name}.parquet")
    publish(rankings, str(to))
    assert len(seen) == 3 + 2 + 3 and all(seen)


def test_what_cannot_be_published_is_refused(rankings: Path, tmp_path: Path):
    with pytest.raises(TableError, match="'tables'"):
        publish(rankings, str(tmp_path / "to"), tables=("nothing",))
    with pytest.raises(ConfigError, match="needs 'date'"):
        run_pipeline(Pipeline.model_validate({"out": tmp_path / "run", "publish": {"to": str(tmp_path / "to")}}))


def test_a_run_reads_its_data_from_a_store(tmp_path: Path):
    system = fsspec.filesystem("memory")
    system.store.clear()
    items = pd.DataFrame({"item_id": list("abcd"), "title": list("ABCD")})
    events = pd.DataFrame({
        "user_id": ["u", "v", "u"], "item_id": ["a", "a", "b"], "event": "click",
        "timestamp": pd.to_datetime(["2024-05-01T08:00Z", "2024-05-01T09:00Z", "2024-05-01T10:00Z"]),
    })
    lists = pd.DataFrame({"request_id": ["r"] * 4, "item_id": list("abcd"), "score": [0.4, 0.3, 0.2, 0.1]})
    for name, frame in (("shop/items.parquet", items), ("shop/events/date=2024-05-01/p.parquet", events),
                        ("lists/part-0.parquet", lists)):
        system.pipe_file(f"/{name}", frame.to_parquet())
    settings = {
        "out": str(tmp_path / "run"), "data": "memory://shop", "day": "2024-05-02",
        "rerank": {"candidates": "memory://lists", "k": 2, "goals": []},
    }
    done = run_pipeline(Pipeline.model_validate(settings))
    assert list(done.done) == ["rerank"]
    assert read_frame(tmp_path / "run" / "rankings" / "rankings.parquet")["item_id"].to_list() == ["a", "b"]
    assert run_pipeline(Pipeline.model_validate(settings)).done == {}
    system.pipe_file("/lists/part-0.parquet", lists.assign(score=[0.1, 0.2, 0.3, 0.4]).to_parquet())
    assert run_pipeline(Pipeline.model_validate(settings)).done["rerank"].endswith("lists changed")
