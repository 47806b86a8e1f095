"""Items' image column → pictures, or a count of which are missing, unreadable or out of bounds."""

import io
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, TableError, shown

MAX_PIXELS = 64_000_000
"""A picture that decodes to more pixels than this is refused as a decompression bomb."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF")
"""Formats that hold pixels and nothing to be run: Pillow would hand PostScript to a program."""


@dataclass(frozen=True)
class ImageReport:
    """Item counts by the state of their picture, and the first item of each bad state."""

    total: int
    ok: int
    absent: int
    """No path or bytes given."""
    missing: int
    """The path names no file."""
    unreadable: int
    """The file is not a picture that can be decoded."""
    outside: int
    """The path leaves the catalogue's folder; never opened."""
    examples: Mapping[str, str]
    """State → item_id of the first item in it."""


def load_image(value: object, root: Path | None) -> Image.Image:
    """The picture behind one cell of the image column (bytes, or a path inside `root`) as upright RGB.

    Of an animation, the first frame; what is transparent lies on white; 16-bit greys are scaled, not clipped.
    Raises `TableError` starting with one of the words missing, unreadable, outside.
    """
    source = io.BytesIO(value) if isinstance(value, bytes) else image_path(value, root)
    try:
        with _opened(source) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise TableError(f"unreadable: {picture.width}×{picture.height} pixels exceed {MAX_PIXELS}.")
            with suppress(Exception):  # a camera's broken notes do not make the picture unreadable
                ImageOps.exif_transpose(picture, in_place=True)
            return _rgb(picture)
    except TableError:
        raise
    # Decoders of three dozen formats meet arbitrary bytes here; they fail in more ways than can be listed.
    except Exception as error:
        raise TableError(f"unreadable: {error}") from error


def _opened(source: io.BytesIO | Path) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of some bombs only, and before their size is checked here
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(source, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Pillow would clip: everything above 255 of 65,535 would become white.
        picture = Image.fromarray((np.asarray(picture, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), coloured).convert("RGB")
    return picture.convert("RGB")


def image_path(value: object, root: Path | None) -> Path:
    """Where the relative path `value` lies under `root`; raises `TableError` if it leaves `root` or is not there."""
    if not isinstance(value, str):
        raise ColumnError(f"items: 'image' holds {value!r}, expected a relative path or bytes.")
    base = (root or Path()).resolve()
    try:
        path = (base / value).resolve()
        there = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a zero byte, or links in a circle
        raise TableError(f"missing: {shown(value)} names no file ({type(error).__name__}).") from error
    if not path.is_relative_to(base):
        raise TableError(f"outside: '{value}' leaves the catalogue's folder. Give paths relative to it.")
    if not there:
        raise TableError(f"missing: no file {path}.")
    return path


def check_images(items: pd.DataFrame, root: Path | None, *, decode: bool = True) -> ImageReport:
    """Try every picture of `items` (decoding it unless `decode` is off) and count the outcomes."""
    counts = dict.fromkeys(("ok", "absent", "missing", "unreadable", "outside"), 0)
    examples: dict[str, str] = {}
    cells = items[Columns.Image] if Columns.Image in items.columns else pd.Series([None] * len(items))
    for item_id, value in zip(items[Columns.Item], cells, strict=True):
        state = _state(value, root, decode=decode)
        counts[state] += 1
        if state not in ("ok", "absent"):
            examples.setdefault(state, item_id)
    return ImageReport(total=len(items), **counts, examples=examples)


def _state(value: object, root: Path | None, *, decode: bool) -> str:
    if not isinstance(value, bytes | str) or not value:
        return "absent" if pd.isna(value) or not value else "unreadable"  # type: ignore[call-overload]
    try:
        if decode:
            load_image(value, root)
        elif isinstance(value, str):
            image_path(value, root)
    except TableError as error:
        return str(error).split(":", 1)[0]
    return "ok"
