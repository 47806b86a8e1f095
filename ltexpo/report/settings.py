"""What a report may be told."""

from pathlib import Path

from pydantic import Field

from ltexpo.config import Settings
from ltexpo.data.tail import TailSpec


class ReportSettings(Settings):
    """What the page shows."""

    run: Path
    """Folder of a run: data, rankings and, where they were made, candidates, evaluation, experiment, ope."""
    data: Path | None = None
    """Folder of the dataset; none: the folder data of the run."""
    title: str = "Exposure report"
    """Heading of the page."""
    n_products: int = Field(10, ge=1, le=50)
    """How many of the products that gained most are shown, with their pictures."""
    n_displaced: int = Field(3, ge=1, le=10)
    """How many of the products that each of them displaced are shown."""
    n_pictures_checked: int = Field(2_000, ge=0)
    """How many pictures, evenly over the catalogue, are decoded to count the unreadable; all are looked for."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals that the report works out itself."""
    tail: TailSpec = TailSpec()
    """Which products count as the tail; should be what the lists were re-ranked with."""
