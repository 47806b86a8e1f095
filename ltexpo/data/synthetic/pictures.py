"""A product's true attributes → its picture.

Silhouettes are drawn once per process as masks at four times the size, and every product only blends them with its own
colours, pattern and backdrop, so that twenty thousand pictures take seconds. The same row gives the same bytes.
"""

import functools
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ltexpo.columns import Columns
from ltexpo.data.synthetic.silhouettes import SILHOUETTES

SIZE = 160
"""Width and height of a picture in pixels."""

RGB = tuple[int, int, int]

_OVER = 4
_QUALITY = 88
_BACKDROPS = ((244, 241, 236), (236, 240, 243), (240, 243, 237), (246, 239, 238), (241, 239, 245), (243, 243, 243))

COLOURS: dict[str, RGB] = {
    "black": (48, 48, 52), "white": (246, 245, 241), "grey": (150, 153, 158), "beige": (216, 196, 166),
    "brown": (124, 84, 58), "navy": (42, 56, 98), "sky blue": (128, 182, 220), "teal": (38, 132, 132),
    "green": (54, 128, 78), "olive": (128, 128, 70), "mustard": (222, 172, 56), "orange": (232, 128, 58),
    "red": (204, 54, 54), "burgundy": (122, 38, 58), "pink": (238, 158, 178), "lilac": (182, 158, 212),
}
"""Colour name → RGB."""

PATTERNS = ("plain", "stripes", "checks", "dots", "chevron", "floral")


def draw_picture(row: Mapping[str, Any]) -> Image.Image:
    """The picture (160 × 160 RGB) of one row of `Shop.attributes`: item_id, category, shape, colour, accent, pattern.

    Small differences of framing, shade and backdrop follow from item_id alone; they say nothing about the product.
    """
    # A hash gives each item its own chance at a fraction of what seeding a generator costs.
    variant, tint, phase, *shade = hashlib.blake2b(str(row[Columns.Item]).encode(), digest_size=6).digest()
    outline = _outline(str(row[Columns.Category]), str(row["shape"]), variant % 3)
    colour, accent = (_shifted(COLOURS[str(row[name])], shade) for name in ("colour", "accent"))
    fill = Image.new("RGB", outline.whole.size, colour)
    pattern = str(row["pattern"])
    if pattern != "plain":
        fill.paste(accent, mask=_pattern_mask(pattern, phase % 4).crop(outline.box))
    fill.paste(accent, mask=outline.trim)
    fill = ImageChops.multiply(fill, outline.shading)
    # Seams on dark cloth are drawn lighter, or they would vanish.
    dark = sum(colour) < 240
    fill.paste((118, 118, 124) if dark else _darker(colour), mask=outline.seams)
    fill = ImageChops.screen(fill, outline.sheen)
    picture = ImageChops.multiply(_backdrop(tint % len(_BACKDROPS)), outline.shadow)
    picture.paste(fill, outline.box, mask=outline.whole)
    return picture


def save_pictures(
    rows: Sequence[Mapping[str, Any]], paths: Sequence[str], folder: Path, *, workers: int | None = None
) -> None:
    """Write the picture of each of `rows` as JPEG to `folder / path`; the bytes do not depend on `workers`.

    `workers`: processes; None takes one per core.
    """
    for parent in {(folder / path).parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    jobs = [(row, str(folder / path)) for row, path in zip(rows, paths, strict=True)]
    count = min(workers or os.cpu_count() or 1, 1 + len(jobs) // 500)
    if count <= 1:
        _write(jobs)
        return
    step = -(-len(jobs) // (8 * count))
    # Forked workers need no importable main module; they touch nothing but Pillow and numpy.
    context = get_context("fork" if "fork" in get_all_start_methods() else None)
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        for _ in pool.map(_write, (jobs[start:start + step] for start in range(0, len(jobs), step))):
            pass


def _write(jobs: Iterable[tuple[Mapping[str, Any], str]]) -> None:
    for row, path in jobs:
        draw_picture(row).save(path, "JPEG", quality=_QUALITY)


@dataclass(frozen=True)
class _Outline:
    """One silhouette's masks at picture size, all but the shadow cut to the box that the product fills."""

    box: tuple[int, int, int, int]
    whole: Image.Image
    trim: Image.Image
    seams: Image.Image
    shading: Image.Image
    sheen: Image.Image
    shadow: Image.Image


@functools.cache
def _outline(category: str, shape: str, variant: int) -> _Outline:
    """The masks of a silhouette; the three variants differ by a few percent in width and height."""
    silhouette = SILHOUETTES[category, shape]
    stretch = ((1.0, 1.0), (0.95, 0.98), (0.98, 0.93))[variant]
    side = SIZE * _OVER
    masks = {name: Image.new("L", (side, side)) for name in ("body", "trim", "seams", "holes")}
    pens = {name: ImageDraw.Draw(mask) for name, mask in masks.items()}
    sides = (False, True) if silhouette.mirrored else (False,)
    for mirror in sides:
        for name in ("body", "trim", "holes"):
            for path in getattr(silhouette, name):
                pens[name].polygon(_points(path, stretch, mirror), fill=255)
        for path in silhouette.seams:
            _stroke(pens["seams"], _points(path, stretch, mirror), 0.9)
        for path, width in silhouette.bands:
            _stroke(pens["trim"], _points(path, stretch, mirror), width)
    whole = ImageChops.subtract(ImageChops.lighter(masks["body"], masks["trim"]), masks["holes"])
    small = {name: mask.reduce(_OVER) for name, mask in masks.items()}
    whole = whole.reduce(_OVER)
    # A soft edge inside the outline reads as volume; light comes from the upper left.
    inside = np.asarray(whole.filter(ImageFilter.GaussianBlur(7)), dtype=np.float32) / 255
    across, down = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE))
    light = np.clip(0.72 + 0.32 * inside - 0.05 * across - 0.05 * down, 0, 1)
    sheen = 26 * np.exp(-(((across + 0.32) / 0.30) ** 2 + ((down + 0.30) / 0.55) ** 2)) * inside
    fallen = ImageChops.offset(whole, 3, 5).filter(ImageFilter.GaussianBlur(5))
    shadow = 1 - 0.30 * np.asarray(fallen, dtype=np.float32) / 255
    box = whole.getbbox() or (0, 0, SIZE, SIZE)
    return _Outline(
        box=box,
        whole=whole.crop(box),
        trim=small["trim"].crop(box),
        seams=small["seams"].point([int(0.8 * level) for level in range(256)]).crop(box),
        shading=_grey(255 * light).crop(box),
        sheen=_grey(sheen).crop(box),
        shadow=_grey(255 * shadow),
    )


def _grey(values: npt.NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.repeat(values.astype(np.uint8)[:, :, None], 3, axis=2), "RGB")


def _stroke(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: float) -> None:
    """A line of `width` sheet units with round joints and ends."""
    pixels = width * SIZE * _OVER / 100
    pen.line(points, fill=255, width=round(pixels), joint="curve")
    for x, y in (points[0], points[-1]):
        pen.ellipse((x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2), fill=255)


_TOKEN = re.compile(r"[MLQCZ]|-?\d+(?:\.\d+)?")
_ARGUMENTS = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}


