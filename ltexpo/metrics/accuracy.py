"""Rankings + relevant items → how well each list found them, per request and as means over users, by tier."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, Tier
from ltexpo.errors import TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.metrics.intervals import Ratio
from ltexpo.metrics.summary import AllTiers, Measure, clusters_of, measures_table

Relevance: Final = "relevance"
"""Optional column of the relevant items: a grade above 0; 1 where the column is absent."""

AccuracyMetrics: Final = ("recall", "precision", "ndcg", "map", "mrr", "hit_rate")


def accuracy(rankings: pd.DataFrame, relevant: pd.DataFrame, *, k: Sequence[int]) -> pd.DataFrame:
    """One row per request of `relevant` (the index, sorted), one column per metric and cutoff such as ``recall@10``.

    `rankings` holds request_id, rank (from 1), item_id; `relevant` request_id, item_id, optional relevance (repeated
    pairs count once, with their highest grade). A request of `relevant` without a ranking scores 0; a ranking without
    relevant items has no score and is not in the result. With R relevant items of a request, and h_j = 1 where rank j
    holds one:

    - recall@k = Σ_{j≤k} h_j / R
    - precision@k = Σ_{j≤k} h_j / k, also where the list is shorter than k
    - ndcg@k = DCG / ideal DCG, DCG = Σ_{j≤k} g_j / log2(1 + j) with g_j the grade (Järvelin & Kekäläinen 2002, linear
      gain); the ideal puts the highest grades first, over min(R, k) ranks
    - map@k = Σ_{j≤k} h_j (Σ_{i≤j} h_i / j) / min(R, k), the average precision of the H&M competition on Kaggle (2022)
    - mrr@k = 1 / rank of the first relevant item up to k, else 0
    - hit_rate@k = 1 if any of the first k is relevant, else 0

    Raises `TableError` when a ranking holds a relevant item twice or a grade is not above 0.
    """
    return score_requests(found_ranks(rankings, relevant), k=k)


def accuracy_table(
    rankings: pd.DataFrame,
    relevant: pd.DataFrame,
    tiers: pd.DataFrame,
    *,
    k: Sequence[int],
    users: "pd.Series[Any] | None" = None,
) -> pd.DataFrame:
    """Means over requests as columns metric, k, tier (all, head, tail, new), value, low, high, n.

    A tier's row counts only the relevant items of that tier, also in the denominators, over the requests that have
    any; `tiers` holds item_id and tier, `users` (index request_id) the user of each request: intervals are over users.
    """
    return measures_table(accuracy_measures(found_ranks(rankings, relevant), tiers, k=k, users=users))


def accuracy_measures(
    found: pd.DataFrame, tiers: pd.DataFrame, *, k: Sequence[int], users: "pd.Series[Any] | None" = None
) -> list[Measure]:
    """The rows of `accuracy_table` before they are summarised; `found` comes from `found_ranks`."""
    tier_of = tiers.set_index(Columns.Item)[Columns.Tier].reindex(found[Columns.Item]).to_numpy()
    if pd.isna(tier_of).any():
        stranger = found[Columns.Item].to_numpy()[pd.isna(tier_of)][0]
        raise TableError(f"relevant item '{stranger}' has no tier. Assign tiers over the full catalogue.")
    measures = []
    for tier in (AllTiers, *Tier.All):
        scores = score_requests(found if tier == AllTiers else found[tier_of == tier], k=k)
        clusters = clusters_of(scores.index, users)
        for cutoff in k:
            for name in AccuracyMetrics:
                sample = Ratio.mean(scores[f"{name}@{cutoff}"].to_numpy(), clusters)
                measures.append(Measure(name, cutoff, tier, sample, len(scores)))
    return measures


def found_ranks(rankings: pd.DataFrame, relevant: pd.DataFrame) -> pd.DataFrame:
    """Each relevant pair once: request_id, item_id, relevance, and the rank it got, 0 where the list lacks it."""
    pair = [Columns.Request, Columns.Item]
    if Relevance in relevant.columns:
        if not (relevant[Relevance] > 0).all():
            raise TableError(f"relevant items: '{Relevance}' holds values that are not above 0. Leave those rows out.")
        wanted = relevant.groupby(pair, sort=False)[Relevance].max().reset_index()
    else:
        wanted = relevant[pair].drop_duplicates().assign(**{Relevance: 1.0})
    shown = rankings[[*pair, Columns.Rank]]
    found: pd.DataFrame = wanted.merge(shown, on=pair, how="left")
    if len(found) > len(wanted):
        twice = found[found.duplicated(pair)].iloc[0]
        raise TableError(f"the ranking of a request holds item '{twice[Columns.Item]}' twice. Keep one.")
    found[Columns.Rank] = found[Columns.Rank].astype(np.float64).fillna(0).astype(np.int64)
    return found


def score_requests(found: pd.DataFrame, *, k: Sequence[int]) -> pd.DataFrame:
    """The result of `accuracy` from that of `found_ranks`."""
    codes, requests = pd.factorize(found[Columns.Request], sort=True)
    n = len(requests)
    rank = found[Columns.Rank].to_numpy(np.int64)
    grade = found[Relevance].to_numpy(np.float64)
    relevant = np.bincount(codes, minlength=n)

    by_grade = np.lexsort((-grade, codes))
    ideal_codes, ideal_grade = codes[by_grade], grade[by_grade]
    ideal_rank = _position(ideal_codes)

    hit = np.flatnonzero(rank > 0)
    hit = hit[np.lexsort((rank[hit], codes[hit]))]
    hit_codes, hit_rank, hit_grade = codes[hit], rank[hit], grade[hit]
    nth_hit = _position(hit_codes)

    columns: dict[str, npt.NDArray[np.float64]] = {}
    for cutoff in k:
        shown, ideal = hit_rank <= cutoff, ideal_rank <= cutoff
        discount = attention_weights("log2", cutoff)
        possible = np.minimum(relevant, cutoff)

        def total(weights: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_] = shown) -> npt.NDArray[np.float64]:
            return np.bincount(hit_codes[kept], weights=weights, minlength=n).astype(np.float64)

        hits = total(np.ones(int(shown.sum())))
        dcg = total(hit_grade[shown] * discount[hit_rank[shown] - 1])
        best = np.bincount(
            ideal_codes[ideal], weights=ideal_grade[ideal] * discount[ideal_rank[ideal] - 1], minlength=n
        )
        columns[f"recall@{cutoff}"] = hits / relevant
        columns[f"precision@{cutoff}"] = hits / cutoff
        columns[f"ndcg@{cutoff}"] = dcg / best
        columns[f"map@{cutoff}"] = total(nth_hit[shown] / hit_rank[shown]) / possible
        columns[f"mrr@{cutoff}"] = total((nth_hit[shown] == 1) / hit_rank[shown])
        columns[f"hit_rate@{cutoff}"] = (hits > 0).astype(np.float64)
    return pd.DataFrame(columns, index=pd.Index(requests, name=Columns.Request))


def _position(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """1, 2, … within each run of equal `codes` (n,), which are sorted."""
    sizes = np.bincount(codes)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.arange(len(codes)) - starts + 1
