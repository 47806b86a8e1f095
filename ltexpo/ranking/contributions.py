"""A trained model + pairs of user and item → what each part of the model adds to each pair's score."""

from collections.abc import Mapping
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
from ltexpo.ranking.parts import ATTRIBUTES, BASELINE, BEHAVIOUR, HISTORY, MATCH, POPULARITY, QUERY, lack_of, parts_of
from ltexpo.sparse import csr


def contributions(
    model: Model, dataset: Dataset, content: Content, pairs: pd.DataFrame, *, edges: pd.DataFrame | None = None,
    until: Any = None, read_queries: ReadQueries | None = None,
) -> pd.DataFrame:
    """What each part adds to the log-odds of each of `pairs` (user_id, item_id; optional query; n rows), before
    calibration.

    One row per pair in their order: user_id, item_id, a column per part (see `parts_of`) and 'baseline', which sum to
    the log-odds. The parts of the trees are exact (TreeSHAP); what the match model brings is shared among the item's
    tokens (text, image, graph …) in proportion to the size of their exact Shapley values in the match. Where a product
    lacks a part, what the model makes of that stands under 'no image', 'no history' …. `until` and `read_queries` as in
    `Model.today`. Raises `TableError` on an unknown item.
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
    typed = None if today.asked is None else today.asked.whole(texts, len(codes))
    if MATCH in found.columns and today.matcher is not None:
        found = _shared(found, today.matcher.tokens(visited, codes, asker, item, queries=typed))
    row = pd.Index(dataset.items[Columns.Item]).get_indexer(today.history_.item_ids.decode(item))
    lacks = {(name, name): ~mask[row] for name, (_, mask) in content.items()}
    sizes = [name for name in candidates.features.columns if name.startswith("i_size_")]
    if sizes:
        lacks[ATTRIBUTES, ATTRIBUTES] = candidates.features[sizes].isna().all(axis=1).to_numpy()
    unseen = today.history_.counts()[item] == 0
    lacks[BEHAVIOUR, HISTORY] = lacks[POPULARITY, HISTORY] = unseen
    if typed is not None:
        lacks[QUERY, QUERY] = np.isnan(typed[:, 0])[asker]
    found = _lacking(found, lacks)
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


def _lacking(found: pd.DataFrame, lacks: Mapping[tuple[str, str], npt.NDArray[np.bool_]]) -> pd.DataFrame:
    """`found` with what parts add where they are not there moved: (part, what is lacking) → rows."""
    out = found.copy()
    for (part, lacked), rows in lacks.items():
        if part in out.columns and rows.any():
            name = lack_of(lacked)
            out[name] = out.get(name, 0.0) + np.where(rows, out[part], 0.0)
            out[part] = np.where(rows, 0.0, out[part])
    return out