def _points(path: str, stretch: tuple[float, float], mirror: bool) -> list[tuple[float, float]]:
    """The path as pixels of the large sheet, its Bézier curves cut into short lines."""
    tokens = _TOKEN.findall(path)
    points: list[np.ndarray] = []
    position = 0
    while position < len(tokens):
        command = tokens[position]
        position += 1
        numbers = np.array([float(token) for token in tokens[position:position + _ARGUMENTS[command]]])
        position += _ARGUMENTS[command]
        if command in "ML":
            points.append(numbers)
        elif command in "QC":
            controls = np.vstack([points[-1], numbers.reshape(-1, 2)])
            points += list(_bezier(controls))
    sheet = np.array(points)
    sheet = 50 + (sheet - 50) * np.array(stretch) * 0.94
    if mirror:
        sheet[:, 0] = 100 - sheet[:, 0]
    return [(float(x), float(y)) for x, y in sheet * (SIZE * _OVER / 100)]


def _bezier(controls: np.ndarray, steps: int = 14) -> np.ndarray:
    """Points (steps, 2) of the curve after its start, by de Casteljau."""
    t = np.linspace(0, 1, steps + 1)[1:, None]
    level = [np.broadcast_to(control, (steps, 2)) for control in controls]
    while len(level) > 1:
        level = [(1 - t) * first + t * second for first, second in itertools.pairwise(level)]
    return level[0]


@functools.cache
def _backdrop(number: int) -> Image.Image:
    """A soft vertical fade of one of the backdrop tints."""
    fade = np.linspace(1.02, 0.93, SIZE)[:, None, None] * np.array(_BACKDROPS[number], dtype=np.float64)
    return Image.fromarray(np.broadcast_to(np.clip(fade, 0, 255), (SIZE, SIZE, 3)).astype(np.uint8), "RGB")


@functools.cache
def _pattern_mask(pattern: str, phase: int) -> Image.Image:
    """Where the accent colour shows in a pattern, over the whole picture; phases shift it."""
    side = SIZE * _OVER
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    pitch = 44 if pattern in ("stripes", "chevron") else 56
    start = -pitch + phase * pitch // 4
    steps = range(start, side + pitch, pitch)
    if pattern == "stripes":
        for y in steps:
            pen.rectangle((0, y, side, y + pitch * 0.42), fill=255)
    elif pattern == "checks":
        cross = Image.new("L", (side, side))
        across = ImageDraw.Draw(cross)
        for z in steps:
            pen.rectangle((0, z, side, z + pitch * 0.5), fill=120)
            across.rectangle((z, 0, z + pitch * 0.5, side), fill=120)
        mask = ImageChops.add(mask, cross)
    elif pattern == "dots":
        for row, y in enumerate(steps):
            for x in range(start + (row % 2) * pitch // 2, side + pitch, pitch):
                pen.ellipse((x - 11, y - 11, x + 11, y + 11), fill=255)
    elif pattern == "chevron":
        for y in range(start - pitch, side + pitch, pitch):
            zigzag = [(x, y + (22 if n % 2 else -10)) for n, x in enumerate(range(-32, side + 64, 32))]
            pen.line(zigzag, fill=255, width=15, joint="curve")
    else:
        for row, y in enumerate(steps):
            for x in range(start + (row % 2) * pitch // 2, side + pitch, pitch):
                for angle in np.arange(5) * 2 * np.pi / 5 + row:
                    px, py = x + 10.5 * np.cos(angle), y + 10.5 * np.sin(angle)
                    pen.ellipse((px - 7.5, py - 7.5, px + 7.5, py + 7.5), fill=255)
                pen.ellipse((x - 4.5, y - 4.5, x + 4.5, y + 4.5), fill=60)
    return mask.reduce(_OVER)


def _shifted(colour: RGB, shade: Sequence[int]) -> RGB:
    """`colour` with each part moved by −7 … 7, by what a byte of `shade` says."""
    red, green, blue = (min(255, part + byte % 15 - 7) for part, byte in zip(colour, shade, strict=True))
    return red, green, blue


def _darker(colour: RGB) -> RGB:
    red, green, blue = (int(0.55 * part) for part in colour)
    return red, green, blue
