"""What an importer returns → a checked dataset folder, everything left out or mended counted."""

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import DATASET_FILE, Dataset
from ltexpo.data.files import read_json, write_json
from ltexpo.data.images import image_path
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import write_frame
from ltexpo.errors import ImportFormatError, TableError

IMAGES_FOLDER = "images"


@dataclass(frozen=True)
class Imported:
    """The tables of a source under the contract's names, before they are checked."""

    items: pd.DataFrame
    events: pd.DataFrame | None = None
    users: pd.DataFrame | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    """Why rows were not taken over → how many."""
    tolerated: dict[str, int] = field(default_factory=dict)
    """What was mended or read as missing in rows that were taken over → how many."""
    remarks: dict[str, str] = field(default_factory=dict)
    """What a reader of the dataset must know about it; stands in dataset.json."""
    image_root: Path | None = None
    """The folder that paths in the image column start from."""
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Tables beyond the contract, by name; each is written to <name>.parquet."""


def save_imported(imported: Imported, path: Path, out: Path, *, source: str) -> Path:
    """Check `imported` and write it to the folder `out`, pictures included, all or nothing.

    Rows that no contract could hold (no id, no time, an item outside the catalogue, a repeated item or user) are
    left out and counted. `path` is where it was read from, which `out` may not hold. Pictures are hard-linked
    into OUT/images where the file system allows it, else copied.
    """
    imported = leave_out_unusable(imported)
    with output_folder(out, verb="import", inputs=(path,)) as folder:
        items, missing = place_images(imported.items, imported.image_root, folder)
        dataset = Dataset.of(items, imported.events, imported.users, folder)
        dataset = replace(dataset, notes=dataset.notes | imported.tolerated | missing)
        dataset.write_into(folder, source=source, left_out=imported.left_out)
        for name, table in imported.extra.items():
            write_frame(table, folder / f"{name}.parquet")
        if imported.remarks:
            write_json(read_json(folder / DATASET_FILE) | {"remarks": imported.remarks}, folder / DATASET_FILE)
    return out


def leave_out_unusable(imported: Imported) -> Imported:
    """`imported` without the rows that cannot stand in a contract table, each reason counted in `left_out`."""
    left_out = dict(imported.left_out)

    def keep(frame: pd.DataFrame, good: pd.Series, reason: str) -> pd.DataFrame:
        if not (bad := int((~good).sum())):
            return frame
        left_out[reason] = left_out.get(reason, 0) + bad
        return frame[good]

    def keep_known(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> pd.DataFrame:
        for column in columns:
            if column in frame.columns:
                frame = keep(frame, frame[column].notna(), f"{name}: no {column}")
        return frame

    items = keep_known(imported.items, (Columns.Item,), "items")
    items = keep(items, ~items[Columns.Item].duplicated(), "items: repeated item_id, first row kept")
    if items.empty:
        raise ImportFormatError("no item is left to import. Check that the item file holds rows with ids.")
    events, users = imported.events, imported.users
    if events is not None:
        events = keep_known(events, (Columns.User, Columns.Item, Columns.Timestamp), "events")
        events = keep(events, events[Columns.Item].isin(items[Columns.Item]), "events: item not in the catalogue")
        if events.empty:
            reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items()) or "its file holds no rows"
            raise ImportFormatError(f"no event is left to import ({reasons}). Check that both files belong together.")
    if users is not None:
        users = keep_known(users, (Columns.User,), "users")
        users = keep(users, ~users[Columns.User].duplicated(), "users: repeated user_id, first row kept")
        users = users if len(users) else None
    return replace(imported, items=items, events=events, users=users, left_out=left_out)


def place_images(items: pd.DataFrame, root: Path | None, folder: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """`items` with pictures linked below `folder`, paths rewritten to match; and how many were not to be had.

    Paths in the image column start from `root`; one that leaves it or names no file becomes missing. Bytes stay.
    """
    if Columns.Image not in items.columns:
        return items, {}
    if not items[Columns.Image].notna().any():
        return items.drop(columns=Columns.Image), {}
    counts: dict[str, int] = {}
    made: set[Path] = set()
    base = (root or Path()).resolve()

    def place(value: object) -> object:
        if not isinstance(value, str):
            return value if isinstance(value, bytes) else None
        try:
            picture = image_path(value, base)
        except TableError as error:
            state = f"items: picture {str(error).split(':', 1)[0]}"
            counts[state] = counts.get(state, 0) + 1
            return None
        relative = Path(IMAGES_FOLDER) / picture.relative_to(base)
        _link(picture, folder / relative, made)
        return relative.as_posix()

    placed = [place(value) for value in items[Columns.Image]]
    return items.assign(**{Columns.Image: pd.Series(placed, index=items.index, dtype=object)}), counts


def _link(picture: Path, target: Path, made: set[Path]) -> None:
    if target.parent not in made:
        target.parent.mkdir(parents=True, exist_ok=True)
        made.add(target.parent)
    if target.exists():
        return
    try:
        os.link(picture, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(picture, target)
