"""Where something is to stand → a scratch file or folder beside it, held while its maker lives.

A maker that is killed leaves its scratch behind; whoever writes to the same place next removes it. The system frees a
lock when the last process that holds it is gone, however it went, so a scratch that can be locked belongs to nobody.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("ltexpo")
_INFIX = ".ltexpo-"


@contextmanager
def scratch(path: Path, *, folder: bool) -> Iterator[Path]:
    """A new file or folder beside `path`, named `.NAME.ltexpo-…`; what stands under that name at the end is removed.

    Raises `OSError` where none can be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path)
    made, held = _made(path, folder)
    try:
        yield made
    finally:
        _remove(made)
        os.close(held)


def remove_left_over(path: Path) -> None:
    """Remove the scratch beside `path` whose makers are gone."""
    with os.scandir(path.parent) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.startswith(f".{path.name}{_INFIX}")]
    for left in found:
        try:
            held = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        if _lock(held, wait=False):
            log.info("%s: a run that was killed left it, it is removed", left)
            _remove(left)
        os.close(held)


def _made(path: Path, folder: bool) -> tuple[Path, int]:
    prefix = f".{path.name}{_INFIX}"
    while True:
        if folder:
            made = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
            held = os.open(made, os.O_RDONLY)
        else:
            held, name = tempfile.mkstemp(prefix=prefix, dir=path.parent)
            made = Path(name)
        _lock(held, wait=True)
        if made.exists():  # another writer may have taken it for left over before it was locked
            return made, held
        os.close(held)


def _lock(held: int, *, wait: bool) -> bool:
    """Whether the lock was taken; on a file system without locks it never is, and nothing is removed."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def umask() -> int:
    """What is taken from the rights of a new file: scratch is its maker's alone, what takes its place is not."""
    current = os.umask(0)
    os.umask(current)
    return current
