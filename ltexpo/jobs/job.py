"""What every job shares: where its data lies, its seed, and which events its candidates were trained on."""

import datetime as dt
import hashlib
from pathlib import Path

import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.dataset import Dataset
from ltexpo.data.split import as_utc
from ltexpo.data.tables import MADE_BY, MODEL_KEY, TRAINED_UNTIL, read_metadata
from ltexpo.data.tail import TailSpec
from ltexpo.errors import SplitError

_WEIGHTS = (".json", ".parquet", ".safetensors", ".txt")
"""Files of a model's folder that decide its scores."""


class DataJob(Settings):
    """A step that reads a dataset folder."""

    data: Path
    """Folder that holds items.parquet and events.parquet."""
    seed: int = Field(0, ge=0)
    """Seed of everything random in this step."""


def trained_until(table: Path) -> str | None:
    """The moment up to which the maker of the Parquet file `table` had seen events; None when it did not say."""
    noted = read_metadata(table).get(TRAINED_UNTIL)
    return None if noted is None else str(noted)


def scored_by(table: Path) -> str | None:
    """Who scored the lists of the Parquet file `table`: `BY_MODEL` or `BY_BLEND`; None when it did not say."""
    return read_metadata(table).get(MADE_BY)


def maker_of(table: Path) -> dict[str, str]:
    """What the Parquet file `table` notes of who scored it, for whoever writes its lists anew."""
    noted = read_metadata(table)
    return {name: noted[name] for name in (MADE_BY, MODEL_KEY) if name in noted}


def model_key(model: Path) -> str:
    """Hash of all that the model in the folder `model` consists of."""
    whole = hashlib.sha256()
    for path in sorted(path for path in model.rglob("*") if path.is_file() and path.suffix in _WEIGHTS):
        whole.update(f"{path.relative_to(model)}\n{path.stat().st_size}\n".encode())
        with path.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()[:16]


def refuse_seen_test(table: Path, since: str | dt.date) -> None:
    """Raise `SplitError` when `table` was trained on events of a test period that begins at `since`."""
    until = trained_until(table)
    if until is not None and as_utc(until) > as_utc(since):
        raise SplitError(
            f"{table}: was trained on events up to {until}, later than the start of the test period ({since}). "
            f"Run 'ltexpo recommend --until {since}' first."
        )


def training_tiers(dataset: Dataset, tail: TailSpec, until: str | None) -> pd.DataFrame:
    """Tiers from the events before `until` (None: all events), over the full catalogue."""
    events = dataset.events
    if events is None:
        events = pd.DataFrame({Columns.Item: [], Columns.Event: [], Columns.Timestamp: []})
    elif until is not None:
        events = events[events[Columns.Timestamp] < as_utc(until)]
    return tail.assign(dataset.items, events)
