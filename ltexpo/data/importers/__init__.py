"""The name of a source and where its files lie → a dataset folder in the contract's tables."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ltexpo.data.importers.amazon_kg import import_amazon_kg
from ltexpo.data.importers.amazon_reviews import import_amazon_reviews
from ltexpo.data.importers.base import Imported, save_imported
from ltexpo.data.importers.generic import ColumnMap, import_generic
from ltexpo.data.importers.hm import import_hm
from ltexpo.data.importers.movielens import import_movielens
from ltexpo.data.importers.myntra import import_myntra
from ltexpo.data.importers.olist import import_olist
from ltexpo.data.importers.open_bandit import import_open_bandit
from ltexpo.errors import ConfigError, ImportFormatError

__all__ = ["IMPORTERS", "ColumnMap", "Imported", "Importer", "import_source"]

Importer = Callable[[Path], Imported]

IMPORTERS: dict[str, Importer] = {
    "hm": import_hm,
    "movielens": import_movielens,
    "amazon-reviews": import_amazon_reviews,
    "amazon-kg": import_amazon_kg,
    "open-bandit": import_open_bandit,
    "olist": import_olist,
    "myntra": import_myntra,
    "generic": import_generic,
}
"""Each reads a folder and returns its tables, not yet checked; names are those of the command line."""


def import_source(source: str, path: Path, out: Path, *, map_file: Path | None = None) -> Path:
    """Read the files of `source` in the folder `path`, check them, and write the dataset folder `out`, all or nothing.

    `map_file` is the column map of the source 'generic' (default: columns.yaml in `path`). Returns `out`.
    Raises `ConfigError` for an unknown source, `ImportFormatError` where the files are not what the source's name
    promises, and `ColumnError` or `TableError` where they are but hold what the contracts do not allow.
    """
    if source not in IMPORTERS:
        raise ConfigError(f"source '{source}' is unknown. Use one of {', '.join(IMPORTERS)}.")
    importer = IMPORTERS[source]
    if map_file is not None:
        if source != "generic":
            raise ConfigError(f"--map is for the source 'generic'; '{source}' knows its columns. Leave it out.")
        importer = partial(import_generic, map_file=map_file)
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "no such folder"
        raise ImportFormatError(f"{path}: {what}. Give the folder that holds the files of '{source}'.")
    return save_imported(importer(path), path, Path(out), source=source)
