import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from ltexpo.errors import TableError
from ltexpo.metrics.accuracy import AccuracyMetrics, accuracy, accuracy_table


def lists(**by_request):
    rows = [(r, rank, item) for r, items in by_request.items() for rank, item in enumerate(items, start=1)]
    return pd.DataFrame(rows, columns=["request_id", "rank", "item_id"])


def pairs(**by_request):
    rows = [(r, item) for r, items in by_request.items() for item in items]
    return pd.DataFrame(rows, columns=["request_id", "item_id"])


def test_by_hand():
    # Relevant at ranks 1 and 3 of 5; a third relevant item is not in the list.
    found = accuracy(lists(r="abcde"), pairs(r="acz"), k=[2, 4]).loc["r"]
    assert found["recall@2"] == 1 / 3
    assert found["precision@2"] == 1 / 2
    assert found["ndcg@2"] == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert found["map@2"] == 1 / 2  # (1/1) / min(3, 2)
    assert found["mrr@2"] == 1
    assert found["hit_rate@2"] == 1
    assert found["recall@4"] == 2 / 3
    assert found["precision@4"] == 2 / 4
    assert found["ndcg@4"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2))
    assert found["map@4"] == pytest.approx((1 / 1 + 2 / 3) / 3)


def test_first_hit_low_in_the_list():
    found = accuracy(lists(r="abc"), pairs(r="c"), k=[2, 3, 10]).loc["r"]
    assert found[["recall@2", "mrr@2", "hit_rate@2", "map@2", "ndcg@2"]].tolist() == [0, 0, 0, 0, 0]
    assert found["mrr@3"] == pytest.approx(1 / 3)
    assert found["ndcg@3"] == pytest.approx(1 / 2)
    # The list is shorter than 10: precision still divides by 10.
    assert found["precision@10"] == 1 / 10


def test_grades_use_linear_gain():
    relevant = pairs(r="ab").assign(relevance=[1.0, 3.0])
    found = accuracy(lists(r="ab"), relevant, k=[2]).loc["r"]
    assert found["ndcg@2"] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert found["recall@2"] == 1


def test_requests_without_list_score_zero_and_lists_without_relevant_are_left_out():
    found = accuracy(lists(r="ab", only_list="ab"), pairs(r="a", only_relevant="a"), k=[1])
    assert found.index.tolist() == ["only_relevant", "r"]
    assert found["recall@1"].tolist() == [0, 1]


def test_repeated_relevant_pairs_count_once():
    assert accuracy(lists(r="ab"), pairs(r="aac"), k=[2])["recall@2"].tolist() == [0.5]


def test_refusals():
    twice = pd.DataFrame({"request_id": "r", "rank": [1, 2], "item_id": "a"})
    with pytest.raises(TableError, match="item 'a' twice"):
        accuracy(twice, pairs(r="a"), k=[2])
    with pytest.raises(TableError, match="not above 0"):
        accuracy(lists(r="a"), pairs(r="a").assign(relevance=0.0), k=[1])
    tiers = pd.DataFrame({"item_id": ["b"], "tier": ["head"]})
    with pytest.raises(TableError, match="'a' has no tier"):
        accuracy_table(lists(r="a"), pairs(r="a"), tiers, k=[1])
    tiers = pd.DataFrame({"item_id": ["a"], "tier": ["head"]})
    with pytest.raises(TableError, match=r"1 of . requests have no user"):
        accuracy_table(lists(r="a"), pairs(r="a"), tiers, k=[1], users=pd.Series({"s": "u"}))


def test_tiers_by_hand():
    tiers = pd.DataFrame({"item_id": list("hHtTn"), "tier": ["head", "head", "tail", "tail", "new"]})
    rankings = lists(p="hT", q="tH")
    table = accuracy_table(rankings, pairs(p="htT", q="Hn"), tiers, k=[2])
    recall = table[table["metric"] == "recall@2"].set_index("tier")
    # p finds h and T of h, t, T; q finds H of H, n.
    assert recall["value"].to_dict() == pytest.approx({
        "all": (2 / 3 + 1 / 2) / 2, "head": 1.0, "tail": 1 / 2, "new": 0.0,
    })
    assert recall["n"].to_dict() == {"all": 2, "head": 2, "tail": 1, "new": 1}
    assert recall.loc["all", "low"] < recall.loc["all", "value"] < recall.loc["all", "high"]
    assert np.isnan(recall.loc["tail", "low"])  # one user tells nothing about the spread
    # Head only: q's relevant head item stands at rank 2.
    ndcg = table[(table["metric"] == "ndcg@2") & (table["tier"] == "head")]["value"].item()
    assert ndcg == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_an_absent_tier_keeps_its_rows():
    tiers = pd.DataFrame({"item_id": ["a"], "tier": ["head"]})
    table = accuracy_table(lists(r="a"), pairs(r="a"), tiers, k=[1])
    new = table[table["tier"] == "new"]
    assert len(new) == len(AccuracyMetrics)
    assert new["value"].isna().all()
    assert (new["n"] == 0).all()


