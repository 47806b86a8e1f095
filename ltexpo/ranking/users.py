"""Users whose lists are asked for → their candidates with the model's scores, in blocks that run side by side."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.data.ids import IdMap
from ltexpo.ranking.click_ranker import ClickRanker
from ltexpo.ranking.explore import best_with_tail
from ltexpo.ranking.features import CandidateFeatures
from ltexpo.ranking.ranker import Ranker
from ltexpo.ranking.scores import Scores
from ltexpo.sparse import Csr

Codes = npt.NDArray[np.int64]

_AT_ONCE = 512


@dataclass(frozen=True)
class Lists:
    """Lists of B users."""

    user_ids: "pd.Index[Any]"
    """(B,)"""
    row: Codes
    """(B,) the list of each: users of whom the model knows the same have one between them."""
    item_ids: IdMap
    lengths: Codes
    """(L,) of the lists."""
    item: Codes
    """(n,) items of list after list, best first."""
    scores: Scores
    """(n,)"""

    def frame(self) -> pd.DataFrame:
        """request_id, user_id, item_id, score, score_std, [score_spread], rank."""
        length = self.lengths[self.row]
        rank = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        at = np.repeat((np.cumsum(self.lengths) - self.lengths)[self.row], length) + rank
        ids = self.user_ids.repeat(length)
        frame = pd.DataFrame({
            Columns.Request: ids, Columns.User: ids, Columns.Item: self.item_ids.decode(self.item)[at],
            Columns.Score: self.scores.score[at], Columns.ScoreStd: self.scores.std[at],
        })
        if self.scores.spread is not None:
            frame[Columns.ScoreSpread] = self.scores.spread[at]
        frame[Columns.Rank] = (rank + 1).astype(np.int32)
        return frame

    def counts(self, k: int) -> dict[str, int]:
        """Candidates, and lists shorter than `k`."""
        length = self.lengths[self.row]
        return {"candidates": int(length.sum()), f"lists shorter than {k}": int((length < k).sum())}


@dataclass(frozen=True, kw_only=True)
class Users:
    """Users whose lists are asked for, and all that scores them."""

    today: CandidateFeatures
    ranker: Ranker | ClickRanker
    wanted: "pd.Index[Any]"
    """(U,)"""
    like: Codes
    """(U,) ascending; users of the same number are the same to the model, which scores one of them."""
    seen: Csr | None
    """What may not come back, by code of the user."""
    k: int
    """Candidates a user."""
    explore: float
    """Least share of tail and new products."""
    explore_new: float
    """Least share of new products."""
    counts: dict[str, int]
    """Of users; those of candidates are 0, and each block adds its own."""

    @classmethod
    def of(
        cls, today: CandidateFeatures, wanted: "pd.Index[Any]", *, exclude_seen: bool, counts: Mapping[str, int],
        k: int, **made: Any,
    ) -> "Users":
        """`wanted` in the order in which they are scored, from features that have adopted their history."""
        history = today.history_
        like = today.alike(history.user_ids.codes(wanted))
        order = np.argsort(like, kind="stable")
        return cls(
            today=today, wanted=wanted[order], like=like[order], seen=history.seen() if exclude_seen else None, k=k,
            counts={**counts, "candidates": 0, f"lists shorter than {k}": 0}, **made,
        )

    @property
    def starts(self) -> range:
        """The first user of each block: blocks are scored one by one, in any order and anywhere."""
        return range(0, len(self.wanted), _AT_ONCE)

    def score(self, start: int) -> Lists:
        """The block of users that begins at `start`."""
        today, tier = self.today, self.today.tier_
        ids = self.wanted[start : start + _AT_ONCE]
        _, first, row = np.unique(self.like[start : start + _AT_ONCE], return_index=True, return_inverse=True)
        codes = today.history_.user_ids.codes(ids[first])
        candidates = today.table(codes, skip=None if self.seen is None else self.seen[codes])
        scores = self.ranker.score(candidates, tier)
        kept = best_with_tail(
            candidates.user, candidates.item, scores.score, tier[candidates.item] != Tier.Head, k=self.k,
            share=self.explore, in_new=tier[candidates.item] == Tier.New, new_share=self.explore_new,
        )
        lengths = np.bincount(candidates.user[kept], minlength=len(codes))
        return Lists(ids, row, today.history_.item_ids, lengths, candidates.item[kept], scores.rows(kept))

    def lists(self) -> Iterator[Lists]:
        """All blocks in order, a thread a core: the same for any number of them."""
        # More than a few at hand would hold everybody's lists at once, should they be written slower than made.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as threads:
            made: deque[Future[Lists]] = deque()
            for start in self.starts:
                if len(made) > cores:
                    yield made.popleft().result()
                made.append(threads.submit(self.score, start))
            while made:
                yield made.popleft().result()
