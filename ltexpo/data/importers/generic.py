"""A user's own CSV, TSV, Parquet or JSON lines + a YAML column map → contract tables.

The map names, for each table, the file and which of its columns is which:

    items:
      path: products.csv
      columns: {item_id: sku, title: name, image: picture}
      attributes: [colour, size]
      numbers: [size]
    events:
      path: log.jsonl.gz
      columns: {user_id: customer, item_id: sku, event: action, timestamp: ts}
      kinds: {view: impression, buy: purchase, login: null}
      time_unit: s
    images: pictures
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns, EventKind
from ltexpo.config import Settings, read_settings
from ltexpo.data.importers.base import Imported
from ltexpo.data.importers.convert import as_ids, as_numbers, as_times
from ltexpo.data.importers.files import column_names, json_lines, read_columns
from ltexpo.data.parquet import last_snapshot
from ltexpo.data.schema import EVENTS, ITEMS, USERS, Contract
from ltexpo.data.tables import parquet_columns, read_frame
from ltexpo.errors import ColumnError, ConfigError, TableError

DEFAULT_MAP = "columns.yaml"
TimeUnit = Literal["iso", "s", "ms", "us"]
SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".ndjson")


class TableMap(Settings):
    """Where a table lies and which of its columns is which."""

    path: Path
    """The file, relative to the data folder: .csv, .tsv, .parquet, .jsonl, .json or .ndjson (one object a line);
    text files may end in .gz. Or a folder of Parquet parts, hive-partitioned or not; of items and users in folders by
    date the last day's are read."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """Contract column: your column. One that has the contract's name already needs no entry; null ignores it."""
    attributes: Literal["all"] | tuple[str, ...] = ()
    """Further columns to keep, under their own names; 'all' keeps every one."""
    numbers: tuple[str, ...] = ()
    """Attributes that are numbers; from text files all others stay text."""
    time_unit: TimeUnit = "iso"
    """How times are written: ISO 8601 texts, or seconds, milliseconds, microseconds since 1970."""
    separator: str | None = Field(None, min_length=1, max_length=1)
    """What stands between the cells of a CSV; default: comma, in .tsv the tab."""


class EventsMap(TableMap):
    """The table of events, and what your event names mean."""

    kinds: dict[str, Literal["impression", "click", "cart", "purchase", "rating"] | None] = Field(default_factory=dict)
    """Your event name: impression, click, cart, purchase or rating; null leaves such rows out and counts them."""
    kind: Literal["impression", "click", "cart", "purchase", "rating"] | None = None
    """What every row is, when the file has no event column."""


class ColumnMap(Settings):
    """Which files and columns make up the dataset."""

    items: TableMap
    """The catalogue."""
    events: EventsMap | None = None
    """What users did and saw."""
    users: TableMap | None = None
    """What is known of users."""
    images: Path = Path()
    """Folder that paths in the image column start from, relative to the data folder."""


def import_generic(path: Path, *, map_file: Path | None = None) -> Imported:
    """The tables that `map_file` (default: columns.yaml in `path`) names; its paths start from `path`.

    Raises `ConfigError` for a wrong map and `ColumnError` for a mapped column that the file does not have.
    """
    file = path / DEFAULT_MAP if map_file is None else map_file
    if not file.is_file():
        raise ConfigError(
            f"{file}: no such column map. Write one (items: {{path: products.csv, columns: {{item_id: sku, title: name"
            "}}) and give it with --map."
        )
    column_map = read_settings(ColumnMap, file)
    left_out: dict[str, int] = {}
    remarks: dict[str, str] = {}
    items = _read(path, column_map.items, ITEMS, "items", file, remarks, further=(Columns.Image,))
    events = None if column_map.events is None else _events(path, column_map.events, file, left_out, remarks)
    users = None if column_map.users is None else _read(path, column_map.users, USERS, "users", file, remarks)
    return Imported(items, events, users, left_out, remarks=remarks, image_root=path / column_map.images)


def _events(
    path: Path, events_map: EventsMap, file: Path, left_out: dict[str, int], remarks: dict[str, str]
) -> pd.DataFrame:
    fixed: dict[str, str] = {} if events_map.kind is None else {Columns.Event: events_map.kind}
    events = _read(path, events_map, EVENTS, "events", file, remarks, fixed=fixed)
    if fixed:
        return events
    kinds: dict[str, str | None] = {kind: kind for kind in EventKind.All} | dict(events_map.kinds)
    named = as_ids(events[Columns.Event], f"{path / events_map.path}: event")
    unknown = ~named.isin(list(kinds))
    if unknown.any():
        raise ColumnError(
            f"{path / events_map.path}: event {named[unknown].iloc[0]!r} is not in events.kinds ({int(unknown.sum())} "
            f"such rows). Map it to one of {', '.join(EventKind.All)}, or to null to leave such rows out."
        )
    for name in sorted(name for name, kind in kinds.items() if kind is None):
        if count := int((named == name).sum()):
            left_out[f"events: kind '{name}'"] = count
    kept = named.map(kinds)
    return events.assign(**{Columns.Event: kept})[kept.notna()]


def _read(
    path: Path, table: TableMap, contract: Contract, name: str, file: Path, remarks: dict[str, str], *,
    further: tuple[str, ...] = (), fixed: dict[str, str] | None = None,
) -> pd.DataFrame:
    """The mapped columns of `table` under their contract names and types, attributes behind them.

    What is not taken is said in `remarks`.
    """
    source = path / table.path
    contract_names = [*contract.kinds, *further]
    for column in table.columns:
        if column not in contract_names:
            raise ConfigError(
                f"{file}: {name}.columns names '{column}', which {name} do not have. Known: "
                f"{', '.join(contract_names)}; keep other columns with {name}.attributes."
            )
    found, read = _open(source, table, file, name)
    own = {column: column for column in contract_names if column in found} | table.columns
    mapped = {column: yours for column, yours in own.items() if yours is not None and column not in (fixed or {})}
    missing = [column for column in contract.required if column not in mapped and column not in (fixed or {})]
    if missing:
        hint = " or give events.kind" if missing == [Columns.Event] else ""
        raise ColumnError(
            f"{source}: {name} need '{missing[0]}'; found {', '.join(found)}. "
            f"Name your column for it in {name}.columns of {file}{hint}."
        )
    taken = set(mapped.values()) | set(table.columns)
    attributes = [c for c in found if c not in taken and c not in mapped] if table.attributes == "all" else [
        *table.attributes
    ]
    for yours in (*mapped.values(), *attributes, *table.numbers):
        if yours not in found:
            raise ColumnError(f"{source}: has no column '{yours}' as {file} says; found {', '.join(found)}.")
    if clash := [column for column in attributes if column in contract_names]:
        raise ConfigError(f"{file}: {name}.attributes names '{clash[0]}', a contract column. Map it in {name}.columns.")
    unused = [column for column in found if column not in {*mapped.values(), *attributes}]
    if unused:
        mend = f"name them in {name}.columns or {name}.attributes"
        remarks[f"{name}: columns not taken"] = f"{', '.join(unused)} ({mend})"
    required = [mapped[column] for column in contract.required if column in mapped]
    rows = read(list(dict.fromkeys([*mapped.values(), *attributes])), required)
    frame = {
        column: _typed(rows[yours], contract.kinds.get(column, "text"), f"{source}: '{yours}'", table.time_unit)
        for column, yours in mapped.items()
    }
    for column in attributes:
        where = f"{source}: '{column}'"
        frame[column] = as_numbers(rows[column], where) if column in table.numbers else _plain(rows[column])
    return pd.DataFrame(frame, index=rows.index).assign(**(fixed or {}))


def _typed(values: pd.Series, kind: str, where: str, time_unit: TimeUnit) -> pd.Series:
    if kind in ("id", "event"):
        return as_ids(values, where)
    if kind in ("number", "rank"):
        return as_numbers(values, where)
    if kind == "time" and time_unit != "iso":
        return as_times(values, where, unit=time_unit)
    return values


def _plain(values: pd.Series) -> pd.Series:
    """Attributes that Parquet can hold: nested JSON values become JSON text."""
    if values.dtype != object:
        return values
    kinds = {type(value) for value in values.dropna()}
    if len(kinds) <= 1 and not kinds & {list, dict}:
        return values
    return values.map(
        lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), na_action="ignore"
    )


def _read_json(source: Path, columns: list[str]) -> pd.DataFrame:
    """Some fields of a JSON lines file; a field that a line lacks is missing there."""
    cells: dict[str, list[Any]] = {column: [] for column in columns}
    for _, row in json_lines(source):
        for column, values in cells.items():
            values.append(row.get(column))
    return pd.DataFrame({column: _narrow(pd.Series(values, dtype=object)) for column, values in cells.items()})


def _narrow(values: pd.Series) -> pd.Series:
    """A column of one kind of number in that kind; anything else as it is."""
    kinds = {type(value) for value in values.dropna()}
    return values.infer_objects() if len(kinds) == 1 and kinds & {int, float, bool} else values


def _open(
    source: Path, table: TableMap, file: Path, name: str
) -> tuple[list[str], Callable[[list[str], list[str]], pd.DataFrame]]:
    """Column names of `source`, and a function that reads some of them, of which some must be in each part."""
    if source.is_dir():
        parts = source if name == "events" else last_snapshot(source)
        return parquet_columns(parts), lambda columns, required: read_frame(parts, columns=columns, required=required)
    plain = source.name.removesuffix(".gz")
    suffix = Path(plain).suffix
    if suffix not in SUFFIXES or (suffix == ".parquet" and source.suffix == ".gz"):
        raise ConfigError(f"{file}: {name}.path '{table.path}' ends in none of {', '.join(SUFFIXES)} (.gz for text).")
    if not source.exists():
        raise TableError(f"{source}: no such file. Check {name}.path in {file}.")
    if suffix in (".jsonl", ".json", ".ndjson"):
        # Read twice, so that fields nobody asked for are never held in memory.
        names = list(dict.fromkeys(field for _, row in json_lines(source) for field in row))
        return names, lambda columns, _: _read_json(source, columns)
    separator = table.separator or ("\t" if suffix == ".tsv" else ",")
    names = column_names(source, separator=separator)
    return names, lambda columns, _: read_columns(source, columns, separator=separator)
