"""Candidates and catalogue as tables ↔ a `Problem` as arrays, and the chosen slots as a rankings table."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.errors import ColumnError, ConfigError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.rerank.attain import attainable
from ltexpo.rerank.groups import GoalTable, column_of, expand_goals, goal_targets
from ltexpo.rerank.kernels import choose_plain
from ltexpo.rerank.problem import Cap, Goals, Guardrails, Problem
from ltexpo.rerank.rounding import empty_slots
from ltexpo.rerank.settings import GuardrailSettings, RerankSettings
from ltexpo.rerank.welfare import with_welfare

Slots = npt.NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A job in arrays, with what turns its answer back into tables."""

    problem: Problem
    table: GoalTable
    item_ids: IdMap
    requests: "pd.Index[str]"
    """(R,) request of each list."""
    users: npt.NDArray[np.object_] | None
    """(R,) user of each list, where candidates name one."""
    notes: dict[str, int]
    """What was left out or looks odd → how many rows."""

    def rankings(self, slots: Slots, boosts: npt.NDArray[np.float32]) -> pd.DataFrame:
        """Chosen `slots` (R, k; offsets in each list, −1 = empty) as a rankings table; `boosts` (I,) per item."""
        problem = self.problem
        row, slot = np.nonzero(slots >= 0)
        place = problem.indptr[row] + slots[row, slot]
        item = problem.items[place]
        lists = {
            Columns.Request: self.requests.take(row),
            Columns.Rank: (slot + 1).astype(np.int32),
            Columns.Item: self.item_ids.decode(item),
            Columns.Score: problem.scores[place],
            Columns.Exposure: problem.attention[slot],
            Columns.Price: boosts[item].astype(np.float64),
            Columns.Boosted: (boosts[item] > 0) & (slot < self._plain_slot(slots)[row, slot]),
        }
        frame = pd.DataFrame(lists)
        if self.users is not None:
            frame.insert(1, Columns.User, self.users[row])
        return frame

    @cached_property
    def plain(self) -> Slots:
        """(R, k) the ranker's own top k of the same candidates, under the per-list caps only."""
        slots = empty_slots(self.problem)
        choose_plain(self.problem.lists, slots)
        return slots

    def _plain_slot(self, slots: Slots) -> npt.NDArray[np.int64]:
        """(R, k) slot that each chosen candidate has in the plain list; k where it is not in it."""
        found = np.full(slots.shape, self.problem.k, dtype=np.int64)
        for place in range(self.problem.k):
            found[slots == self.plain[:, place : place + 1]] = place
        return found


def encode(candidates: pd.DataFrame, items: pd.DataFrame, settings: RerankSettings) -> Encoded:
    """The job's `Problem`; `items` is the full catalogue with a tier column.

    Raises `ColumnError`, `TableError` or `ConfigError` on candidates, goals or guardrails that cannot be used.
    """
    checked = check_table(candidates, CANDIDATES).frame
    catalogue = items.sort_values(Columns.Item, ignore_index=True)
    item_ids = IdMap(pd.Index(catalogue[Columns.Item]))
    notes: dict[str, int] = {}
    if settings.guardrails.banned:
        unwanted = checked[Columns.Item].isin(settings.guardrails.banned)
        notes["banned candidates left out"] = int(unwanted.sum())
        checked = checked[~unwanted].reset_index(drop=True)
        if checked.empty:
            raise TableError("guardrails.banned: no candidate is left. Ban fewer items.")
    codes = item_ids.codes_or_missing(checked[Columns.Item])
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise TableError(
            f"candidates row {row}: item_id '{checked[Columns.Item].iloc[row]}' is not in items "
            f"({int((codes < 0).sum())} such rows). Add it to items or leave those rows out."
        )
    scores = click_scores(checked[Columns.Score].to_numpy(np.float64), settings, notes)
    table = expand_goals(settings.goals, catalogue, settings.welfare)
    request, requests = pd.factorize(checked[Columns.Request], sort=True)
    order = np.argsort(request, kind="stable")
    lengths = np.bincount(request, minlength=len(requests))
    attention = attention_weights(settings.attention, settings.k)

    def build(goals: Goals, *, boostable: npt.NDArray[np.bool_] | None) -> Problem:
        members = table.members.T.tocsr()
        return Problem.build(
            np.concatenate([[0], np.cumsum(lengths)]), codes[order], scores[order], attention=attention,
            group_indptr=members.indptr, group_ids=members.indices, goals=goals,
            guardrails=_guardrails(settings.guardrails, catalogue, boostable),
        )

    group = np.arange(len(table), dtype=np.int64)
    boostable = _confident(checked, scores, request, settings)
    unbounded = Goals(group, np.ones(len(table), np.int8), np.zeros(len(table)))
    problem = build(unbounded, boostable=None if boostable is None else boostable[order])
    kind, target = goal_targets(table, total=problem.total_exposure, attainable=lambda: attainable(problem))
    problem = _with_goals(problem, Goals(group, kind, target))
    if settings.welfare:
        problem, left_out = with_welfare(problem, settings.welfare, table.frame)
        if left_out:
            notes["groups without candidates left out of the welfare"] = left_out
    users = None
    if Columns.User in checked.columns:
        users = checked[Columns.User].to_numpy(dtype=object)[order][np.cumsum(lengths) - lengths]
    return Encoded(problem, table, item_ids, pd.Index(requests), users, notes)


