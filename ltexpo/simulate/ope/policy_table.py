"""A policy as a table: its columns checked, those it depends on, and the table of what a log's own policy did."""

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, TableError
from ltexpo.simulate.ope.logged import Logged

PROBABILITY = "probability"
ABOUT_ONE = 1e-4
"""How far the probabilities of a slot may miss 1 before they are refused: rounding in the table."""


def context_of(table: pd.DataFrame) -> list[str]:
    """The columns of a policy table that `read_log` must keep as context."""
    if PROBABILITY not in table.columns:
        return []
    known = (Columns.Item, Columns.Rank, PROBABILITY, Columns.Request, Columns.User)
    return [str(column) for column in table.columns if column not in known]


def policy_of_log(log: Logged) -> pd.DataFrame:
    """item_id, rank, probability: how often `log` shows each item at each rank, to be judged on another policy's log.

    Averages of logged propensities would not do: what is shown often is logged often.
    """
    request, rank = np.nonzero(log.shown)
    counts = pd.DataFrame({Columns.Item: log.items[request, rank], Columns.Rank: rank + 1}).value_counts(sort=False)
    table = counts.rename("count").reset_index().sort_values([Columns.Rank, Columns.Item], ignore_index=True)
    total = table.groupby(Columns.Rank)["count"].transform("sum")
    return pd.DataFrame({
        Columns.Item: log.item_map.decode(table[Columns.Item].to_numpy()), Columns.Rank: table[Columns.Rank],
        PROBABILITY: table["count"] / total,
    })


def checked_table(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with string ids, int ranks and float probabilities; `ColumnError` or `TableError` where it has not."""
    missing = [name for name in (Columns.Item, Columns.Rank) if name not in table.columns]
    if missing:
        raise ColumnError(
            f"policy lacks {', '.join(map(repr, missing))}; found {', '.join(map(str, table.columns))}. Give item_id, "
            "rank and probability, and request_id where it depends on the request."
        )
    if table.empty:
        raise TableError("policy is empty. Give at least one row.")
    frame = table.reset_index(drop=True)
    ids = [name for name in (Columns.Item, Columns.Request, Columns.User) if name in frame.columns]
    for name in ids:
        if frame[name].isna().any():
            raise ColumnError(f"policy: '{name}' is missing in {int(frame[name].isna().sum())} rows. Fill it.")
    frame = frame.assign(**{name: frame[name].astype(str) for name in ids})
    for name in (Columns.Rank, PROBABILITY):
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            raise ColumnError(f"policy: '{name}' holds {frame[name].dtype} values. Give numbers.")
    ranks = frame[Columns.Rank].to_numpy(np.float64, na_value=np.nan)
    chance = frame[PROBABILITY].to_numpy(np.float64, na_value=np.nan)
    for column, bad, what in (
        (Columns.Rank, ~(ranks >= 1) | (ranks % 1 != 0), "not a whole number from 1"),
        (PROBABILITY, ~((chance >= 0) & (chance <= 1 + ABOUT_ONE)), "not a probability from 0 to 1"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ColumnError(
                f"policy: '{column}' row {row} is {frame[column].iloc[row]}, {what} ({int(bad.sum())} such rows). "
                "Mend the table."
            )
    return frame.assign(**{Columns.Rank: ranks.astype(np.int64), PROBABILITY: chance})
