"""MovieLens in the layout of ml-latest, ml-20m, ml-25m (movies.csv, ratings.csv, tags.csv) → contract tables.

The first genre is the category, all of them stay in `genres`. Tags carry times of their own, so they become a table
beside the contract (tags.parquet) instead of an item text that would hold the future.
"""

from pathlib import Path

import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.convert import as_ids, as_numbers, as_times
from ltexpo.data.importers.files import find_file, find_optional, read_columns

NO_GENRE = "(no genres listed)"


def import_movielens(path: Path) -> Imported:
    """Films and ratings; tags.csv may be absent."""
    movies, ratings = (find_file(path, name, source="movielens") for name in ("movies.csv", "ratings.csv"))
    events = _with_ids(ratings, ["rating"])
    events[Columns.Event] = EventKind.Rating
    events[Columns.Rating] = as_numbers(events[Columns.Rating], f"{ratings}: 'rating'")
    repeated = events.duplicated()
    tags = find_optional(path, "tags.csv")
    return Imported(
        items=_items(movies),
        events=events[~repeated],
        left_out={"events: repeated rating": int(repeated.sum())} if repeated.any() else {},
        extra={} if tags is None else {"tags": _with_ids(tags, ["tag"])},
    )


def _items(movies: Path) -> pd.DataFrame:
    rows = read_columns(movies, ["movieId", "title", "genres"])
    genres = rows["genres"].mask(rows["genres"] == NO_GENRE)
    return pd.DataFrame({
        Columns.Item: as_ids(rows["movieId"], f"{movies}: 'movieId'"),
        Columns.Title: rows["title"],
        Columns.Category: genres.str.split("|").str[0],
        "genres": genres,
    })


def _with_ids(path: Path, columns: list[str]) -> pd.DataFrame:
    rows = read_columns(path, ["userId", "movieId", *columns, "timestamp"])
    return pd.DataFrame({
        Columns.User: as_ids(rows["userId"], f"{path}: 'userId'"),
        Columns.Item: as_ids(rows["movieId"], f"{path}: 'movieId'"),
        **{column: rows[column] for column in columns},
        Columns.Timestamp: as_times(rows["timestamp"], f"{path}: 'timestamp'", unit="s"),
    })
