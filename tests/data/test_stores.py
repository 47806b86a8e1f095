"""Object stores, tried on fsspec's own in memory and on local files behind an address."""

import errno
import json
from pathlib import Path

import fsspec
import pytest

from ltexpo.data.stores import Store, fetch, is_address
from ltexpo.errors import ConfigError, LtexpoError, OutputError, StorageError, TableError


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return system


def test_what_is_an_address():
    assert is_address("s3://bucket/path") and is_address("memory://x") and is_address("file:///tmp/x")
    for text in ("runs/today", "C:/shop", "sqlite:///runs.db", "https://example.org", "A title: s3//x", Path("s3:/x")):
        assert not is_address(text)


def test_a_folder_is_fetched_once_and_then_what_changed(memory, tmp_path: Path):
    memory.pipe_file("/shop/items.parquet", b"items")
    memory.pipe_file("/shop/events/date=2024-05-01/a.parquet", b"first")
    copy = fetch("memory://shop", tmp_path)
    assert (copy / "items.parquet").read_bytes() == b"items"
    assert (copy / "events/date=2024-05-01/a.parquet").read_bytes() == b"first"
    kept = (copy / "items.parquet").stat().st_mtime_ns
    memory.pipe_file("/shop/events/date=2024-05-02/a.parquet", b"second")
    memory.rm_file("/shop/events/date=2024-05-01/a.parquet")
    assert fetch("memory://shop", tmp_path) == copy
    files = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file())
    assert files == ["events/date=2024-05-02/a.parquet", "items.parquet"]
    assert (copy / "items.parquet").stat().st_mtime_ns == kept
    assert fetch("memory://shop/items.parquet", tmp_path).read_bytes() == b"items"
    with pytest.raises(TableError, match="memory://nowhere: there is nothing"):
        fetch("memory://nowhere", tmp_path)


def test_a_file_address_is_fetched_too(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(b"a")
    copy = fetch(f"file://{tmp_path}/in", tmp_path / "copies")
    assert (copy / "a.parquet").read_bytes() == b"a"


@pytest.mark.parametrize("kind", ["folder", "memory", "file"])
def test_a_store_of_any_kind(memory, tmp_path: Path, kind: str):
    to = {"folder": str(tmp_path / "to"), "memory": "memory://to", "file": f"file://{tmp_path}/to"}[kind]
    store = Store(to)
    (tmp_path / "part").write_bytes(b"rows")
    assert store.read("latest.json") is None
    store.put(tmp_path / "part", "lists/date=2024-05-01/part-1.parquet")
    store.put(tmp_path / "part", "lists/date=2024-05-01/part-1.parquet")
    store.write(json.dumps(1), "latest.json")
    store.write(json.dumps(2), "latest.json")
    assert store.read("latest.json") == "2"
    assert store.files("lists") == ["lists/date=2024-05-01/part-1.parquet"]
    assert store.read("lists/date=2024-05-01/part-1.parquet") == "rows"
    store.remove("lists/date=2024-05-01/part-1.parquet")
    store.remove("lists/date=2024-05-01/part-1.parquet")
    assert store.files("lists") == []


@pytest.mark.parametrize(("said", "refusal"), [
    (OSError(errno.ENOSPC, "No space left on device"), StorageError),
    (PermissionError(errno.EACCES, "no"), OutputError),
])
def test_a_full_store_is_no_bad_input(
    memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: OSError, refusal: type[LtexpoError]
):
    def refuse(*_: object, **__: object) -> None:
        raise said

    for name in ("pipe_file", "put_file"):
        monkeypatch.setattr(type(memory), name, refuse)
    (tmp_path / "a").write_text("a")
    store = Store("memory://shop")
    for act in (lambda: store.write("a", "x"), lambda: store.put(tmp_path / "a", "x")):
        with pytest.raises(refusal, match=rf"memory://shop/x: cannot be written \({said.strerror}\)") as refused:
            act()
        assert refused.value.exit_code == (1 if refusal is StorageError else 2)


def test_a_store_whose_package_is_missing_says_which():
    fsspec.register_implementation("oci", "no_such_package.Store", errtxt="Install ocifs", clobber=True)
    with pytest.raises(ConfigError, match=r"oci://bucket/x: .* \(Install ocifs\)"):
        Store("oci://bucket/x")


def test_an_address_with_a_password_is_refused_without_showing_it():
    with pytest.raises(ConfigError, match="holds a password") as refused:
        Store("s3://me:secret@bucket/x")
    assert "secret" not in str(refused.value)
