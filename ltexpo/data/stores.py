"""Addresses of object stores (s3://bucket/path, whatever fsspec knows) ↔ local files.

An object store has no rename: an object appears whole or not at all, a folder of them does not. So what is written here
is written file by file, and whoever publishes writes last the one small file that names the others.
"""

import hashlib
import json
import shutil
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ltexpo.data.files import replacing, write_text
from ltexpo.errors import ConfigError, OutputError, TableError, unwritable

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "oci", "file", "memory")


def is_address(text: object) -> bool:
    """Whether `text` is the address of an object store rather than a path."""
    return isinstance(text, str) and "://" in text and text.partition("://")[0] in SCHEMES


def fetch(address: str, folder: Path) -> Path:
    """The file or folder at `address` as a copy in `folder`; what has not changed since an earlier copy is kept.

    Every object is fetched beside and renamed. Raises `TableError` when there is nothing, or it cannot be read.
    """
    system, root = _open(address)
    name = f"{hashlib.sha256(address.encode()).hexdigest()[:8]}-{PurePosixPath(root).name}"
    copy, notes = folder / name, folder / f".{name}.json"
    try:
        noted: dict[str, str] = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        noted = {}
    try:
        system.invalidate_cache()
        if not system.exists(root):
            raise TableError(f"{address}: there is nothing. Check the address.")
        single = bool(system.isfile(root))
        found = {root: system.info(root)} if single else system.find(root, detail=True)
        kept: dict[str, str] = {}
        for path, facts in sorted(found.items()):
            relative = "" if single else PurePosixPath(path).relative_to(PurePosixPath(root)).as_posix()
            if ".." in PurePosixPath(relative).parts:
                raise TableError(f"{address}: '{relative}' leads out of its folder. Rename it.")
            mark = hashlib.sha256(str(sorted((key, str(value)) for key, value in facts.items())).encode()).hexdigest()
            place = copy / relative if relative else copy
            if noted.get(relative) != mark or not place.is_file():
                with replacing(place) as beside:
                    system.get_file(path, str(beside))
            kept[relative] = mark
    except OSError as error:
        raise TableError(f"{address}: cannot be read ({_reason(error)}).") from error
    if not kept:
        raise TableError(f"{address}: is an empty folder. Check the address.")
    for relative in set(noted) - set(kept):
        (copy / relative).unlink(missing_ok=True)
    write_text(json.dumps(kept), notes)
    return copy


class Store:
    """A folder to publish in: a local one, or an address of an object store; paths are relative to it."""

    def __init__(self, to: str) -> None:
        self.to = to.rstrip("/")
        self._system: Any = None
        if is_address(to):
            self._system, self._root = _open(self.to)
            self._root = self._root.rstrip("/")

    def read(self, path: str) -> str | None:
        """The text of a small file; None when there is none."""
        try:
            if self._system is None:
                return (Path(self.to) / path).read_text(encoding="utf-8")
            self._system.invalidate_cache()
            return str(self._system.cat_file(f"{self._root}/{path}").decode("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(f"{self.to}/{path}: cannot be read ({_reason(error)}).") from error

    def write(self, text: str, path: str) -> None:
        """`text` as a small file, in the place of an earlier one in one step."""
        if self._system is None:
            write_text(text, Path(self.to) / path)
            return
        try:
            self._make_folder(path)
            self._system.pipe_file(f"{self._root}/{path}", text.encode())
        except OSError as error:
            raise unwritable(f"{self.to}/{path}", error, said=_reason(error)) from error

    def put(self, file: Path, path: str) -> None:
        """A copy of the local `file`, unless one of its size is there: names carry the hash of the content."""
        size = file.stat().st_size
        try:
            if self._system is None:
                place = Path(self.to) / path
                if not (place.is_file() and place.stat().st_size == size):
                    with replacing(place) as beside:
                        shutil.copyfile(file, beside)
            elif not (self._system.exists(f"{self._root}/{path}")
                      and self._system.info(f"{self._root}/{path}")["size"] == size):
                self._make_folder(path)
                self._system.put_file(str(file), f"{self._root}/{path}")
        except OSError as error:
            raise unwritable(f"{self.to}/{path}", error, said=_reason(error)) from error

    def files(self, folder: str) -> list[str]:
        """Every file below `folder`, hidden ones left out."""
        if self._system is None:
            root = Path(self.to)
            found = [path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if path.is_file()]
        else:
            self._system.invalidate_cache()
            below = f"{self._root}/{folder}"
            found = [path.removeprefix(self._root).lstrip("/") for path in self._system.find(below)]
        return sorted(path for path in found if not PurePosixPath(path).name.startswith("."))

    def remove(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        try:
            if self._system is None:
                (Path(self.to) / path).unlink(missing_ok=True)
            else:
                self._system.rm_file(f"{self._root}/{path}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OutputError(f"{self.to}/{path}: cannot be removed ({_reason(error)}).") from error

    def _make_folder(self, path: str) -> None:
        parent = f"{self._root}/{path}".rpartition("/")[0]
        self._system.makedirs(parent, exist_ok=True)  # stores without folders do nothing


def _open(address: str) -> tuple[Any, str]:
    import fsspec  # what it brings differs from store to store

    if urlsplit(address).password:
        hidden = address.replace(f":{urlsplit(address).password}@", ":…@")
        raise ConfigError(
            f"{hidden}: holds a password, which would stand in manifests and logs. Give it as the store's package "
            "reads it from the environment."
        )
    try:
        system, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise ConfigError(f"{address}: its kind of store needs a package that is not there ({error}).") from error
    except (ValueError, OSError) as error:
        raise ConfigError(f"{address}: is not an address that fsspec can open ({_reason(error)}).") from error
    return system, root


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
