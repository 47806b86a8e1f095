"""A run folder → the one run that may work in it."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ltexpo.errors import LtexpoError, unwritable

LOCK_FILE = ".lock"
_PATIENCE = 60.0
"""Seconds that the stage of a run which was killed may take to notice it and go."""


class LockedError(LtexpoError):
    """Another run works in the folder."""


@contextmanager
def locked(out: Path) -> Iterator[int]:
    """The file descriptor of the lock on the folder `out`; `LockedError` names who holds it.

    The system frees the lock when the last process that holds it is gone, however it went: a lock file that lies
    there says nothing. The stages of a run inherit it, so a stage that outlives its run for a moment still holds it.
    """
    try:
        held = os.open(out / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    try:
        _take(held, out)
        os.ftruncate(held, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat()}
        os.pwrite(held, (json.dumps(holder) + "\n").encode(), 0)
        yield held
    finally:
        os.close(held)


def _take(held: int, out: Path) -> None:
    begun = time.monotonic()
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            noted = os.pread(held, 4096, 0)
        try:
            holder = json.loads(noted)
            pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
        except (ValueError, KeyError, TypeError):
            pid, host, since = 0, "?", "?"  # it is just being taken
        gone = host == socket.gethostname() and not _lives(pid)
        if not gone or time.monotonic() - begun > _PATIENCE:
            raise LockedError(
                f"--out {out}: process {pid} on {host} works there since {since}. Wait for it, or give another folder."
            )
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    if pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
