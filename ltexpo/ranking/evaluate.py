"""Lists + what users did afterwards → accuracy and exposure by tier, with intervals, alone or against control lists."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns, EventKind
from ltexpo.config import Settings
from ltexpo.data.dataset import Dataset
from ltexpo.data.schema import RANKINGS, check_table
from ltexpo.data.split import time_split
from ltexpo.data.tail import TailSpec
from ltexpo.errors import ColumnError, ConfigError, TableError
from ltexpo.metrics.accuracy import accuracy_measures, found_ranks
from ltexpo.metrics.exposure import exposure_measures, group_measures, item_exposure
from ltexpo.metrics.inequality import lorenz
from ltexpo.metrics.summary import AllTiers, Measure, differences_table, measures_table


class EvaluateSettings(Settings):
    """How lists are judged."""

    k: tuple[Annotated[int, Field(ge=1)], ...] = Field((10,), min_length=1)
    """Cutoffs: each metric is taken over the first k ranks."""
    attention: str | tuple[float, ...] = "log2"
    """Probability that each rank is examined: log2, uniform, one number per rank, or the path of a Parquet, CSV or JSON
    table with columns rank, attention."""
    since: str | dt.datetime | dt.date | None = None
    """Events from here on are the test, earlier ones decide the tiers; none: exposure only, no accuracy."""
    until: str | dt.datetime | dt.date | None = None
    """The test ends before this time; none: at the last event."""
    relevant: tuple[Literal["impression", "click", "cart", "purchase", "rating"], ...] = EventKind.Interactions
    """The test events that make an item relevant to its user."""
    users: Literal["all", "known", "ranked"] = "all"
    """Whose test events count: all, those known from training, or those with a list; a user without a list scores 0."""
    tail: TailSpec = TailSpec()
    """Which products are the tail."""
    groups: tuple[str, ...] | None = None
    """Item columns whose worst-off groups are reported; none: seller_id where items has it."""


@dataclass(frozen=True)
class Evaluation:
    """What lists are worth and whom they expose; prints as a small table."""

    metrics: pd.DataFrame
    """metric, k, tier, value, low, high, n: 95% intervals over users, NaN for numbers of the whole catalogue."""
    lorenz: pd.DataFrame
    """arm (rankings, control), k, item_share, exposure_share: the Lorenz curve of exposure over the catalogue."""
    tail: str
    """The definition behind the tiers."""
    health: dict[str, int] = field(default_factory=dict)
    """What was counted, left out, or scored 0."""
    control: pd.DataFrame | None = None
    """`metrics` of the control lists."""
    differences: pd.DataFrame | None = None
    """metric, k, tier, control, treatment, value (treatment − control), low, high, n: paired over users."""

    def to_pandas(self) -> pd.DataFrame:
        """Every table in one, with a column arm in front: rankings, control, difference (rankings − control)."""
        columns = list(self.metrics.columns)
        arms = {"rankings": self.metrics, "control": self.control, "difference": self.differences}
        tables = [table[columns].assign(arm=arm) for arm, table in arms.items() if table is not None]
        return pd.concat(tables, ignore_index=True)[["arm", *columns]]

    def __str__(self) -> str:
        parts = [_wide(self.metrics)]
        if self.differences is not None:
            parts.append("rankings − control, paired over users\n" + _wide(self.differences))
        parts.append(self.tail)
        parts.append(", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in self.health.items()))
        return "\n\n".join(parts)


def evaluate(
    dataset: Dataset, rankings: pd.DataFrame, settings: EvaluateSettings, *, control: pd.DataFrame | None = None
) -> Evaluation:
    """Judge `rankings`, and their difference to `control` lists where given.

    A list belongs to the user in its user_id, or, without that column, request_id is the user. Its relevant items are
    those its user acted on in the test period; a user with several lists is one cluster in every interval. Raises
    `SplitError`, `TableError`, `ColumnError` or `ConfigError`.
    """
    if settings.until is not None and settings.since is None:
        raise ConfigError("'until' is set without 'since'. Give the start of the test period too.")
    cutoffs = sorted(set(settings.k))
    frames = {"rankings": check_table(rankings, RANKINGS).frame}
    if control is not None:
        frames["control"] = check_table(control, RANKINGS, source="control").frame

    train, test = _train_and_test(dataset, settings)
    tiers = settings.tail.assign(dataset.items, train)
    item_ids = pd.Index(tiers[Columns.Item])
    # From here on ids are integers: joins are several times faster and nothing is shown to anyone.
    tiers = tiers.assign(**{Columns.Item: np.arange(len(tiers))})
    acting = [_users(frame) for frame in frames.values()] + ([] if test is None else [test[Columns.User]])
    user_ids = pd.Index(pd.unique(pd.concat(acting)))
    arms = {name: _Arm.of(frame, item_ids, user_ids, source=name) for name, frame in frames.items()}

    health = {"lists": len(arms["rankings"].users), "users_with_a_list": int(arms["rankings"].users.nunique())}
    wanted = None
    if test is not None:
        known = user_ids.get_indexer(pd.Index(train[Columns.User].unique()))
        wanted, left_out = _wanted(test, settings, arms["rankings"], known, user_ids, item_ids)
        health |= {"relevant_pairs": len(wanted), "test_users_left_out": left_out}
    measures: dict[str, list[Measure]] = {}
    curves = []
    for name, arm in arms.items():
        prefix = "" if name == "rankings" else f"{name}_"
        rows: list[Measure] = []
        if wanted is not None:
            found, users, counts = arm.match(wanted)
            rows += accuracy_measures(found, tiers, k=cutoffs, users=users)
            health |= {prefix + what: count for what, count in counts.items()}
        lengths = np.bincount(arm.lists[Columns.Request])
        for k in cutoffs:
            rows += exposure_measures(arm.lists, tiers, k=k, attention=settings.attention, users=arm.users)
            for column in _group_columns(dataset.items, settings):
                rows += group_measures(
                    arm.lists, tiers[Columns.Item], dataset.items[column], k=k, attention=settings.attention
                )
            health[f"{prefix}lists_shorter_than_{k}"] = int((lengths < k).sum())
            exposure = item_exposure(arm.lists, tiers[Columns.Item], k=k, attention=settings.attention)
            curve = lorenz(exposure[Columns.Exposure].to_numpy())
            curve.insert(0, "arm", name)
            curve.insert(1, "k", k)
            curves.append(curve)
        measures[name] = rows
    for column in _group_columns(dataset.items, settings):
        health[f"items_without_{column}"] = int(dataset.items[column].isna().sum())
    return Evaluation(
        measures_table(measures["rankings"]),
        pd.concat(curves, ignore_index=True),
        str(settings.tail),
        health,
        measures_table(measures["control"]) if control is not None else None,
        differences_table(measures["rankings"], measures["control"]) if control is not None else None,
    )


@dataclass(frozen=True)
class _Arm:
    """One set of lists in integer ids."""

    lists: pd.DataFrame
    """request_id, rank, item_id."""
    users: "pd.Series[Any]"
    """User of each request; the index is 0 … R − 1."""

    @classmethod
    def of(cls, frame: pd.DataFrame, item_ids: "pd.Index[Any]", user_ids: "pd.Index[Any]", *, source: str) -> "_Arm":
        requests, request_ids = pd.factorize(frame[Columns.Request], sort=True)
        items = item_ids.get_indexer(pd.Index(frame[Columns.Item]))
        if (items < 0).any():
            stranger = frame[Columns.Item].iloc[int(np.flatnonzero(items < 0)[0])]
            raise TableError(
                f"{source}: item_id '{stranger}' is not in items ({int((items < 0).sum())} such rows). "
                "Evaluate with the catalogue that the lists were made from."
            )
        row_users = user_ids.get_indexer(pd.Index(_users(frame)))
        users = np.zeros(len(request_ids), dtype=np.int64)
        users[requests] = row_users
        torn = users[requests] != row_users
        if torn.any():
            row = int(np.flatnonzero(torn)[0])
            raise TableError(f"{source} row {row}: its request has more than one user_id. Give each list one user.")
        lists = pd.DataFrame({
            Columns.Request: requests, Columns.Rank: frame[Columns.Rank].to_numpy(np.int64), Columns.Item: items,
        })
        return cls(lists, pd.Series(users, name=Columns.User))

    def match(self, wanted: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[Any]", dict[str, int]]:
        """`found_ranks` of the pairs user_id, item_id in `wanted`, the users of its requests, and what was counted."""
        requests = pd.DataFrame({Columns.User: self.users.to_numpy(), Columns.Request: self.users.index})
        pairs = wanted.merge(requests, on=Columns.User, how="left")
        without_list = pairs[Columns.Request].isna().to_numpy()
        # A user without a list becomes a request of their own beyond all others: nothing found, score 0.
        pairs.loc[without_list, Columns.Request] = len(self.users) + pairs.loc[without_list, Columns.User]
        pairs[Columns.Request] = pairs[Columns.Request].astype(np.int64)
        users = pairs.drop_duplicates(Columns.Request).set_index(Columns.Request)[Columns.User]
        counts = {
            "lists_without_relevant": len(self.users) - int((users.index < len(self.users)).sum()),
            "test_users_without_list": int(wanted.loc[~wanted[Columns.User].isin(self.users), Columns.User].nunique()),
        }
        return found_ranks(self.lists, pairs), users, counts


def _train_and_test(dataset: Dataset, settings: EvaluateSettings) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    if settings.since is None:
        if dataset.events is None and settings.tail.column is not None:
            return pd.DataFrame(columns=[Columns.User, Columns.Item, Columns.Event]), None
        return dataset.require_events("the tail definition"), None
    split = time_split(dataset.require_events("the test period"), settings.since, settings.until)
    test = split.test[split.test[Columns.Event].isin(settings.relevant)]
    if test.empty:
        raise TableError(
            f"the test period holds no {' or '.join(settings.relevant)}, so no item is relevant. "
            "Choose another period or other relevant events."
        )
    return split.train, test


def _wanted(
    test: pd.DataFrame,
    settings: EvaluateSettings,
    arm: _Arm,
    known: "np.ndarray[Any, Any]",
    user_ids: "pd.Index[Any]",
    item_ids: "pd.Index[Any]",
) -> tuple[pd.DataFrame, int]:
    """Distinct relevant pairs user_id, item_id in integer ids, and how many test users were left out."""
    pairs = pd.DataFrame({
        Columns.User: user_ids.get_indexer(pd.Index(test[Columns.User])),
        Columns.Item: item_ids.get_indexer(pd.Index(test[Columns.Item])),
    }).drop_duplicates()
    kept = pairs
    if settings.users == "known":
        kept = pairs[pairs[Columns.User].isin(known)]
    elif settings.users == "ranked":
        kept = pairs[pairs[Columns.User].isin(arm.users)]
    if not kept[Columns.User].isin(arm.users).any():
        raise TableError(
            "rankings: no list belongs to a user with relevant events in the test period. Check that rankings and "
            f"events spell users alike; '{Columns.User}' says whose a list is, else '{Columns.Request}' is the user."
        )
    return kept, int(pairs[Columns.User].nunique() - kept[Columns.User].nunique())


def _users(frame: pd.DataFrame) -> "pd.Series[Any]":
    return frame[Columns.User if Columns.User in frame.columns else Columns.Request]


def _group_columns(items: pd.DataFrame, settings: EvaluateSettings) -> tuple[str, ...]:
    if settings.groups is None:
        has_sellers = Columns.Seller in items.columns and items[Columns.Seller].notna().any()
        return (Columns.Seller,) if has_sellers else ()
    for column in settings.groups:
        if column not in items.columns:
            raise ColumnError(f"groups: '{column}' is not in items; found {', '.join(items.columns)}.")
    return settings.groups


def _wide(table: pd.DataFrame) -> str:
    """One line per metric, one column per tier that holds anything."""
    cells = table.assign(cell=[_cell(*numbers) for numbers in table[["value", "low", "high"]].to_numpy(np.float64)])
    wide = cells.pivot(index="metric", columns="tier", values="cell")
    tiers = [tier for tier in (AllTiers, "head", "tail", "new") if tier in wide.columns]
    wide = wide.loc[list(dict.fromkeys(table["metric"])), tiers].fillna("")
    wide.index.name = wide.columns.name = None
    return wide.to_string()


def _cell(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "–"
    interval = "" if np.isnan(low) else f" [{low:.4g}, {high:.4g}]"
    return f"{value:.4g}{interval}"
