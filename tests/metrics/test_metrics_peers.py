"""The same numbers as RecTools and LensKit, where they are installed; neither is a dependency."""

import numpy as np
import pandas as pd
import pytest

from ltexpo.metrics.accuracy import accuracy
from ltexpo.metrics.exposure import exposure_table

K, USERS, ITEMS = 10, 60, 80


@pytest.fixture(scope="module")
def data():
    """Full lists of K items; 1 to 15 relevant items a user; more popular items are shown more often."""
    rng = np.random.default_rng(7)
    popularity = rng.integers(1, 60, ITEMS)
    chance = popularity / popularity.sum()
    shown, wanted = [], []
    for user in range(USERS):
        shown += [(f"u{user}", rank, f"i{item}") for rank, item in enumerate(rng.choice(ITEMS, K, False, chance), 1)]
        size = rng.integers(1, 16)
        wanted += [(f"u{user}", f"i{item}") for item in rng.choice(ITEMS, size, False, chance)]
    rankings = pd.DataFrame(shown, columns=["request_id", "rank", "item_id"])
    relevant = pd.DataFrame(wanted, columns=["request_id", "item_id"])
    tiers = pd.DataFrame({
        "item_id": [f"i{n}" for n in range(ITEMS)], "interactions": popularity,
        "tier": np.where(popularity > 30, "head", "tail"),
    })
    return rankings, relevant, tiers


@pytest.mark.parametrize("k", [1, 5, K])
def test_rectools_accuracy(data, k):
    peer = pytest.importorskip("rectools.metrics")
    rankings, relevant, _ = data
    ours = accuracy(rankings, relevant, k=[k])
    reco = rankings.rename(columns={"request_id": "user_id"})
    interactions = relevant.rename(columns={"request_id": "user_id"})
    theirs = {
        "recall": peer.Recall(k), "precision": peer.Precision(k), "mrr": peer.MRR(k), "hit_rate": peer.HitRate(k),
        "ndcg": peer.NDCG(k, divide_by_achievable=True), "map": peer.MAP(k),
    }
    wanted = relevant.groupby("request_id").size().reindex(ours.index)
    for name, metric in theirs.items():
        found = metric.calc_per_user(reco, interactions).reindex(ours.index)
        if name == "map":  # theirs divides by the relevant items, ours by no more of them than k
            found = found * wanted / wanted.clip(upper=k)
        assert ours[f"{name}@{k}"].to_numpy() == pytest.approx(found.to_numpy()), name


def test_rectools_exposure(data):
    peer = pytest.importorskip("rectools.metrics")
    rankings, _, tiers = data
    table = exposure_table(rankings, tiers, k=5).set_index(["metric", "tier"])["value"]
    reco = rankings.rename(columns={"request_id": "user_id"})
    coverage = peer.CatalogCoverage(k=5, normalize=True).calc(reco, tiers["item_id"].tolist())
    assert table["coverage@5", "all"] == pytest.approx(coverage)
    bought = tiers.loc[tiers.index.repeat(tiers["interactions"]), ["item_id"]].assign(user_id="any")
    assert table["arp@5", "all"] == pytest.approx(peer.AvgRecPopularity(k=5).calc(reco, bought))


@pytest.mark.parametrize("k", [1, 5, K])
def test_lenskit_accuracy(data, k):
    peer = pytest.importorskip("lenskit.metrics")
    from lenskit.data import ItemList
    from lenskit.metrics.ranking import AveragePrecision

    rankings, relevant, _ = data
    ours = accuracy(rankings, relevant, k=[k])
    weight = peer.LogRankWeight(offset=1)
    theirs = {
        "recall": peer.Recall(n=k), "precision": peer.Precision(n=k), "mrr": peer.RecipRank(n=k),
        "hit_rate": peer.Hit(n=k), "map": AveragePrecision(n=k), "ndcg": peer.NDCG(n=k, weight=weight),
    }
    for request, shown in rankings.groupby("request_id"):
        recs = ItemList(item_ids=shown["item_id"].to_numpy(object), ordered=True)
        test = ItemList(item_ids=relevant.loc[relevant["request_id"] == request, "item_id"].to_numpy(object))
        for name, metric in theirs.items():
            found = metric.measure_list(recs, test)
            if name == "recall":  # theirs divides by no more relevant items than k, ours by all of them
                found *= min(len(test), k) / len(test)
            assert ours.loc[request, f"{name}@{k}"] == pytest.approx(found), name


def test_lenskit_exposure_gini(data):
    peer = pytest.importorskip("lenskit.metrics")
    from lenskit.data import ItemList
    from lenskit.metrics.ranking import ExposureGini

    rankings, _, tiers = data
    metric = ExposureGini(n=5, items=ITEMS, weight=peer.LogRankWeight(offset=1))
    per_list = [
        metric.compute_list_data(ItemList(item_ids=shown["item_id"].to_numpy(object), ordered=True), None)
        for _, shown in rankings.groupby("request_id")
    ]
    table = exposure_table(rankings, tiers, k=5).set_index(["metric", "tier"])["value"]
    assert table["gini@5", "all"] == pytest.approx(metric.global_aggregate(per_list), abs=1e-5)
