"""A source's files → a dataset folder; a dataset folder → its description."""

from pathlib import Path
from typing import Any

from ltexpo.config import Settings
from ltexpo.data.dataset import Dataset, describe, read_facts
from ltexpo.data.importers import import_source


class ImportJob(Settings):
    """Settings of 'ltexpo import'."""

    source: str
    """hm, movielens, amazon-reviews, amazon-kg, open-bandit, olist, myntra, or generic."""
    path: Path
    """Where the source's files lie."""
    out: Path
    """Folder to write items.parquet, events.parquet, users.parquet and dataset.json to."""
    map: Path | None = None
    """For generic: the YAML that maps your columns to the contract's."""


def run_import(job: ImportJob) -> dict[str, Any]:
    """Import, and return what dataset.json holds."""
    import_source(job.source, job.path, job.out, map_file=job.map)
    return read_facts(job.out)


class DescribeJob(Settings):
    """Settings of 'ltexpo describe'."""

    data: Path
    """Dataset folder to describe."""


def run_describe(job: DescribeJob) -> dict[str, Any]:
    """Check the dataset's tables and pictures, and return its sizes, time range, tail figures and missing fields."""
    dataset = Dataset.load(job.data)
    noted = read_facts(job.data)
    facts = describe(dataset, source=str(noted.get("source", "")), left_out=noted.get("left_out"))
    pictures = dataset.image_report()
    if noted.get("remarks"):
        facts["remarks"] = noted["remarks"]
    facts["images"] = {
        state: getattr(pictures, state) for state in ("ok", "absent", "missing", "unreadable", "outside")
    } | {"examples": dict(pictures.examples)}
    return facts
