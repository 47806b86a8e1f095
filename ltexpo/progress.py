"""Long work → a progress bar on a terminal, a log line elsewhere; both on stderr."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from rich.console import Console
from rich.progress import Progress

log = logging.getLogger("ltexpo")
_console = Console(stderr=True)
T = TypeVar("T")
Watch: TypeAlias = Callable[[str, int, float], None]
"""Is told the figures of a training as it goes: the figure's name, the step, its value."""


def track(work: Iterable[T], what: str, *, total: int) -> Iterator[T]:
    """Pass `work` through, showing how much of `total` is done."""
    if not _console.is_terminal:
        started = time.perf_counter()
        yield from work
        log.info("%s: %s in %.1f s", what, f"{total:,}", time.perf_counter() - started)
        return
    with Progress(console=_console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        for piece in work:
            yield piece
            progress.advance(task)


@contextmanager
def logged(what: str) -> Iterator[None]:
    """Say how long `what` took when it is done: a step within a stage."""
    started = time.perf_counter()
    yield
    log.info("%s: %.1f s", what, time.perf_counter() - started)


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Say that `what` is being done, and, when it is done, how long it took."""
    started = time.perf_counter()
    if _console.is_terminal:
        with _console.status(f"{what} …"):
            yield
    else:
        yield
    log.info("%s: %.1f s", what, time.perf_counter() - started)
