"""The refusals: each names the field, what arrived, and the mend, and carries the exit code of the command line."""

import errno
import os
import reprlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

FAILING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What the system says of a disk that is full or fails."""
_BAD_PATHS = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM,
                        errno.EROFS})
"""What it says of a path that cannot be, or may not be read or written."""
LONGEST = 80
"""Characters of a value that a refusal shows; the rest is an ellipsis."""


def shown(value: object) -> str:
    """`value` as a refusal shows it: as Python writes it, control characters spelt out, cut where it is long."""
    return _SHORT.repr(value.item() if isinstance(value, np.generic) else value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST
_SHORT.maxlevel = 2


class LtexpoError(Exception):
    """Anything ltexpo refuses or cannot do; printed as one line."""

    exit_code = 1


class InputError(LtexpoError):
    """What the user gave cannot be used as it is."""

    exit_code = 2


class ColumnError(InputError):
    """A table lacks a column, or a column holds what its contract does not allow."""


class TableError(InputError):
    """A table as a whole is unusable: unreadable, empty, or contradicting another table."""


class ConfigError(InputError):
    """A setting is unknown, of the wrong type, or out of its range."""


class SplitError(InputError):
    """A split would be empty or would leak the future into the past."""


class ImportFormatError(InputError):
    """A source does not look like the format that was named."""


class MissingExtraError(InputError):
    """A part needs packages that are not installed."""

    def __init__(self, part: str, package: str, extra: str) -> None:
        super().__init__(f"{part} needs {package}, which is not installed. Run: pip install \"ltexpo[{extra}]\"")


class OutputError(InputError):
    """The output cannot be written where it was asked for."""


class StorageError(LtexpoError):
    """A disk is full or fails while something is written; what was there before stays."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} What was there before stays. Free some space and run again.")


def unwritable(what: object, error: OSError, *, said: str | None = None) -> LtexpoError:
    """The refusal where `what` cannot be written: a disk that is full or fails is no mistake of the user's.

    `said`: why, where `error` does not say it itself.
    """
    if error.errno in FAILING:
        return StorageError(f"{what}: cannot be written ({said or os.strerror(error.errno or 0)}).")
    return OutputError(f"{what}: cannot be written ({said or error.strerror or error}).")


class InfeasibleError(LtexpoError):
    """The goals cannot be met together under the guardrails."""

    exit_code = 3


class GuardrailError(LtexpoError):
    """A guardrail is breached: nothing is published."""

    exit_code = 4


class Stopped(SystemExit):
    """A signal asked the job to stop; its exit code is 128 + the signal's number, as a shell says it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number


@contextmanager
def heeding_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C leave the block as an error does (`Stopped`), so that scratch folders and workers go too."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    heeded = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outcome(error: BaseException) -> tuple[str, int]:
    """What to say of an `error` that ends a job, and the exit code: also of what no code of ours foresees."""
    if isinstance(error, LtexpoError):
        return str(error), error.exit_code
    if isinstance(error, Stopped):
        return "stopped.", error.exit_code
    if isinstance(error, MemoryError):
        return f"out of memory ({error}). Give the job more, or a smaller job." if str(error) else "out of memory.", 1
    if isinstance(error, OSError) and error.errno in FAILING:
        return str(StorageError(f"{error.filename or 'the output'}: {os.strerror(error.errno)}.")), 1
    if isinstance(error, OSError) and error.errno in _BAD_PATHS and error.filename is not None:
        return f"{shown(str(error.filename))}: {os.strerror(error.errno)}. Give another path.", InputError.exit_code
    return f"{type(error).__name__}: {error} (this is a fault of ltexpo; -v shows where)", 1