def test_intervals_cluster_by_user():
    tiers = pd.DataFrame({"item_id": list("ab"), "tier": ["head", "tail"]})
    rankings, relevant = lists(p="a", q="a", r="b", s="b"), pairs(p="a", q="a", r="a", s="a")
    users = pd.Series({"p": "u", "q": "u", "r": "v", "s": "v"})
    apart = accuracy_table(rankings, relevant, tiers, k=[1])
    together = accuracy_table(rankings, relevant, tiers, k=[1], users=users)
    assert together["value"].iloc[0] == apart["value"].iloc[0] == 0.5
    assert together["high"].iloc[0] - 0.5 > 2 * (apart["high"].iloc[0] - 0.5)


def naive(ranked, relevant, k):
    top = ranked[:k]
    hits = [item in relevant for item in top]
    ideal = sum(1 / math.log2(1 + j) for j in range(1, min(len(relevant), k) + 1))
    precisions = [sum(hits[: j + 1]) / (j + 1) for j in range(len(top)) if hits[j]]
    firsts = [1 / (j + 1) for j in range(len(top)) if hits[j]]
    return {
        "recall": sum(hits) / len(relevant),
        "precision": sum(hits) / k,
        "ndcg": sum(1 / math.log2(2 + j) for j in range(len(top)) if hits[j]) / ideal,
        "map": sum(precisions) / min(len(relevant), k),
        "mrr": firsts[0] if firsts else 0.0,
        "hit_rate": float(any(hits)),
    }


ITEMS = [f"i{n}" for n in range(12)]
REQUEST = st.tuples(
    st.lists(st.sampled_from(ITEMS), unique=True, max_size=10),
    st.lists(st.sampled_from(ITEMS), unique=True, min_size=1, max_size=8),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(REQUEST, min_size=1, max_size=6), st.integers(1, 12), st.randoms(use_true_random=False))
def test_equals_a_naive_loop_in_any_row_order(requests, k, random):
    rankings = lists(**{f"r{n}": ranked for n, (ranked, _) in enumerate(requests)})
    relevant = pairs(**{f"r{n}": wanted for n, (_, wanted) in enumerate(requests)})
    seed = random.randrange(2**32)
    found = accuracy(rankings.sample(frac=1, random_state=seed), relevant.sample(frac=1, random_state=seed), k=[k])
    for n, (ranked, wanted) in enumerate(requests):
        for name, value in naive(ranked, set(wanted), k).items():
            assert found.loc[f"r{n}", f"{name}@{k}"] == pytest.approx(value), name


@pytest.mark.parametrize("k", [1, 3, 10, 20])
def test_ndcg_agrees_with_scikit_learn(k):
    rng = np.random.default_rng(k)
    for _ in range(20):
        grades = rng.integers(0, 4, 20).astype(float)
        grades[0] = 1
        order = rng.permutation(20)
        rankings = lists(r=[str(item) for item in order])
        wanted = np.flatnonzero(grades)
        relevant = pairs(r=[str(item) for item in wanted]).assign(relevance=grades[wanted])
        scores = np.empty(20)
        scores[order] = -np.arange(20)
        found = accuracy(rankings, relevant, k=[k])[f"ndcg@{k}"].item()
        assert found == pytest.approx(ndcg_score([grades], [scores], k=k))


def test_average_precision_of_whole_lists_agrees_with_scikit_learn():
    rng = np.random.default_rng(5)
    for _ in range(20):
        wanted = rng.random(30) < 0.2
        wanted[3] = True
        order = rng.permutation(30)
        scores = np.empty(30)
        scores[order] = -np.arange(30)
        rankings, relevant = lists(r=[str(i) for i in order]), pairs(r=[str(i) for i in np.flatnonzero(wanted)])
        found = accuracy(rankings, relevant, k=[30])["map@30"].item()
        assert found == pytest.approx(average_precision_score(wanted, scores))
