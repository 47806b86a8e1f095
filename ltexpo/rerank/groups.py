"""Goals in words + the catalogue → which items each goal counts, and its target in exposure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, vstack

from ltexpo.columns import Columns, Tier
from ltexpo.errors import ColumnError, ConfigError
from ltexpo.rerank.settings import Goal, Limit, Welfare

WELFARE = "welfare"
"""Kind of the rows that stand for the groups of a welfare term."""
TIERS = {"head": (Tier.Head,), "tail": (Tier.Tail, Tier.New), "new": (Tier.New,)}


@dataclass(frozen=True, eq=False)
class GoalTable:
    """Every single goal of a job: which items count, and how much exposure is asked for."""

    frame: pd.DataFrame
    """(G rows) group, value, kind (one of `LIMITS`), amount as it was asked, where (None unless items were narrowed).

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
    order: list[npt.NDArray[np.int64]] = []
    for places in _alike(goals):
        goal = goals[places[0]]
        if goal.value is not None and goal.group not in TIERS:
            # many goals on one column read it once
            values = np.array([goals[n].value for n in places], dtype=object)
            block = valued_members(goal.group, pd.Series(values), _where(goal, items), items)
            at = np.array(places, dtype=np.int64)
        else:
            values, block = _groups(goal, items, what="goal")
            at = np.full(len(values), places[0], dtype=np.int64)
        empty = np.flatnonzero(np.diff(block.indptr) == 0)
        if len(empty):
            raise ConfigError(
                f"goal on '{goal.group}' and value '{values[empty[0]]}': no item of the catalogue is meant. "
                "Check value and where."
            )
        kinds, amounts = zip(*(goals[n].limit for n in at), strict=True)
        rows.append(pd.DataFrame({
            "group": goal.group, "value": values, "kind": kinds, "amount": amounts,
            "where": pd.Series([goal.where or None] * len(at), dtype=object),
        }))
        members.append(block)
        order.append(at)
    for n, term in enumerate(welfare):
        values, block = _groups(term, items, what="welfare")
        rows.append(pd.DataFrame({"group": term.group, "value": values, "kind": WELFARE, "amount": float(n)}))
        members.append(block)
        order.append(np.full(len(values), len(goals) + n, dtype=np.int64))
    if not rows:
        empty_frame = pd.DataFrame({"group": [], "value": [], "kind": []}, dtype=object).assign(amount=np.zeros(0))
        return GoalTable(empty_frame, csr_array((0, len(items))))
    as_asked = np.argsort(np.concatenate(order), kind="stable")
    frame = pd.concat(rows, ignore_index=True).iloc[as_asked].reset_index(drop=True)
    return GoalTable(frame, csr_array(csr_array(vstack(members, format="csr"))[as_asked]))


def valued_members(
    group: str, values: "pd.Series[str]", kept: npt.NDArray[np.bool_] | None, items: pd.DataFrame
) -> csr_array:
    """(len(values), I) 1 where the item has the value in the column `group` (and is `kept`); raises `ColumnError`."""
    column = _text(column_of(items, group, why="goal"))
    codes, names = pd.factorize(column)
    if kept is not None:
        codes = np.where(kept, codes, -1)
    found = pd.Index(names).get_indexer(pd.Index(values.astype(str)))
    of_names = _members(codes, codes >= 0, len(names))
    wanted = csr_array(
        (np.ones(int((found >= 0).sum())), (np.flatnonzero(found >= 0), found[found >= 0])),
        shape=(len(values), len(names)),
    )
    return csr_array(wanted @ of_names)


def _alike(goals: Sequence[Goal]) -> list[list[int]]:
    """Places of the goals, those on values of one column among the same items together."""
    found: dict[object, list[int]] = {}
    for n, goal in enumerate(goals):
        key = n if goal.value is None else (goal.group, tuple(sorted(goal.where.items(), key=str)))
        found.setdefault(key, []).append(n)
    return list(found.values())


def _members(row: npt.NDArray[np.int64], inside: npt.NDArray[np.bool_], n_rows: int) -> csr_array:
    """(n_rows, I) 1 in the row of every item that is inside."""
    items = np.flatnonzero(inside)
    return csr_array((np.ones(len(items)), (row[items], items)), shape=(n_rows, len(row)))


def _text(column: "pd.Series[Any]") -> "pd.Series[str]":
    """A column of items as the words that settings hold."""
    return column if pd.api.types.is_string_dtype(column) else column.map(str, na_action="ignore")


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


def _groups(
    goal: Goal | Welfare, items: pd.DataFrame, *, what: str
) -> tuple[npt.NDArray[np.object_], csr_array]:
    """Values that some item among those meant has, and their items, (G, I)."""
    values, codes = _values(goal, items)
    codes = np.where(_where(goal, items), codes, -1)
    present = np.unique(codes[codes >= 0])
    if not len(present):
        raise ConfigError(f"{what} on '{goal.group}': no item of the catalogue is meant. Check value and where.")
    return values[present], _members(np.searchsorted(present, codes), codes >= 0, len(present))


def _values(goal: Goal | Welfare, items: pd.DataFrame) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Names of the groups on a tier or on each value, and each item's group (I,), −1 for none."""
    if isinstance(goal, Welfare):
        codes, names = pd.factorize(column_of(items, goal.group, why="welfare"), sort=True)
        return np.asarray(names, dtype=object), np.asarray(codes, dtype=np.int64)
    if goal.group in TIERS:
        if goal.each or goal.value is not None:
            raise ConfigError(f"goal on '{goal.group}': value and each belong to columns, not to a tier.")
        inside = items[Columns.Tier].isin(TIERS[goal.group]).to_numpy()
        return np.array([None], dtype=object), np.where(inside, 0, -1)
    column = column_of(items, goal.group, why="goal")
    if goal.each:
        codes, names = pd.factorize(column, sort=True)
        return np.asarray(names, dtype=object), np.asarray(codes, dtype=np.int64)
    raise ConfigError(f"goal on '{goal.group}': say which value, or each: true.")


def _where(goal: Goal | Welfare, items: pd.DataFrame) -> npt.NDArray[np.bool_]:
    kept = np.ones(len(items), dtype=bool)
    for column, wanted in goal.where.items():
        values = _text(column_of(items, column, why=f"goal on '{goal.group}', where"))
        kept &= values.isin([wanted] if isinstance(wanted, str) else list(wanted)).to_numpy()
    return kept
