"""An item's picture → a small JPEG inside the page, or a drawn tile that says why there is none."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ltexpo.columns import Columns
from ltexpo.data.images import load_image
from ltexpo.errors import LtexpoError
from ltexpo.report.markup import Html, html

_REASONS: Mapping[str, str] = {
    "absent": "no picture given",
    "missing": "picture file is missing",
    "unreadable": "picture cannot be read",
    "outside": "picture lies outside the data folder",
}


def picture(item: Mapping[Any, Any], root: Path | None, *, side: int) -> Html:
    """An <img> of at most `side` × `side` pixels with the item's title as its alternative text, or the tile."""
    title = item.get(Columns.Title)
    shown = title if isinstance(title, str) and title else str(item[Columns.Item])
    value = item.get(Columns.Image)
    if not isinstance(value, bytes | str) or not value:
        return _tile("absent")
    try:
        loaded = load_image(value, root)
    except LtexpoError as error:
        return _tile(str(error).split(":", 1)[0])
    small, (width, height) = _jpeg(loaded, side)
    return html(
        '<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="{title}">',
        data=base64.b64encode(small).decode(), width=width, height=height, title=shown,
    )


def _jpeg(loaded: Image.Image, side: int) -> tuple[bytes, tuple[int, int]]:
    loaded.thumbnail((side, side), Image.Resampling.LANCZOS)
    target = io.BytesIO()
    loaded.save(target, format="JPEG", quality=82, optimize=True)
    return target.getvalue(), loaded.size


def _tile(state: str) -> Html:
    reason = _REASONS.get(state, _REASONS["unreadable"])
    return html(
        '<span class="tile" title="{reason}"><svg viewBox="0 0 64 64" aria-hidden="true">'
        '<path d="M12 48l14-17 9 11 6-7 11 13z"/><circle cx="44" cy="21" r="5"/><path d="M8 8l48 48"/></svg>'
        '<small>{reason}</small></span>',
        reason=reason,
    )
