"""Candidates + a boost per row → top-k lists, ordered by boosted score."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.metrics.attention import Attention, attention_weights


def top_lists(
    candidates: pd.DataFrame, boost: npt.NDArray[np.float64], *, k: int, attention: Attention = "log2"
) -> pd.DataFrame:
    """The `k` best candidates of each request by score + `boost` (n,), as a rankings table; ties break by item_id.

    Sorting each list by its boosted score maximises Σ_j a_j (s_j + boost_j) over all orders, because `attention` does
    not rise with rank (rearrangement inequality). `price` is the boost a row received; `boosted` marks rows whose boost
    moved them to a better rank than their plain score has among all candidates.
    """
    requests, request_ids = pd.factorize(candidates[Columns.Request], sort=True)
    item_order, _ = pd.factorize(candidates[Columns.Item], sort=True)
    scores = candidates[Columns.Score].to_numpy(dtype=np.float64)
    plain_rank = _ranks(requests, scores, item_order)
    rank = _ranks(requests, scores + boost, item_order)
    shown = np.flatnonzero(rank <= k)
    shown = shown[np.lexsort((rank[shown], requests[shown]))]
    lists = pd.DataFrame({
        Columns.Request: request_ids.take(requests[shown]),
        Columns.Rank: rank[shown].astype(np.int32),
        Columns.Item: candidates[Columns.Item].take(shown).to_numpy(),
        Columns.Score: scores[shown],
        Columns.Exposure: attention_weights(attention, k)[rank[shown] - 1],
        Columns.Price: boost[shown],
        Columns.Boosted: (boost[shown] > 0) & (rank[shown] < plain_rank[shown]),
    })
    if Columns.User in candidates.columns:
        lists.insert(1, Columns.User, candidates[Columns.User].take(shown).to_numpy())
    return lists


def _ranks(
    requests: npt.NDArray[np.int64], values: npt.NDArray[np.float64], item_order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Rank from 1 of each row within its request, highest value first."""
    order = np.lexsort((item_order, -values, requests))
    sizes = np.bincount(requests)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    ranks = np.empty(len(requests), dtype=np.int64)
    ranks[order] = np.arange(len(requests)) - starts + 1
    return ranks
