"""A trained model + pairs of user and item → what each part of the model adds to each pair's score."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.ids import IdMap
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import TableError
from ltexpo.ranking.asked import ReadQueries, askers, cleaned
from ltexpo.ranking.model import Model
from ltexpo.ranking.parts import BASELINE, MATCH, parts_of
from ltexpo.sparse import csr


def contributions(
    model: Model, dataset: Dataset, content: Content, pairs: pd.DataFrame, *, edges: pd.DataFrame | None = None,
    until: Any = None, read_queries: ReadQueries | None = None,
) -> pd.DataFrame:
    """What each part adds to the log-odds of each of `pairs` (user_id, item_id; optional query; n rows), before
    calibration.

    One row per pair in their order: user_id, item_id, a column per part (see `parts_of`) and 'baseline', which sum to
    the log-odds. The parts of the trees are exact (TreeSHAP); what the match model brings is shared among the item's
    tokens (text, image, graph …) in proportion to the size of their exact Shapley values in the match. `until`
    and `read_queries` as in `Model.today`. Raises `TableError` on an unknown item.
    """
    for column in (Columns.User, Columns.Item):
        if column not in pairs.columns:
            raise TableError(f"pairs lacks '{column}'; found {', '.join(map(str, pairs.columns))}.")
    today = model.today(dataset, content, edges=edges, until=until, read_queries=read_queries)
    asked = IdMap.of(pairs[Columns.User])
    queries = cleaned(pairs[Columns.Query]) if Columns.Query in pairs.columns else None
    of_user, texts, asker = askers(asked.codes(pairs[Columns.User]), queries)
    item = today.history_.item_ids.codes(pairs[Columns.Item], what="item_id")
    # A table holds each pair once, sorted; pairs may come in any order, and twice.
    key, place = np.unique(asker * today.history_.n_items + item, return_inverse=True)
    asker, item = np.divmod(key, today.history_.n_items)
    visited = today.history_.also(asked.ids)
    codes = visited.user_ids.codes(asked.ids)[of_user]
    wanted = csr((np.ones(len(key), dtype=np.float32), (asker, item)), shape=(len(codes), visited.n_items))
    candidates = today.adopt(visited).table(codes, pairs=wanted, queries=texts)
    parts = parts_of(candidates.features.columns)
    found = model.ranker_.contributions(candidates, today.tier_, parts)
    if MATCH in found.columns and today.matcher is not None:
        typed = None if today.asked is None else today.asked.whole(texts, len(codes))
        found = _shared(found, today.matcher.tokens(visited, codes, asker, item, queries=typed))
    order = [*sorted(found.columns.drop(BASELINE)), BASELINE]
    found = found[order].take(place.ravel()).reset_index(drop=True)
    return pd.concat([pairs[[Columns.User, Columns.Item]].reset_index(drop=True), found], axis=1)


def _shared(found: pd.DataFrame, tokens: pd.DataFrame) -> pd.DataFrame:
    """`found` with its column 'match' added to the parts that the item's tokens belong to."""
    size = tokens.drop(columns="base").abs()
    total: npt.NDArray[np.float64] = size.sum(axis=1).to_numpy()
    even = np.full(len(size), 1 / size.shape[1])
    out = found.drop(columns=MATCH)
    for token in size.columns:
        share = np.where(total > 0, size[token].to_numpy() / np.where(total > 0, total, 1.0), even)
        out[token] = out.get(token, 0.0) + found[MATCH].to_numpy() * share
    return out
