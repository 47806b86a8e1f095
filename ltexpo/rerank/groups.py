"""Goals in words + the catalogue → which items each goal counts, and its target in exposure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, vstack

from ltexpo.columns import Columns, Tier
from ltexpo.errors import ColumnError, ConfigError
from ltexpo.rerank.settings import Goal, Limit, Welfare

WELFARE = "welfare"
"""Kind of the rows that stand for the groups of a welfare term."""
_TIERS = {"head": (Tier.Head,), "tail": (Tier.Tail, Tier.New), "new": (Tier.New,)}


@dataclass(frozen=True, eq=False)
class GoalTable:
    """Every single goal of a job: which items count, and how much exposure is asked for."""

    frame: pd.DataFrame
    """(G rows) group, value, kind (one of `LIMITS`), amount as it was asked.

    Groups of welfare stand below, of kind welfare; their amount is the place of their term.
    """
    members: csr_array
    """(G, I) 1 where the item counts for the goal."""

    def __len__(self) -> int:
        return len(self.frame)


def expand_goals(goals: Sequence[Goal], items: pd.DataFrame, welfare: Sequence[Welfare] = ()) -> GoalTable:
    """One row per single goal; `items` (I rows, in code order) holds item_id, tier and the columns that goals name.

    Raises `ColumnError` when a goal names a column that is not there, `ConfigError` when no item is meant.
    """
    rows: list[pd.DataFrame] = []
    members: list[csr_array] = []
    asked: list[tuple[Goal | Welfare, str, float]] = [(goal, *goal.limit) for goal in goals]
    asked += [(term, WELFARE, float(n)) for n, term in enumerate(welfare)]
    for goal, kind, amount in asked:
        values, codes = _values(goal, items)
        codes = np.where(_where(goal, items), codes, -1)
        counted = np.flatnonzero(codes >= 0)
        present = np.unique(codes[counted])
        if not len(present):
            what = "welfare" if kind == WELFARE else "goal"
            raise ConfigError(f"{what} on '{goal.group}': no item of the catalogue is meant. Check value and where.")
        rows.append(pd.DataFrame({"group": goal.group, "value": values[present], "kind": kind, "amount": amount}))
        place = np.searchsorted(present, codes[counted])
        members.append(csr_array((np.ones(len(counted)), (place, counted)), shape=(len(present), len(items))))
    if not rows:
        empty = pd.DataFrame({"group": [], "value": [], "kind": []}, dtype=object).assign(amount=np.zeros(0))
        return GoalTable(empty, csr_array((0, len(items))))
    return GoalTable(pd.concat(rows, ignore_index=True), csr_array(vstack(members, format="csr")))


def goal_targets(
    table: GoalTable, *, total: float, attainable: Callable[[], npt.NDArray[np.float64]]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Kind (+1 at least, −1 at most, 0 welfare) and target exposure of every goal, (G,); `total`: of all lists."""
    kinds: pd.Series[str] = table.frame["kind"].astype(str)
    amount = table.frame["amount"].to_numpy(np.float64)
    share = kinds.str.endswith("_share").to_numpy(bool)
    relative = (kinds == "min_of_attainable").to_numpy(bool)
    target = np.where(share, amount * total, amount)
    if relative.any():
        target = np.where(relative, amount * attainable(), target)
    soft = (kinds == WELFARE).to_numpy(bool)
    kind = np.where(kinds.str.startswith("max").to_numpy(bool), -1, np.where(soft, 0, 1))
    return kind.astype(np.int8), np.where(soft, 0.0, target)


def shown_amount(kind: Limit | str, exposure: float, *, total: float) -> float:
    """`exposure` in the unit in which a goal of this kind is asked: a share of `total`, or exposure as it is."""
    return exposure / total if kind.endswith("_share") and total else exposure


def column_of(items: pd.DataFrame, column: str, *, why: str) -> "pd.Series[str]":
    """The named column of items; raises `ColumnError` with what was found."""
    if column not in items.columns:
        raise ColumnError(f"{why}: '{column}' is not a column of items; found {', '.join(items.columns)}.")
    values: pd.Series[str] = items[column]
    return values


def _values(
    goal: Goal | Welfare, items: pd.DataFrame
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Names of the goal's groups, and each item's group (I,), −1 for none."""
    if isinstance(goal, Welfare):
        codes, names = pd.factorize(column_of(items, goal.group, why="welfare"), sort=True)
        return np.asarray(names, dtype=object), np.asarray(codes, dtype=np.int64)
    if goal.group in _TIERS:
        if goal.each or goal.value is not None:
            raise ConfigError(f"goal on '{goal.group}': value and each belong to columns, not to a tier.")
        inside = items[Columns.Tier].isin(_TIERS[goal.group]).to_numpy()
        return np.array([None], dtype=object), np.where(inside, 0, -1)
    column = column_of(items, goal.group, why="goal")
    if goal.each:
        codes, names = pd.factorize(column, sort=True)
        return np.asarray(names, dtype=object), np.asarray(codes, dtype=np.int64)
    if goal.value is None:
        raise ConfigError(f"goal on '{goal.group}': say which value, or each: true.")
    return np.array([goal.value], dtype=object), np.where((column == goal.value).to_numpy(bool), 0, -1)


def _where(goal: Goal | Welfare, items: pd.DataFrame) -> npt.NDArray[np.bool_]:
    kept = np.ones(len(items), dtype=bool)
    for column, wanted in goal.where.items():
        values = column_of(items, column, why=f"goal on '{goal.group}', where")
        kept &= values.isin([wanted] if isinstance(wanted, str) else list(wanted)).to_numpy()
    return kept
