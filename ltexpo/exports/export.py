"""Lists and boosts in hand → a folder of files, each told in the result."""

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from ltexpo.columns import Columns
from ltexpo.errors import unwritable
from ltexpo.exports.boosts import BoostTable
from ltexpo.exports.lists import BATCH_ROWS, Lists
from ltexpo.exports.lookups import WRITERS
from ltexpo.exports.result import ExportedFile
from ltexpo.exports.search import write_function_score, write_rank_feature
from ltexpo.exports.settings import ExportSettings


def export_boosts(
    table: BoostTable, settings: ExportSettings, folder: Path
) -> tuple[list[ExportedFile], list[str]]:
    """Write the formats of the boost table that `settings` names into `folder`; what they are, and notes."""
    files: list[ExportedFile] = []
    notes: list[str] = []
    for name, write in (("function_score", write_function_score), ("rank_feature", write_rank_feature)):
        if name in settings.formats:
            made, said = write(table, settings, folder / name)
            files += made
            notes += said
    return files, notes


def export_lists(
    rankings: Path, item_ids: pa.Array | pa.ChunkedArray, settings: ExportSettings, folder: Path, *,
    batch_rows: int = BATCH_ROWS,
) -> tuple[list[ExportedFile], list[str]]:
    """Write the formats of the lists that `settings` names into `folder`, in one pass; what they are, and notes.

    `item_ids` (I,): the catalogue's. Raises `ColumnError`, `TableError`, `OutputError`, and
    `StorageError` when the disk is full.
    """
    chosen = [WRITERS[name] for name in settings.formats if name in WRITERS]
    if not chosen:
        return [], []
    key = Columns.User if settings.key == "user" else Columns.Request
    lists = Lists(rankings, item_ids, key=key, details=settings.details, batch_rows=batch_rows)
    try:
        with ExitStack() as open_files:
            writers = [
                open_files.enter_context(make(folder / name, key, lists.item_ids, settings)) for name, make in chosen
            ]
            for batch in lists.batches():
                for writer in writers:
                    writer.write(batch)
    except OSError as error:
        raise unwritable(folder, error) from error
    notes = []
    if lists.gaps and not settings.details and {"redis", "jsonl"} & set(settings.formats):
        notes.append(f"{lists.gaps:,} lists leave a slot empty; without details their items close up in redis and "
                     "jsonl.")
    if "redis" in settings.formats and settings.ttl is None:
        notes.append("redis: lists of keys that are not among these stay as they were; set ttl to let them vanish.")
    return [writer.told(len(lists), lists.rows) for writer in writers], notes
