"""ltexpo export: from a rerank's folder to files that say how they are loaded; what it refuses; old output stays."""

import errno
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.cli import main
from ltexpo.data import Dataset
from ltexpo.data.files import read_json, write_json
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.errors import GuardrailError
from ltexpo.exports.bulk import load_command
from ltexpo.exports.lookups import WRITERS
from ltexpo.jobs.exporting import ExportJob, run_export
from ltexpo.jobs.reranking import RerankJob, run_rerank


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(words.split())
    told = capsys.readouterr()
    return int(left.value.code or 0), told.err if left.value.code else told.out


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, candidates.parquet and rankings/ of a small job whose tail is boosted."""
    room = tmp_path_factory.mktemp("room")
    rng = np.random.default_rng(3)
    items = pd.DataFrame({"item_id": [f"sku-{at}" for at in range(40)], "title": "a thing"})
    day = pd.date_range("2024-01-01", periods=300, freq="min", tz="UTC")
    events = pd.DataFrame({
        "user_id": [f"u{at % 20}" for at in range(300)], "item_id": [f"sku-{at}" for at in rng.zipf(1.6, 300) % 40],
        "event": "click", "timestamp": day,
    })
    Dataset.of(items, events).save(room / "data")
    rows = [(f"q{request:02d}", f"u{request // 2}", f"sku-{item}", rng.uniform(0.1, 0.5))
            for request in range(20) for item in rng.choice(40, 15, replace=False)]
    write_frame(pd.DataFrame(rows, columns=["request_id", "user_id", "item_id", "score"]), room / "candidates.parquet")
    run_rerank(RerankJob.model_validate({
        "data": room / "data", "candidates": room / "candidates.parquet", "out": room / "rankings", "k": 5,
        "goals": [{"group": "tail", "min_share": 0.7}],
    }))
    return room


def test_every_format_and_how_to_load_it(ranked: Path, tmp_path: Path):
    result = run_export(ExportJob.model_validate({
        "data": ranked / "data", "rankings": ranked / "rankings", "out": tmp_path / "out", "index": "shop",
        "formats": ["function_score", "rank_feature", "redis", "csv", "parquet", "jsonl"],
    }))
    told = read_json(tmp_path / "out" / "export.json")
    assert told["requests"] == 20 and told["k"] == 5 and told["key"] == "request"
    assert [file["path"] for file in told["files"]] == [
        "function_score/boosts-*.ndjson", "function_score/query.json", "rank_feature/boosts-*.ndjson",
        "rank_feature/query.json", "rank_feature/query_saturation.json", "lists.resp", "lists.csv", "lists.parquet",
        "lists.jsonl",
    ]
    assert [file["rows"] for file in told["files"]] == [40, 1, 40, 1, 1, 20, 100, 20, 20]
    load = {file["path"]: file["load"] for file in told["files"]}
    assert load["lists.resp"] == "redis-cli --pipe < lists.resp" and load["lists.csv"] is None
    assert '"$SEARCH_URL/shop/_bulk' in load["function_score/boosts-*.ndjson"]
    assert any("list by list: min_score_ratio" in note for note in told["notes"])
    page = str(result)
    assert "lists.resp" in page and "export.json says how to load each." in page
    assert len(result.to_pandas()) == 9
    # every file is told, and nothing else lies there
    out = tmp_path / "out"
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written == {
        ".ltexpo", "export.json", "function_score/boosts-00000.ndjson", "function_score/mapping.json",
        "function_score/query.json", "rank_feature/boosts-00000.ndjson", "rank_feature/mapping.json",
        "rank_feature/query.json", "rank_feature/query_saturation.json", "lists.resp", "lists.csv", "lists.parquet",
        "lists.jsonl",
    }
    lists = read_frame(ranked / "rankings" / "rankings.parquet").groupby("request_id")["item_id"].apply(list).to_dict()
    lines = [json.loads(line) for line in (tmp_path / "out" / "lists.jsonl").read_text().splitlines()]
    assert {line["request_id"]: line["items"] for line in lines} == lists


def test_the_same_job_writes_the_same_bytes(ranked: Path, tmp_path: Path):
    for name in ("one", "other"):
        run_export(ExportJob(
            data=ranked / "data", rankings=ranked / "rankings", out=tmp_path / name,
            formats=("function_score", "redis", "csv", "parquet", "jsonl"), details=True, ttl=60,
        ))
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "one")).read_bytes(), path


def test_a_catalogue_in_parts_is_exported_alike(ranked: Path, tmp_path: Path):
    data = tmp_path / "data"
    items = read_frame(ranked / "data" / "items.parquet")
    for at in range(3):
        write_frame(items[at::3], data / "items" / f"part-{at}.parquet")
    formats = ("function_score", "rank_feature", "redis", "csv", "parquet", "jsonl")
    for name, folder in (("one", ranked / "data"), ("parts", data)):
        run_export(ExportJob(data=folder, rankings=ranked / "rankings", out=tmp_path / name, formats=formats))
    for path in (tmp_path / "one").glob("lists.*"):
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes(), path
    for name in ("function_score", "rank_feature"):
        one, parts = (sorted((tmp_path / out / name / "boosts-00000.ndjson").read_text().splitlines()) for out in
                      ("one", "parts"))
        assert one == parts


@pytest.mark.parametrize("name", ["redis", "csv", "parquet"])
def test_a_disk_that_is_full_is_no_bad_input(
    ranked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file, made = WRITERS[name]
    monkeypatch.setitem(WRITERS, name, (file, type("Full", (made,), {"write": full})))
    code, err = run(f"export --data {ranked}/data --rankings {ranked}/rankings --format {name} --out {tmp_path}/out",
                    capsys)
    assert code == 1 and "No space left on device" in err and "Free some space" in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


FAKE_CURL = """#!/bin/sh
# notes what is sent, and answers for the part as the file `answers` says: 'PART|STATUS|ANSWER'
for word; do last=$word; done
echo "$last" >> sent
while IFS='|' read -r part status answer; do
    case "$last" in *"$part") printf '%s' "$answer"; exit "$status";; esac
