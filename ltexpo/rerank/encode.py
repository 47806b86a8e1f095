"""Candidates and catalogue as tables → a `Problem` as arrays."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.sparse import csr_array

from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.errors import ColumnError, ConfigError, InputError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.rerank.attain import attainable
from ltexpo.rerank.goal_file import all_goals
from ltexpo.rerank.groups import GoalTable, column_of, goal_targets
from ltexpo.rerank.intake import Reading, confident, read_lists, repeated_item
from ltexpo.rerank.passes import Slots
from ltexpo.rerank.pins import pin_slots, refuse_unknown
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem
from ltexpo.rerank.scale import Scale, click_scores, score_scale
from ltexpo.rerank.settings import GuardrailSettings, RerankSettings
from ltexpo.rerank.source import Candidates, Source
from ltexpo.rerank.task import Boosts, Chosen, Task
from ltexpo.rerank.welfare import with_welfare
from ltexpo.rerank.workspace import Workspace

if TYPE_CHECKING:
    from ltexpo.rerank.lists import ListTables

AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedJob(ABC):
    """A job in arrays, with what turns its answer back into tables; the lists are wherever the engine keeps them."""

    table: GoalTable
    item_ids: IdMap
    notes: dict[str, int]
    """What was left out or looks odd → how many rows."""
    scale: Scale
    """How the scores became clicks."""

    @property
    @abstractmethod
    def task(self) -> Task:
        """What is solved."""

    @property
    @abstractmethod
    def plain(self) -> Chosen:
        """The ranker's own top k of the same candidates, under the per-list caps only."""

    @abstractmethod
    def finals(self, slots: Chosen, boosts: Boosts, paying: npt.NDArray[np.object_]) -> "ListTables":
        """The tables of the lists `slots` that these boosts (I,) made; paying (I,): the goal that pays each of them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoded(EncodedJob):
    """A job in arrays in memory."""

    problem: Problem
    requests: pa.Array
    """(R,) request of each list, rising."""
    users: pa.Array | None
    """(R,) user of each list, where candidates name one."""

    @property
    def task(self) -> Problem:
        """What is solved."""
        return self.problem

    @cached_property
    def plain(self) -> Slots:
        """(R, k) the ranker's own top k of the same candidates, under the per-list caps only."""
        return self.problem.plain()

    def finals(self, slots: Chosen, boosts: Boosts, paying: npt.NDArray[np.object_]) -> "ListTables":
        """The tables of the lists `slots` (R, k)."""
        from ltexpo.rerank.lists import FinalLists

        return FinalLists(self, slots, boosts, paying)


@dataclass(frozen=True, eq=False)
class Job:
    """Catalogue, goals and guardrails in arrays, before any list is read."""

    settings: RerankSettings
    item_ids: IdMap
    table: GoalTable
    attention: npt.NDArray[np.float64]
    guardrails: Guardrails
    scale: Scale
    source: Source

    @classmethod
    def of(
        cls, candidates: Candidates, items: pd.DataFrame, settings: RerankSettings, scale: Scale | None
    ) -> "Job":
        """Raises `ColumnError`, `TableError` or `ConfigError` on goals, guardrails or columns that cannot be used."""
        catalogue = _catalogue(items)
        item_ids = IdMap(pd.Index(catalogue[Columns.Item]))
        table = all_goals(settings, catalogue)
        attention = attention_weights(settings.attention, settings.k)
        rails = settings.guardrails
        refuse_unknown(rails, item_ids)
        guardrails = _guardrails(rails, catalogue, pin_slots(rails.pinned, item_ids))
        source = Source(candidates)
        if rails.confidence is not None and Columns.ScoreStd not in source:
            raise ColumnError("guardrails.confidence needs 'score_std' in candidates. Add it or remove the guardrail.")
        mapped = score_scale(candidates, settings) if scale is None else scale
        return cls(settings, item_ids, table, attention, guardrails, mapped, source)

    @property
    def members(self) -> csr_array:
        """(I, G) goals of every item."""
        return self.table.members.T.tocsr()

    @property
    def unbounded(self) -> Goals:
        """Goals whose targets are not known yet."""
        n_goals = len(self.table)
        return Goals(np.arange(n_goals, dtype=np.int64), np.ones(n_goals, np.int8), np.zeros(n_goals))

    def aimed(self, task: AnyTask) -> AnyTask:
        """`task` with the targets of its goals."""
        kind, target = goal_targets(self.table, total=task.total_exposure, attainable=lambda: attainable(task))
        return replace(task, goals=Goals(np.arange(len(target), dtype=np.int64), kind, target))

    def encoded(self, problem: Problem, requests: pa.Array, users: pa.Array | None, notes: dict[str, int]) -> Encoded:
        """The job with its lists in memory, aimed already, and with its welfare."""
        if self.settings.welfare:
            problem, left_out = with_welfare(problem, self.settings.welfare, self.table.frame)
            if left_out:
                notes["groups without candidates left out of the welfare"] = left_out
        return Encoded(
            problem=problem, table=self.table, item_ids=self.item_ids, requests=requests, users=users, notes=notes,
            scale=self.scale,
        )


