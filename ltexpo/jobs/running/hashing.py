"""Files and folders → sizes and content hashes, each file read once as long as it stays the same."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

CACHE_FILE = ".hashes.json"
_SETTLED = 100_000_000
"""Nanoseconds: a file that was changed this short a time before it was read may be changed again unseen."""


class Content(TypedDict, total=False):
    """What lies at a path; nothing but the path where nothing does."""

    path: str
    files: int
    bytes: int
    sha256: str
    rows: int
    """Of a Parquet file that a stage wrote."""


class Hashes:
    """Content hashes, kept from run to run by size, time of writing and inode; `folder` holds the file that keeps them.

    The file may be deleted at any time. It stands apart from the manifest, which a person reads: a catalogue may have
    a hundred thousand pictures.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / CACHE_FILE
        try:
            known = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, list[Any]] = known if isinstance(known, dict) else {}
        self._used: dict[str, list[Any]] = {}
        self._seen: dict[Path, Content] = {}

    def of(self, path: Path) -> Content:
        """The content at `path`, a file or a folder; a folder's hash is that of its files' names and hashes.

        Hidden files do not count: they are marks and scratch. Each path is looked at once, until `forget`.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 (a link is not followed, so that its own name stays)
        if path not in self._seen:
            self._seen[path] = self._look(path)
        return self._seen[path]

    def forget(self, place: Path) -> None:
        """Look anew at everything that holds `place` or lies in it."""
        place = Path(os.path.abspath(place))  # noqa: PTH100
        self._seen = {
            path: content for path, content in self._seen.items()
            if not (path.is_relative_to(place) or place.is_relative_to(path))
        }

    def kept(self) -> str:
        """What `CACHE_FILE` is to hold: the hashes of all files that this run looked at."""
        return json.dumps(self._used, separators=(",", ":"))

    def _look(self, path: Path) -> Content:
        if path.is_file():
            (digest, size), = self._digests([path])
            return {"path": str(path), "files": 1, "bytes": size, "sha256": digest}
        if not path.is_dir():
            return {"path": str(path)}
        files = sorted(_files(path))
        found = self._digests(files)
        whole = hashlib.sha256()
        for file, (digest, _) in zip(files, found, strict=True):
            whole.update(f"{digest} {file.relative_to(path).as_posix()}\n".encode())
        return {
            "path": str(path), "files": len(files), "bytes": sum(size for _, size in found),
            "sha256": whole.hexdigest(),
        }

    def _digests(self, files: list[Path]) -> list[tuple[str, int]]:
        marks = [_mark(file) for file in files]
        new = [n for n, (file, mark) in enumerate(zip(files, marks, strict=True)) if self._find(file, mark) is None]
        with ThreadPoolExecutor(4) as threads:  # hashing leaves the interpreter to the others
            for n, digest in zip(new, threads.map(_digest, [files[n] for n in new]), strict=True):
                before = marks[n]
                if _mark(files[n]) == before and time.time_ns() - before[1] > _SETTLED:
                    self._known[str(files[n])] = [*before, digest]
                else:
                    self._known.pop(str(files[n]), None)
                marks[n] = [*before, digest]
        result = []
        for n, (file, mark) in enumerate(zip(files, marks, strict=True)):
            noted = self._known.get(str(file))
            digest = mark[-1] if len(mark) > 3 else str(self._find(file, mark))
            if noted is not None:
                self._used[str(file)] = noted
            result.append((digest, int(marks[n][0])))
        return result

    def _find(self, file: Path, mark: list[Any]) -> str | None:
        noted = self._known.get(str(file))
        return str(noted[3]) if noted is not None and len(noted) == 4 and noted[:3] == mark else None


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield Path(root, name)


def _mark(file: Path) -> list[Any]:
    """Size, time of writing, inode: what a file does not keep when its content changes. The time of its last change of
    state is left out: a link to it, as the import makes, changes that too."""
    seen = file.stat()
    return [seen.st_size, seen.st_mtime_ns, seen.st_ino]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
