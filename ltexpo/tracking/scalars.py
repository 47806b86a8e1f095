"""Figures of training as they come → event files that TensorBoard shows while a training goes on."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ltexpo.errors import MissingExtraError
from ltexpo.progress import Watch

log = logging.getLogger("ltexpo")


@contextmanager
def scalars(folder: Path | None) -> Iterator[Watch | None]:
    """What a training tells its figures to, so that they stand in `folder`; None without a folder.

    Raises `MissingExtraError` before the training begins. A folder that cannot be written costs one warning, and the
    training goes on.
    """
    if folder is None:
        yield None
        return
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("tensorboard", "tensorboard", "tracking")
    writer = _Writer(folder)
    try:
        yield writer
    finally:
        writer.close()


class _Writer:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # brings torch

        self.folder = folder
        self._events: Any = None
        try:
            self._events = SummaryWriter(str(folder))
        except OSError as error:
            self._give_up(error)

    def __call__(self, name: str, step: int, value: float) -> None:
        if self._events is None:
            return
        try:
            self._events.add_scalar(name, value, step)
            self._events.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        if self._events is not None:
            try:
                self._events.close()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("%s: no more figures for TensorBoard (%s). The training goes on.", self.folder,
                    error.strerror or error)
        self._events = None