def click_scores(
    scores: npt.NDArray[np.float64], settings: RerankSettings, notes: dict[str, int]
) -> npt.NDArray[np.float64]:
    """Scores in expected clicks per examination, as `score_kind` says; raises `ColumnError` where they cannot be."""
    if settings.score_kind == "logit":
        mapped: npt.NDArray[np.float64] = expit(scores)
        return mapped
    if (scores < 0).any():
        row = int(np.flatnonzero(scores < 0)[0])
        raise ColumnError(
            f"candidates: 'score' row {row} is {scores[row]:g}, negative. Give probabilities of a click, or set "
            "score_kind: logit."
        )
    if settings.score_kind == "probability" and (scores > 1).any():
        row = int(np.flatnonzero(scores > 1)[0])
        raise ColumnError(
            f"candidates: 'score' row {row} is {scores[row]:g}, above 1. Give probabilities of a click, or set "
            "score_kind: relevance."
        )
    if len(scores) > 1 and scores.min() == scores.max():
        notes["candidates with one and the same score"] = len(scores)
    return scores


def _with_goals(problem: Problem, goals: Goals) -> Problem:
    return Problem(
        problem.indptr, problem.items, problem.scores, problem.attention, problem.group_indptr, problem.group_ids,
        goals, problem.guardrails, problem.weights,
    )


def _guardrails(
    rails: GuardrailSettings, items: pd.DataFrame, boostable: npt.NDArray[np.bool_] | None
) -> Guardrails:
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
        boostable=boostable,
        protect_top=rails.protect_top,
        caps=tuple(caps),
        max_request_loss=rails.max_request_loss,
        max_click_loss=rails.max_click_loss,
    )


def _confident(
    candidates: pd.DataFrame, scores: npt.NDArray[np.float64], request: npt.NDArray[np.int64], settings: RerankSettings
) -> npt.NDArray[np.bool_] | None:
    """Whether each candidate's lower confidence bound passes the score floors; None when no confidence is asked."""
    rails = settings.guardrails
    if rails.confidence is None:
        return None
    if Columns.ScoreStd not in candidates.columns:
        raise ColumnError("guardrails.confidence needs 'score_std' in candidates. Add it or remove the guardrail.")
    raw = candidates[[Columns.Score, Columns.ScoreStd]].to_numpy(np.float64)
    lower = raw[:, 0] - rails.confidence * raw[:, 1]
    if settings.score_kind == "logit":  # score_std is in the unit of the score
        lower = expit(lower)
    best = pd.Series(scores).groupby(request).transform("max").to_numpy()
    passes = np.ones(len(scores), dtype=bool)
    if rails.min_score_ratio is not None:
        passes &= lower >= rails.min_score_ratio * best
    if rails.min_score is not None:
        passes &= lower >= rails.min_score
    return passes
