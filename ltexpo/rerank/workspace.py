"""Sizes → empty arrays: in memory while they fit a limit, else in temporary files that the system pages in and out."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltexpo.errors import OutputError

GB = 10**9


class Workspace:
    """Where the big arrays of one job live.

    `limit` (GB): above so many bytes in all, arrays are files in `folder` (default: the system's temporary folder).
    A file loses its name as soon as it is mapped, so nothing stays behind however the process ends. None: half of the
    memory that is free.
    """

    def __init__(self, limit: float | None = None, folder: Path | None = None) -> None:
        self.limit = free_memory() // 2 if limit is None else int(limit * GB)
        self.folder = Path(tempfile.gettempdir() if folder is None else folder)
        self.mapped = False

    def expect(self, n_bytes: int) -> None:
        """Say how many bytes the arrays take together, before the first is made."""
        self.mapped = n_bytes > self.limit

    def empty(self, size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array (size,) to be filled; raises `OutputError` when its file finds no room."""
        n_bytes = size * np.dtype(dtype).itemsize
        if not self.mapped or n_bytes == 0:
            return np.empty(size, dtype)
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix=".ltexpo.") as file:
                # reserved now: a disk that fills up later would kill the process at some write to the array
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, n_bytes)
                return np.memmap(file, dtype=dtype, mode="r+", shape=(size,)).view(np.ndarray)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot hold a temporary file of {n_bytes / GB:.3g} GB ({error.strerror}). Free some "
                "space, or raise memory_limit."
            ) from error


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has free, and what its container allows."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError, StopIteration):
        rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(row.split()[1]) for row in rows if row.startswith("MemAvailable")) * 1024
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        allowed = int((group / "memory.max").read_text(encoding="ascii"))
        free = min(free, allowed - int((group / "memory.current").read_text(encoding="ascii")))
    return max(free, 0)