done < answers
printf '{"errors":false}'
"""
PARTS = ["@f/mapping.json", "@f/boosts-00000.ndjson", "@f/boosts-00001.ndjson", "@f/boosts-00002.ndjson"]
REFUSED = '{"errors" : true,"items":[{"update":{"error":{"reason":"\\n"}}}]}'


@pytest.mark.parametrize(("answers", "sent", "code"), [
    ([], 4, 0),
    (["boosts-00002.ndjson|0|{\"errors\" : false}"], 4, 0),
    (["boosts-00000.ndjson|0|" + REFUSED], 4, 1),  # the others are loaded all the same
    (["boosts-00001.ndjson|0|<html>a proxy says yes</html>"], 4, 1),
    (["boosts-00001.ndjson|22|"], 3, 1),
    (["boosts-00002.ndjson|22|"], 4, 1),
    (["mapping.json|22|"], 1, 22),
])
def test_the_load_command_fails_where_a_load_fails(tmp_path: Path, answers: list[str], sent: int, code: int):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "curl").write_text(FAKE_CURL)
    (tmp_path / "bin" / "curl").chmod(0o755)
    (tmp_path / "f").mkdir()
    for part in PARTS:
        (tmp_path / part[1:]).write_text("{}")
    (tmp_path / "answers").write_text("".join(f"{line}\n" for line in answers))
    ran = subprocess.run(
        ["/bin/sh", "-c", load_command("f", "shop", "mapping.json")], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "SEARCH_URL": "http://nowhere"},
    )
    assert ran.returncode == code, ran.stderr
    assert (tmp_path / "sent").read_text().splitlines() == PARTS[:sent]
    if any(REFUSED in line for line in answers):
        assert REFUSED in ran.stdout  # a person sees what was refused


def test_the_verb_prints_its_result(ranked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, out = run(f"export --data {ranked}/data --rankings {ranked}/rankings --format redis --format csv "
                    f"--out {tmp_path}/out", capsys)
    assert code == 0
    assert "lists.resp" in out and "SET 'ltexpo:' + request_id → JSON array" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".ltexpo", "export.json", "lists.csv", "lists.resp"
    ]


@pytest.mark.parametrize(("words", "said"), [
    ("--format elastic", "unknown format 'elastic'. Did you mean 'function_score'"),
    ("--key session", "'key' is 'session': expected 'request' or 'user'"),
    ("--key user", "10 of 20 lists are of a user_id that has another list before"),
])
def test_bad_words_leave_the_old_output(
    ranked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
):
    call = f"export --data {ranked}/data --rankings {ranked}/rankings --out {tmp_path}/out"
    assert run(call, capsys)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    code, err = run(f"{call} {words}", capsys)
    assert code == 2 and said in err and err.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_another_verb_is_refused(ranked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, err = run(f"export --data {ranked}/data --rankings {ranked}/data --out {tmp_path}/out", capsys)
    assert code == 2 and "holds no certificate.json, so 'ltexpo rerank' did not write it" in err


def test_lists_that_break_a_guardrail_are_not_exported(ranked: Path, tmp_path: Path):
    for name in ("rankings.parquet", "boosts.parquet"):
        write_frame(read_frame(ranked / "rankings" / name), tmp_path / "rankings" / name)
    certificate = read_json(ranked / "rankings" / "certificate.json")
    rail = {"kind": "max_click_loss", "value": 0.01, "achieved": 0.05, "kept": False}
    write_json({**certificate, "guardrails": [rail]}, tmp_path / "rankings" / "certificate.json")
    job = ExportJob(data=ranked / "data", rankings=tmp_path / "rankings", out=tmp_path / "out")
    with pytest.raises(GuardrailError, match=r"max_click_loss is not kept \(0.01 is allowed, these lists have 0.05\)"):
        run_export(job)
    assert not (tmp_path / "out").exists()