def reading_of(scale: Scale, rails: GuardrailSettings) -> Reading:
    """How candidates are read under these guardrails."""
    confidence = rails.confidence
    return Reading(
        lambda scores, first_row: click_scores(scores, scale, first_row=first_row),
        # score_std is in the unit of the score
        None if confidence is None else lambda scores, error: scale(scores.astype(float) - confidence * error),
        rails.banned,
    )


class Engine(Protocol):
    """Encodes a job elsewhere than in this process's memory."""

    def encode(
        self, candidates: Candidates, items: pd.DataFrame, settings: RerankSettings, *, scale: Scale | None,
        scratch: Path | None,
    ) -> EncodedJob:
        """What `encode` does."""


def encode(
    candidates: Candidates, items: pd.DataFrame, settings: RerankSettings, *, scale: Scale | None = None,
    scratch: Path | None = None,
) -> Encoded:
    """The job's `Problem`; `items` is the full catalogue with a tier column, `scale` default `score_scale`.

    Candidates are a frame, an Arrow table or dataset, or the path of Parquet; the arrays are the same for any order of
    their rows. Above `settings.memory_limit` the arrays lie in temporary files in `scratch`. Raises `ColumnError`,
    `TableError` or `ConfigError` on candidates, goals or guardrails that cannot be used.
    """
    job = Job.of(candidates, items, settings, scale)
    rails, guardrails = settings.guardrails, job.guardrails
    notes: dict[str, int] = {}
    workspace = Workspace(settings.memory_limit, scratch)
    lists = read_lists(job.source, job.item_ids, workspace, reading_of(job.scale, rails), notes)
    if lists.lower is not None:
        guardrails = replace(guardrails, boostable=confident(lists, rails, workspace))
    members = job.members
    try:
        problem = Problem.build(
            lists.indptr, lists.items, lists.scores, attention=job.attention, group_indptr=members.indptr,
            group_ids=members.indices, goals=job.unbounded, guardrails=guardrails, weights=lists.weights, in_place=True,
        )
    except InputError as error:
        raise (repeated_item(job.source, lists) or error) from None
    return job.encoded(job.aimed(problem), lists.requests, lists.users, notes)


def _catalogue(items: pd.DataFrame) -> pd.DataFrame:
    """Items by item_id, which is made a string; raises `ColumnError` or `TableError`."""
    for column, mend in (
        (Columns.Item, "Give the full catalogue"),
        (Columns.Tier, "Add it: items.assign(tier=TailSpec().assign(items, events)['tier'])"),
    ):
        if column not in items.columns:
            raise ColumnError(f"items lacks '{column}'; found {', '.join(map(str, items.columns))}. {mend}.")
    ids = items[Columns.Item].astype("str")
    if ids.duplicated().any():
        row = int(np.flatnonzero(ids.duplicated())[0])
        raise TableError(f"items row {row}: {Columns.Item} '{ids.iloc[row]}' stands there twice. Keep one row an item.")
    return items.assign(**{Columns.Item: ids}).sort_values(Columns.Item, ignore_index=True)


def _guardrails(rails: GuardrailSettings, items: pd.DataFrame, pin: npt.NDArray[np.int32] | None) -> Guardrails:
    caps = []
    for column, at_most in rails.max_per.items():
        if at_most < 1:
            raise ConfigError(f"guardrails.max_per: '{column}' is {at_most}; give 1 or more.")
        codes, _ = pd.factorize(column_of(items, column, why="guardrails.max_per"))
        caps.append(Cap(codes.astype(np.int32), at_most))
    floors = rails.confidence is None  # with a confidence the floors are in `boostable`
    return Guardrails(
        min_score_ratio=rails.min_score_ratio if floors else None,
        min_score=rails.min_score if floors else None,
        protect_top=rails.protect_top,
        caps=tuple(caps),
        max_request_loss=rails.max_request_loss,
        max_click_loss=rails.max_click_loss,
        pin=pin,
    )
