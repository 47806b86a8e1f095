"""A folder of contract tables ↔ one checked dataset in memory."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.files import read_json, write_json
from ltexpo.data.images import ImageReport, check_images
from ltexpo.data.output_folder import output_folder
from ltexpo.data.parquet import last_snapshot
from ltexpo.data.schema import EVENTS, ITEMS, USERS, Checked, check_table, read_table, require_known_ids
from ltexpo.data.tables import write_frame
from ltexpo.data.tail import TailSpec, tier_summary
from ltexpo.errors import TableError

log = logging.getLogger("ltexpo")

ITEMS_FILE, EVENTS_FILE, USERS_FILE, DATASET_FILE = "items.parquet", "events.parquet", "users.parquet", "dataset.json"


@dataclass(frozen=True)
class Dataset:
    """Checked items and, where there are any, events and users; `root` is the folder that image paths start from."""

    items: pd.DataFrame
    events: pd.DataFrame | None = None
    users: pd.DataFrame | None = None
    root: Path | None = None
    notes: dict[str, int] = field(default_factory=dict)
    """What was tolerated while checking, and for how many rows."""

    @classmethod
    def of(
        cls,
        items: pd.DataFrame,
        events: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        root: Path | None = None,
    ) -> "Dataset":
        """Check frames against their contracts and against each other."""
        return cls._join(
            check_table(items, ITEMS),
            None if events is None else check_table(events, EVENTS),
            None if users is None else check_table(users, USERS),
            root,
        )

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read and check what `save` or a user wrote into `folder`; raises `TableError` or `ColumnError`.

        A table is a Parquet file, or a folder of parts or of hive partitions, named with or without its suffix. Of
        items and users in folders by date (`items/date=2020-09-19/`) the last day's are read, of events all.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise TableError(f"{folder}: no such folder. Give one that holds {ITEMS_FILE} ('ltexpo import' makes it).")
        items, events, users = (table_place(folder, file) for file in (ITEMS_FILE, EVENTS_FILE, USERS_FILE))
        if items is None:
            raise TableError(f"{folder}: holds no {ITEMS_FILE}. Run 'ltexpo import' first.")
        return cls._join(
            read_table(items, ITEMS),
            None if events is None else read_table(events, EVENTS),
            None if users is None else read_table(users, USERS),
            folder,
        )

    @classmethod
    def _join(cls, items: Checked, events: Checked | None, users: Checked | None, root: Path | None) -> "Dataset":
        notes = {f"items.{note}": count for note, count in items.notes.items()}
        if events is not None:
            require_known_ids(events, items, Columns.Item, left_name="events", right_name="items")
            notes |= {f"events.{note}": count for note, count in events.notes.items()}
            repeats = _repeats(events.frame)
            if repeats:
                notes["events.rows equal to an earlier row, each counted as an event of its own"] = repeats
        if users is not None:
            notes |= {f"users.{note}": count for note, count in users.notes.items()}
            if events is not None:
                if (Columns.User in users.integer_ids) != (Columns.User in events.integer_ids):
                    require_known_ids(events, users, Columns.User, left_name="events", right_name="users")
                # A users table often covers members only; the others simply have no attributes.
                strangers = events.frame[Columns.User][~events.frame[Columns.User].isin(users.frame[Columns.User])]
                if len(strangers):
                    notes["events.users without a row in users"] = int(strangers.nunique())
        for note, count in notes.items():
            if note.endswith("in the future"):
                log.warning("%s: %d. Check the clock or the zone of what wrote them.", note, count)
        return cls(
            items.frame, None if events is None else events.frame, None if users is None else users.frame, root, notes
        )

    def require_events(self, why: str) -> pd.DataFrame:
        """The events, or a `TableError` saying what needs them."""
        if self.events is None:
            raise TableError(f"{self.root or 'dataset'}: holds no {EVENTS_FILE}, which {why} needs.")
        return self.events

    def image_report(self) -> ImageReport:
        """Which items' pictures are there and readable."""
        return check_images(self.items, self.root)

    def save(self, out: Path, *, source: str = "", left_out: dict[str, int] | None = None) -> Path:
        """Write the tables and `dataset.json` into the folder `out`, all or nothing.

        `left_out` says what an importer did not take over, reason → rows.
        """
        with output_folder(out, verb="save") as folder:
            self.write_into(folder, source=source, left_out=left_out)
        return out

    def write_into(self, folder: Path, *, source: str = "", left_out: dict[str, int] | None = None) -> None:
        """The files of `save`, into a folder that the caller makes appear at once."""
        write_frame(self.items, folder / ITEMS_FILE)
        if self.events is not None:
            write_frame(self.events, folder / EVENTS_FILE)
        if self.users is not None:
            write_frame(self.users, folder / USERS_FILE)
        write_json(describe(self, source=source, left_out=left_out), folder / DATASET_FILE)


def table_place(folder: Path, file: str) -> Path | None:
    """The file or folder of a table in `folder`, its name with or without the suffix; None: there is none.

    Of items and users in folders by date it is the last one.
    """
    found = [place for place in (folder / file, folder / file.removesuffix(".parquet")) if place.exists()]
    if len(found) > 1:
        raise TableError(f"{folder}: holds both {file} and {found[1].name}/. Keep one.")
    if not found:
        return None
    return found[0] if file == EVENTS_FILE else last_snapshot(found[0])


def _repeats(events: pd.DataFrame) -> int:
    """Rows that equal an earlier one in every column: a log read twice, or two of a thing bought where only the day is
    known. Which of these, the table does not tell, so they stay."""
    # few rows of most logs share their moment with another
    alike = events[events.duplicated([Columns.Timestamp], keep=False)]
    try:
        return int(alike.duplicated().sum())
    except TypeError:  # a column of lists
        return int(alike.astype(str).duplicated().sum())


def describe(dataset: Dataset, *, source: str = "", left_out: dict[str, int] | None = None) -> dict[str, Any]:
    """What `dataset.json` holds: counts, time range, tail figures, missing fields, what was tolerated or left out."""
    items, events, users = dataset.items, dataset.events, dataset.users
    facts: dict[str, Any] = {
        "source": source,
        "items": len(items),
        "missing": _missing(items),
        "left_out": left_out or {},
        "tolerated": dataset.notes,
    }
    if events is not None:
        spec = TailSpec()
        facts |= {
            "events": events[Columns.Event].value_counts().to_dict(),
            "users": int(events[Columns.User].nunique()),
            "from": events[Columns.Timestamp].min().isoformat(),
            "to": events[Columns.Timestamp].max().isoformat(),
            "tail": {"definition": str(spec), "tiers": tier_summary(spec.assign(items, events)).to_dict("records")},
        }
    if users is not None:
        facts["users_with_attributes"] = len(users)
    return facts


def _missing(items: pd.DataFrame) -> dict[str, int]:
    """Column → items that have no value there, where there are any; a blank title is none."""
    counts = {column: int(items[column].isna().sum()) for column in items.columns}
    if Columns.Title in counts:
        counts[Columns.Title] = untitled(items)
    return {column: count for column, count in counts.items() if count}


def untitled(items: pd.DataFrame) -> int:
    """Items whose title is missing or blank."""
    return int((items[Columns.Title].fillna("").astype(str).str.strip() == "").sum())


def read_facts(folder: Path) -> dict[str, Any]:
    """The `dataset.json` of `folder`; empty when the folder was not written by ltexpo."""
    path = Path(folder) / DATASET_FILE
    facts: dict[str, Any] = read_json(path) if path.exists() else {}
    return facts
