"""A table of goals (group, value, kind, amount) + the catalogue → single goals with their items, however many."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from ltexpo.data.tables import read_frame
from ltexpo.errors import ColumnError, ConfigError
from ltexpo.rerank.groups import TIERS, GoalTable, expand_goals, valued_members
from ltexpo.rerank.settings import LIMITS, RerankSettings

GOAL_COLUMNS = ["group", "value", "kind", "amount"]


def all_goals(settings: RerankSettings, items: pd.DataFrame) -> GoalTable:
    """The goals and welfare groups that stand in `settings`, then goals of its `goals_file`; `items` in code order."""
    listed = expand_goals(settings.goals, items, settings.welfare)
    if settings.goals_file is None:
        return listed
    filed = read_goals(settings.goals_file, items)
    members = csr_array(vstack([listed.members, filed.members], format="csr"))
    return GoalTable(pd.concat([listed.frame, filed.frame], ignore_index=True), members)


def read_goals(path: Path, items: pd.DataFrame) -> GoalTable:
    """One goal a row of the Parquet at `path`, in its order.

    group: a column of items, or head, tail, new, which have no value; kind: one of the limits of a `Goal`. Raises
    `TableError`, `ColumnError` or `ConfigError` naming the path, the row and the mend.
    """
    table = read_frame(path)
    missing = [column for column in GOAL_COLUMNS if column not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns))
        raise ColumnError(f"{path}: lacks '{missing[0]}'; found {found}. Give {', '.join(GOAL_COLUMNS)}.")
    # a table narrows no goal by other columns, as `where` in words may
    frame = table[GOAL_COLUMNS].reset_index(drop=True).assign(where=pd.Series([None] * len(table), dtype=object))
    _refuse(path, frame, "kind", ~frame["kind"].isin(LIMITS), f"Give one of {', '.join(LIMITS)}")
    if not pd.api.types.is_numeric_dtype(frame["amount"]) or pd.api.types.is_bool_dtype(frame["amount"]):
        raise ColumnError(f"{path}: 'amount' holds {frame['amount'].dtype} values. Give numbers.")
    amount = frame["amount"].to_numpy(dtype=np.float64, na_value=np.nan)
    share = ~frame["kind"].astype(str).str.endswith("_exposure").to_numpy(bool)
    wrong = ~np.isfinite(amount) | (amount < 0) | (share & (amount > 1))
    _refuse(path, frame, "amount", pd.Series(wrong), "Give exposure of 0 or more, or a share from 0 to 1")
    _refuse(path, frame, "group", frame["group"].isna(), "Give a column of items, or head, tail or new")
    tier = frame["group"].isin(TIERS)
    gap = frame["value"].isna()
    _refuse(path, frame, "value", tier & ~gap, "Leave it empty for a tier")
    _refuse(path, frame, "value", ~tier & gap, "Say which value of the column")
    members, order = [], []
    for group, rows in frame.groupby("group", sort=False):
        place = rows.index.to_numpy()
        if group in TIERS:
            inside = items["tier"].isin(TIERS[str(group)]).to_numpy(np.float64)
            block = csr_array(np.ones((len(rows), 1))) @ csr_array(inside[None, :])
        else:
            block = valued_members(str(group), rows["value"], None, items)
        nobody = np.flatnonzero(np.diff(block.indptr) == 0)
        if len(nobody):
            row = int(place[nobody[0]])
            raise ConfigError(
                f"{path}: row {row}: no item of the catalogue has {group} '{frame['value'].iloc[row]}' "
                f"({len(nobody)} such rows). Correct it or leave those rows out."
            )
        members.append(block)
        order.append(place)
    if not members:
        return GoalTable(frame, csr_array((0, len(items))))
    stacked = csr_array(vstack(members, format="csr"))[np.argsort(np.concatenate(order))]
    values = frame["value"].astype(object).where(~gap, None)
    return GoalTable(frame.assign(value=values, amount=amount), csr_array(stacked))


def _refuse(path: Path, frame: pd.DataFrame, column: str, wrong: "pd.Series[bool]", mend: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        shown = frame[column].iloc[row]
        raise ColumnError(f"{path}: '{column}' row {row} is {shown!r} ({int(wrong.sum())} such rows). {mend}.")
