"""Fitted components + weights → one score; components' scores on a validation period → the weights."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.data.history import History
from ltexpo.ranking.scorer import Scorer
from ltexpo.sparse import Csr, csr, scaled_rows, top_rows

_FACTORS = ((0.0, 0.5, 2.0), (0.75, 1.33))
"""What each weight is multiplied by: first in large steps, then in small ones."""
_ROUNDS = 6
_WORTH_IT = 0.5
"""A step's gain must be this many of its own standard errors: below, it only fits the noise of the validation."""

POPULARITY_FLOOR = 0.01
"""Popularity never leaves the blend, so that a user whom nothing else reaches still gets a full list."""


class Blend(Scorer):
    """score(u, i) = Σ_c w_c · score_c(u, i) / max_i score_c(u, i), with w ≥ 0 summing to 1.

    `pool` is how many items of each component take part. Fitted: `weights_` (in the order of `scorers`).
    """

    name: ClassVar[str] = "blend"

    def __init__(self, scorers: Sequence[Scorer], weights: Mapping[str, float], *, pool: int = 300) -> None:
        self.scorers, self.weights, self.pool = tuple(scorers), dict(weights), pool

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        """See `Scorer.fit`."""
        for scorer in self.scorers:
            scorer.fit(history, items)
        self.weights_ = np.array([self.weights[scorer.name] for scorer in self.scorers])
        return self

    def adopt(self, history: History) -> Self:
        """See `Scorer.adopt`."""
        for scorer in self.scorers:
            scorer.adopt(history)
        return self

    def parts(self, users: npt.NDArray[np.int64], *, skip: Csr | None = None) -> dict[str, Csr]:
        """Each component's best `pool` items of each user, the best scored 1: name → CSR (B, I)."""
        return {scorer.name: scaled_to_best(scorer.score(users, self.pool, skip=skip)) for scorer in self.scorers}

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        """See `Scorer.score`."""
        parts = self.parts(users, skip=skip)
        return top_rows(mixed(parts, dict(zip(parts, self.weights_, strict=True))), n)


def mixed(parts: Mapping[str, Csr], weights: Mapping[str, float]) -> Csr:
    """Σ_c w_c · parts_c, CSR (B, I)."""
    total = sum(part * np.float32(weights[name]) for name, part in parts.items() if weights[name] > 0)
    return csr(total)


def scaled_to_best(scores: Csr) -> Csr:
    """Rows of `scores` divided by their largest entry; empty rows stay empty."""
    best = np.zeros(scores.shape[0], dtype=np.float32)
    np.maximum.at(best, np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)), scores.data)
    return scaled_rows(scores, 1 / np.where(best > 0, best, np.float32(1)))


class Validation:
    """Scores of validation users' candidates, ready to be judged under many weights.

    parts: name → CSR (B, I); taken: CSR (B, I), the items that the users took in the validation period.
    """

    def __init__(self, parts: Mapping[str, Csr], taken: Csr, *, k: int) -> None:
        self.names, self.k = tuple(parts), k
        pool = csr(sum((part > 0).astype(np.float32) for part in parts.values()))
        pool = pool.sorted_indices()
        self.indptr, columns = pool.indptr, pool.indices
        rows = np.repeat(np.arange(pool.shape[0]), np.diff(pool.indptr))
        self.scores = np.stack([_values_at(part, rows, columns) for part in parts.values()])
        self.hit = _values_at(taken, rows, columns) > 0
        self.wanted = np.diff(csr(taken).indptr)

    def judge(self, weights: npt.ArrayLike) -> tuple[float, float, float]:
        """Mean nDCG@k, recall@k and MAP@k over users with `weights` (components,)."""
        gains = self.per_user(weights)
        return float(gains[0].mean()), float(gains[1].mean()), float(gains[2].mean())

    def per_user(self, weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """nDCG@k, recall@k and average precision@k of each user (3, B)."""
        total = np.asarray(weights, dtype=np.float32) @ self.scores
        return np.asarray(_judge(total, self.indptr, self.hit, self.wanted, self.k))

    def judge_part(self, name: str) -> tuple[float, float, float]:
        """`judge` of one component alone."""
        return self.judge([float(name == other) for other in self.names])


def choose_weights(validation: Validation) -> dict[str, float]:
    """Weights that are best for nDCG@k + recall@k / 2, by coordinate search from equal ones; no randomness.

    Each weight in turn is tried at nothing, half and double until no step is worth it, then at smaller steps.
    """
    def worth(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        ndcg, recall, _ = validation.per_user(weights)
        return np.asarray(ndcg + recall / 2)

    names = validation.names
    floor = np.array([POPULARITY_FLOOR if name == "popularity" else 0.0 for name in names])
    best = np.full(len(names), 1.0 / len(names))
    value = worth(best)
    for factors, _ in itertools.product(_FACTORS, range(_ROUNDS)):
        for at, factor in itertools.product(range(len(names)), factors):
            trial = best.copy()
            trial[at] *= factor
            if trial.sum() == 0:
                continue
            trial = np.maximum(trial / trial.sum(), floor)
            reached = worth(trial)
            gain = reached - value
            if gain.mean() > _WORTH_IT * gain.std() / np.sqrt(len(gain)):
                best, value = trial, reached
    best /= best.sum()
    return {name: float(weight) for name, weight in zip(names, best, strict=True)}


def _values_at(matrix: Csr, rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.asarray(csr(matrix)[rows, columns], dtype=np.float32).ravel()


def _judge_python(
    total: npt.NDArray[np.float32], indptr: npt.NDArray[Any], hit: npt.NDArray[np.bool_], wanted: npt.NDArray[Any],
    k: int,
) -> npt.NDArray[np.float64]:
    """(3, B): nDCG@k, recall@k, average precision@k; equal scores rank in column order."""
    users = len(indptr) - 1
    gains = np.zeros((3, users))
    found = np.empty(k, dtype=np.bool_)
    for user in range(users):
        if wanted[user] == 0:
            continue
        found[:] = False
        first, last = indptr[user], indptr[user + 1]
        for at in range(first, last):
            if hit[at] and total[at] > 0:
                rank = 0
                for other in range(first, last):
                    if total[other] > total[at] or (total[other] == total[at] and other < at):
                        rank += 1
                if rank < k:
                    found[rank] = True
        hits = 0
        ideal = 0.0
        for rank in range(k):
            discount = 1.0 / np.log2(rank + 2.0)
            if rank < wanted[user]:
                ideal += discount
            if found[rank]:
                hits += 1
                gains[0, user] += discount
                gains[2, user] += hits / (rank + 1.0)
        gains[0, user] /= ideal
        gains[1, user] = hits / wanted[user]
        gains[2, user] /= min(wanted[user], k)
    return gains


_judge = numba.njit(cache=True)(_judge_python)
