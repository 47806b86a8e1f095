"""Candidates and catalogue as tables → a `Problem` as arrays."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.errors import ColumnError, ConfigError, InputError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.rerank.attain import attainable
from ltexpo.rerank.goal_file import all_goals
from ltexpo.rerank.groups import GoalTable, column_of, goal_targets
from ltexpo.rerank.intake import CompactLists, Reading, read_lists, repeated_item
from ltexpo.rerank.kernels import choose_plain
from ltexpo.rerank.pins import pin_slots, refuse_unknown
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem, empty_slots
from ltexpo.rerank.rows import pass_floors
from ltexpo.rerank.scale import Scale, click_scores, score_scale
from ltexpo.rerank.settings import GuardrailSettings, RerankSettings
from ltexpo.rerank.source import Candidates, Source
from ltexpo.rerank.welfare import with_welfare
from ltexpo.rerank.workspace import Workspace

Slots = npt.NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A job in arrays, with what turns its answer back into tables."""

    problem: Problem
    table: GoalTable
    item_ids: IdMap
    requests: pa.Array
    """(R,) request of each list, rising."""
    users: pa.Array | None
    """(R,) user of each list, where candidates name one."""
    notes: dict[str, int]
    """What was left out or looks odd → how many rows."""
    scale: Scale
    """How the scores became clicks."""

    @cached_property
    def plain(self) -> Slots:
        """(R, k) the ranker's own top k of the same candidates, under the per-list caps only."""
        slots = empty_slots(self.problem)
        choose_plain(self.problem.lists, slots)
        return slots


def encode(
    candidates: Candidates, items: pd.DataFrame, settings: RerankSettings, *, scale: Scale | None = None,
    scratch: Path | None = None,
) -> Encoded:
    """The job's `Problem`; `items` is the full catalogue with a tier column, `scale` default `score_scale`.

    Candidates are a frame, an Arrow table or dataset, or the path of Parquet; the arrays are the same for any order of
    their rows. Above `settings.memory_limit` the arrays lie in temporary files in `scratch`. Raises `ColumnError`,
    `TableError` or `ConfigError` on candidates, goals or guardrails that cannot be used.
    """
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
    notes: dict[str, int] = {}
    to_clicks = score_scale(candidates, settings) if scale is None else scale
    confidence = rails.confidence
    reading = Reading(
        lambda scores, first_row: click_scores(scores, to_clicks, first_row=first_row),
        # score_std is in the unit of the score
        None if confidence is None else lambda scores, error: to_clicks(scores.astype(float) - confidence * error),
        rails.banned,
    )
    workspace = Workspace(settings.memory_limit, scratch)
    lists = read_lists(source, item_ids, workspace, reading, notes)
    if lists.lower is not None:
        guardrails = replace(guardrails, boostable=_confident(lists, rails, workspace))
    members = table.members.T.tocsr()
    group = np.arange(len(table), dtype=np.int64)
    unbounded = Goals(group, np.ones(len(table), np.int8), np.zeros(len(table)))
    try:
        problem = Problem.build(
            lists.indptr, lists.items, lists.scores, attention=attention, group_indptr=members.indptr,
            group_ids=members.indices, goals=unbounded, guardrails=guardrails, weights=lists.weights, in_place=True,
        )
    except InputError as error:
        raise (repeated_item(source, lists) or error) from None
    kind, target = goal_targets(table, total=problem.total_exposure, attainable=lambda: attainable(problem))
    problem = replace(problem, goals=Goals(group, kind, target))
    if settings.welfare:
        problem, left_out = with_welfare(problem, settings.welfare, table.frame)
        if left_out:
            notes["groups without candidates left out of the welfare"] = left_out
    return Encoded(problem, table, item_ids, lists.requests, lists.users, notes, to_clicks)


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


def _confident(lists: CompactLists, rails: GuardrailSettings, workspace: Workspace) -> npt.NDArray[np.bool_]:
    """(nnz,) whether each candidate's lower confidence bound passes the score floors."""
    passes = workspace.empty(len(lists.items), np.bool_)
    ratio = -np.inf if rails.min_score_ratio is None else rails.min_score_ratio
    floor = -np.inf if rails.min_score is None else rails.min_score
    pass_floors(lists.indptr, lists.scores, lists.lower, ratio, floor, passes)
    return passes
