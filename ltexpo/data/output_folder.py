"""A job's folder → its new content in one step, or what was there before; what others put there is never deleted."""

import ctypes
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ltexpo.data.scratch import scratch, umask
from ltexpo.errors import OutputError, unwritable

_MARK = ".ltexpo"
"""File that names the verb which wrote a folder, and what it wrote."""
_REPLACED = "replaced"


@contextmanager
def output_folder(out: Path, *, verb: str, inputs: Iterable[Path | None] = ()) -> Iterator[Path]:
    """A scratch folder beside `out` to write into; on success it takes the place of `out`, on failure nothing remains.

    An existing `out` is replaced only if it is empty, or if the same `verb` wrote it and it holds nothing else: what
    somebody else put there is never deleted. Raises `OutputError`, also when one of the `inputs` lies in `out`.
    """
    out = Path(out).resolve()  # through a link, so that what it points to is written
    _refuse_foreign(out, verb)
    for given in inputs:
        if given is not None and Path(given).resolve().is_relative_to(out):
            raise OutputError(f"--out {out}: holds the input {given}. Give another folder.")
    absent = [parent for parent in out.parents if not parent.exists()]
    try:
        with ExitStack() as held:
            try:
                beside = held.enter_context(scratch(out, folder=True))
                _put_back(out)
            except OSError as error:
                raise unwritable(f"--out {out}", error) from error
            beside.chmod(0o777 & ~umask())
            yield beside
            (beside / _MARK).write_text(json.dumps({"verb": verb, "files": sorted(_files(beside))}) + "\n")
            if out.exists():
                _refuse_foreign(out, verb)  # again: a long job leaves time for somebody to put a file there
                if not _exchange(beside, out):
                    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
                    out.replace(old / _REPLACED)
                    beside.replace(out)
                    shutil.rmtree(old, ignore_errors=True)
            else:
                beside.replace(out)
    finally:
        if not out.exists():
            for parent in absent:
                with suppress(OSError):
                    parent.rmdir()


def _put_back(out: Path) -> None:
    """Where folders cannot change places, a kill between two renames leaves `out` under another name: undo that."""
    for old in out.parent.glob(f".{glob.escape(out.name)}.old.*/{_REPLACED}"):
        if not out.exists():
            old.replace(out)
        shutil.rmtree(old.parent, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, so that a reader, or a kill, finds either and never none; False
    where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0)


def _refuse_foreign(out: Path, verb: str) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"--out {out}: is a file. Give a folder.")
    files = _files(out)
    if not files:
        return
    try:
        mark = json.loads((out / _MARK).read_text(encoding="utf-8"))
        written_by, listed = str(mark["verb"]), set(mark["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(
            f"--out {out}: holds files that ltexpo did not write. Give an empty or a new folder."
        ) from None
    if written_by != verb:
        raise OutputError(f"--out {out}: was written by '{written_by}', not by '{verb}'. Give another folder.")
    foreign = sorted(files - listed - {_MARK})
    if foreign:
        raise OutputError(
            f"--out {out}: holds '{foreign[0]}', which ltexpo did not write. Move it away or give another folder."
        )


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
