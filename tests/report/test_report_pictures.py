import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltexpo.columns import Columns
from ltexpo.report.pictures import picture


def item(image: object) -> dict[Any, Any]:
    return {Columns.Item: "p1", Columns.Title: 'Blue "mug"', Columns.Image: image}


def png(width: int, height: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "blue").save(target, format="PNG")
    return target.getvalue()


def test_bytes_and_files_become_small_jpegs(tmp_path: Path) -> None:
    (tmp_path / "mug.png").write_bytes(png(300, 150))
    for value in ("mug.png", png(300, 150)):
        shown = picture(item(value), tmp_path, side=64)
        assert 'alt="Blue &quot;mug&quot;"' in shown
        found = re.search(r"base64,([^\"]+)", shown)
        assert found is not None
        with Image.open(io.BytesIO(base64.b64decode(found[1]))) as drawn:
            assert (drawn.format, drawn.size) == ("JPEG", (64, 32))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no picture given"), (float("nan"), "no picture given"), ("", "no picture given"),
        ("gone.png", "picture file is missing"), ("../out.png", "picture lies outside the data folder"),
        ("text.png", "picture cannot be read"), (b"text", "picture cannot be read"),
    ],
)
def test_a_tile_says_why_there_is_no_picture(tmp_path: Path, value: object, reason: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "out.png").write_bytes(png(9, 9))
    (root / "text.png").write_text("text")
    shown = picture(item(value), root, side=64)
    assert "<img" not in shown
    assert f"<small>{reason}</small>" in shown
