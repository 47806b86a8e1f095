"""A trained model + lists made elsewhere → the same rows with calibrated scores: what a search engine found, judged."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.ids import IdMap
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError, TableError
from ltexpo.progress import track
from ltexpo.ranking.asked import ReadQueries, Texts, cleaned
from ltexpo.ranking.features import CandidateFeatures
from ltexpo.ranking.model import Model
from ltexpo.ranking.recommender import Recommendation
from ltexpo.ranking.scores import Scores
from ltexpo.sparse import csr

GIVEN_SCORE = "given_score"
"""What becomes of a score that the rows came with."""
_AT_ONCE = 512
_SCORES = (Columns.Score, Columns.ScoreStd, Columns.ScoreSpread)


@dataclass(frozen=True)
class _Requests:
    """R requests over n rows."""

    row: npt.NDArray[np.int64]
    """(n,) request of each row."""
    users: "pd.Index[Any]"
    """(R,)"""
    queries: Texts
    """(R,) '' where nothing was typed."""

    @classmethod
    def of(cls, given: pd.DataFrame) -> "_Requests":
        """Raises `TableError` when one of them has several users or queries."""
        ids = IdMap.of(given[Columns.Request])
        row = ids.codes(given[Columns.Request])
        first = np.unique(row, return_index=True)[1]
        # a request that names no user is one: see the contract of candidates
        user = given.get(Columns.User, given[Columns.Request]).to_numpy(dtype=object)
        query = np.full(len(given), "", dtype=object)
        if Columns.Query in given.columns:
            query = cleaned(given[Columns.Query])
        for name, values in ((Columns.User, user), (Columns.Query, query)):
            other = np.flatnonzero(values != values[first][row])
            if len(other):
                at = other[0]
                raise TableError(
                    f"candidates row {at}: its request has another {name} in an earlier row ({len(other):,} such "
                    f"rows). Give a request one {name}."
                )
        return cls(row, pd.Index(user[first]), query[first])


def score_given(
    model: Model, dataset: Dataset, content: Content, given: pd.DataFrame, *, edges: pd.DataFrame | None = None,
    until: Any = None, read_queries: ReadQueries | None = None,
) -> Recommendation:
    """`given` (request_id, item_id; optional user_id, query, further columns), row by row, with score, score_std and,
    where the logs tell it, score_spread.

    A request without user_id is a user by its request_id. Users without interactions and queries without a known word
    are scored as such and counted; a score that is there already becomes `given_score`. `read_queries`, `until` and
    `edges` as in `Model`. Raises `TableError` on unknown items and on requests with several users or queries,
    `ConfigError` when queries are given to a model that has not learnt to read them.
    """
    known = dataset.items[Columns.Item]
    unknown = np.flatnonzero(~given[Columns.Item].isin(known))
    if len(unknown):
        at = unknown[0]
        raise TableError(
            f"candidates row {at}: item_id '{given[Columns.Item].iloc[at]}' is not in items ({len(unknown):,} such "
            "rows). Add it to items, which is all that a new product needs, or leave those rows out."
        )
    requests = _Requests.of(given)
    typed = requests.queries != ""
    if typed.any() and not model.asks_:
        raise ConfigError(
            "candidates hold queries, and the model has not learnt to read any. Train it on events with the column "
            "'query', or leave the column out."
        )
    today = model.today(dataset, content, edges=edges, until=until, read_queries=read_queries)
    scored = given.rename(columns={Columns.Score: GIVEN_SCORE}).drop(columns=list(_SCORES), errors="ignore")
    strangers = ~requests.users.isin(today.history_.user_ids.ids)
    for name, values in _columns(_blocks(model, today, given, requests), len(given)).items():
        scored[name] = values
    counts = {
        "requests": len(requests.users), "candidates": len(scored),
        "requests of users without history": int(strangers.sum()),
    }
    if Columns.Timestamp in given.columns:
        # what is asked about may be the past, but its scores then know what came after
        early = given[Columns.Timestamp].to_numpy(dtype="datetime64[us]") < _moment(today.history_.now)
        counts["requests from before the last event learnt from"] = len(np.unique(requests.row[early]))
    if model.asks_:
        counts["requests without a query"] = int((~typed).sum())
        if today.asked is not None:
            silent = np.isnan(today.asked.whole(requests.queries, len(typed))).any(axis=1)
            counts["queries without a known word"] = int((silent & typed).sum())
    return Recommendation(candidates=scored, report={**model.report_, "counts": counts})


def _moment(day: float) -> np.datetime64:
    return np.datetime64("1970-01-01", "us") + np.timedelta64(int(day * 86_400_000_000), "us")


def _blocks(
    model: Model, today: CandidateFeatures, given: pd.DataFrame, requests: _Requests
) -> Iterator[tuple[npt.NDArray[np.int64], Scores]]:
    """Rows of `given` and their scores, some requests at a time."""
    history = today.history_.also(requests.users.unique())
    today.adopt(history)
    users, items = history.user_ids.codes(requests.users), history.item_ids.codes(given[Columns.Item])
    order = np.lexsort((items, requests.row))
    edges = np.searchsorted(requests.row[order], np.arange(0, len(users) + _AT_ONCE, _AT_ONCE))
    starts = range(0, len(users), _AT_ONCE)
    for number, start in enumerate(track(starts, "candidates", total=len(starts))):
        rows = order[edges[number] : edges[number + 1]]
        some = slice(start, start + _AT_ONCE)
        shape = (len(users[some]), history.n_items)
        pairs = csr((np.ones(len(rows), np.float32), (requests.row[rows] - start, items[rows])), shape=shape)
        # the table's rows are sorted by request and item, as `rows` are
        yield rows, model.ranker_.score(today.table(users[some], pairs=pairs, queries=requests.queries[some]),
                                        today.tier_)


def _columns(
    blocks: Iterator[tuple[npt.NDArray[np.int64], Scores]], n: int
) -> dict[str, npt.NDArray[np.float64]]:
    out: dict[str, npt.NDArray[np.float64]] = {}
    for rows, scores in blocks:
        for name, values in zip(_SCORES, (scores.score, scores.std, scores.spread), strict=True):
            if values is not None:
                out.setdefault(name, np.empty(n))[rows] = values
    return out
