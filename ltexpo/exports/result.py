"""The files of an export → what each holds and how it is loaded, as export.json and as a small table."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class ExportedFile:
    """One file, or the parts of one."""

    path: str
    """Within the export's folder; with '*' where it comes in parts."""
    format: str
    rows: int
    """Of what `holds` names first."""
    holds: str
    load: str | None = None
    """The command that loads it, run in the export's folder; None: it is read where it lies."""


@dataclass(frozen=True)
class ExportResult:
    """What 'ltexpo export' wrote."""

    files: tuple[ExportedFile, ...]
    notes: tuple[str, ...]
    """What the systems cannot express, or what was decided for them."""
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What export.json holds."""
        return {**self.facts, "files": [asdict(file) for file in self.files], "notes": list(self.notes)}

    def to_pandas(self) -> pd.DataFrame:
        """One row a file: path, format, rows, holds, load."""
        return pd.DataFrame([asdict(file) for file in self.files])

    def __str__(self) -> str:
        width = max(len(file.path) for file in self.files)
        lines = [f"{file.path:<{width}}  {file.rows:>12,}  {file.holds}" for file in self.files]
        return "\n".join([*lines, *self.notes, "export.json says how to load each."])
