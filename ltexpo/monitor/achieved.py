"""What was shown + the goals → the exposure each goal got, with its interval, against its target."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import stdtrit

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError
from ltexpo.monitor.published import Published
from ltexpo.monitor.shown import Shown
from ltexpo.rerank.groups import TIERS


def achieved(
    shown: Shown, published: Published, items: pd.DataFrame, *, level: float = 0.95
) -> pd.DataFrame:
    """One row a goal: group, value, kind, target, achieved, low, high, error, users, sign; shares of all exposure.

    Targets in exposure are taken as shares of what the published lists were planned to give, so that a day of more
    visits asks for more. The interval is over users: the linearised ratio's (see `metrics.intervals.estimate`). `users`
    were shown the group at all; `sign` is +1 for at least and −1 for at most. `items` holds item_id, tier and the
    columns that goals name; a goal that means no item of theirs has NaN.
    """
    goals = published.goals
    kinds = goals["kind"].astype(str)
    share = kinds.str.endswith("_share").to_numpy(bool)
    target = goals["target"].to_numpy(np.float64)
    target = np.where(share, target, target / published.total if published.total else np.nan)
    members = goal_members(goals, items)
    depth = np.minimum(shown.rank, published.k + 1) - 1
    weight = np.append(published.attention, 0.0)[depth]  # slots beyond k are no part of the goals
    codes = pd.Index(items[Columns.Item]).get_indexer(pd.Index(shown.item))
    known = codes >= 0
    per_user = csr_array((weight[known], (shown.user[known], codes[known])), shape=(shown.n_users, len(items)))
    given = csr_array(per_user @ members.T).tocsc()
    total = np.bincount(shown.user[known], weights=weight[known], minlength=shown.n_users)
    whole = float(total.sum())
    sums = np.asarray(given.sum(axis=0)).ravel()
    ratio = sums / whole if whole else np.full(len(goals), np.nan)
    squares = np.asarray(given.multiply(given).sum(axis=0)).ravel()
    cross = np.asarray(given.T @ total).ravel()
    count = int((total > 0).sum())
    if count > 1:
        variance = (squares - 2 * ratio * cross + ratio**2 * float(np.square(total).sum())) / whole**2
        error = np.sqrt(np.maximum(variance, 0.0) * count / (count - 1))
        half = error * float(stdtrit(count - 1, 0.5 + level / 2))
    else:
        error = half = np.full(len(goals), np.nan)
    empty = np.diff(members.indptr) == 0
    ratio = np.where(empty, np.nan, ratio)
    return goals[["group", "value", "kind"]].assign(
        target=target, achieved=ratio, low=ratio - half, high=ratio + half, error=np.where(empty, np.nan, error),
        users=np.diff(given.indptr), sign=np.where(kinds.str.startswith("max").to_numpy(bool), -1, 1),
    )


def goal_members(goals: pd.DataFrame, items: pd.DataFrame) -> csr_array:
    """(G, I) 1 where the item counts for the goal; raises `ColumnError` where `items` lacks a column that is named."""
    texts: dict[str, npt.NDArray[np.object_]] = {}
    rows, columns = [], []
    wheres = goals["where"].tolist() if "where" in goals.columns else [None] * len(goals)
    lookup: dict[str, dict[str, npt.NDArray[np.int64]]] = {}
    for g, (group, value, where) in enumerate(zip(goals["group"], goals["value"], wheres, strict=True)):
        if group in TIERS:
            inside = np.flatnonzero(np.isin(_text(items, Columns.Tier, texts), TIERS[group]))
        else:
            if group not in lookup:
                cells = pd.Series(_text(items, group, texts))
                found = cells.groupby(cells).groups
                lookup[group] = {str(name): np.asarray(at, np.int64) for name, at in found.items()}
            inside = lookup[group].get(str(value), np.empty(0, np.int64))
        for column, wanted in (where or {}).items() if isinstance(where, dict) else ():
            allowed = [wanted] if isinstance(wanted, str) else list(wanted)
            inside = inside[np.isin(_text(items, column, texts)[inside], allowed)]
        rows.append(np.full(len(inside), g))
        columns.append(inside)
    if not rows:
        return csr_array((0, len(items)))
    at, of = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.ones(len(of)), (at, of)), shape=(len(goals), len(items)))


def _text(items: pd.DataFrame, column: str, held: dict[str, npt.NDArray[np.object_]]) -> npt.NDArray[np.object_]:
    if column not in held:
        if column not in items.columns:
            raise ColumnError(
                f"goal on '{column}': is not a column of items; found {', '.join(items.columns)}. "
                "Give the catalogue that the lists were made from."
            )
        values = items[column]
        held[column] = np.asarray([None if value is None or value != value else str(value) for value in values], object)
    return held[column]
