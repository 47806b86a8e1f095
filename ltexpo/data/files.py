"""Text, JSON and whatever else is written ↔ files, of which no reader ever sees half a one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ltexpo.data.scratch import scratch, umask
from ltexpo.errors import FAILING, TableError, unwritable


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch file beside `path` to write into; it takes the place of `path` when the block ends without an error.

    Raises `OutputError` where nothing can be written, and `StorageError` when a disk is full or fails on the way.
    """
    path = Path(path)
    with ExitStack() as held:
        try:
            beside = held.enter_context(scratch(path, folder=False))
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            yield beside
            beside.chmod(0o666 & ~umask())
            beside.replace(path)
        except OSError as error:
            if error.errno not in FAILING:
                raise
            raise unwritable(path, error) from error


def write_json(value: Any, path: Path) -> Path:
    """`value` as indented JSON at `path`, renamed into place when complete; NaN and infinity become null."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(text, path)


def write_text(text: str, path: Path) -> Path:
    """`text` as UTF-8 at `path`, renamed into place when complete."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def read_json(path: Path) -> Any:
    """The JSON at `path`; a `TableError` says why it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except ValueError as error:
        raise TableError(f"{path}: is not JSON ({error}). Write it again.") from error


def _finite(value: Any) -> Any:
    """`value` with numpy scalars unwrapped and non-finite floats as None, ready for strict JSON."""
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Path | pd.Timestamp):
        return str(value)
    return value
