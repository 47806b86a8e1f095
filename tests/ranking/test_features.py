"""Feature tables against naive loops, and against what they may not know."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ltexpo.columns import Columns, EventKind, Tier
from ltexpo.data.history import History
from ltexpo.errors import TableError
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.cooccurrence import Cooccurrence, CooccurrenceSettings
from ltexpo.ranking.features import CandidateFeatures, FeatureSettings, ranks
from ltexpo.ranking.item_features import ItemFeatureSettings, heat_columns, item_features, neighbours_heat
from ltexpo.ranking.pair_features import Latest, PairFeatureSettings, pair_features
from ltexpo.ranking.pool import PoolSettings, candidate_pool
from ltexpo.ranking.popularity import Popularity

N_ITEMS, N_USERS = 30, 12


def _items() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame({
        Columns.Item: [f"i{n:03d}" for n in range(N_ITEMS)],
        Columns.Title: [f"thing {n}" for n in range(N_ITEMS)],
        "brand": rng.choice(["a", "b", "c", None], N_ITEMS),
        "colour": rng.choice(["red", "blue"], N_ITEMS),
        Columns.Price: rng.uniform(1, 50, N_ITEMS),
    })


def _events(days: int = 6, seed: int = 6, n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        Columns.User: [f"u{u:02d}" for u in rng.integers(0, N_USERS, n)],
        Columns.Item: [f"i{i:03d}" for i in rng.integers(0, N_ITEMS - 5, n)],
        Columns.Event: EventKind.Purchase,
        Columns.Timestamp: pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, days, n), unit="D"),
    })


def _vectors() -> dict[str, np.ndarray]:
    matrix = np.random.default_rng(7).normal(size=(N_ITEMS, 6)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix[3] = 0  # an item without a vector
    return {"text": matrix}


@pytest.fixture(scope="module")
def history() -> History:
    return History.of(_items(), _events())


def test_item_features_are_those_of_a_naive_count(history: History):
    settings = ItemFeatureSettings(windows=(2.0,), order_windows=(5,), heat_neighbours=3)
    table = item_features(history, _items(), settings, vectors=_vectors())
    age = history.now - history.day
    heat = np.array([sum(0.5 ** (a / 3.0) for a, i in zip(age, history.item, strict=True) if i == item)
                     for item in range(N_ITEMS)])
    items = _items()
    for item in range(N_ITEMS):
        mine = history.item == item
        row = table.iloc[item]
        recent = (mine & (age < 2)).sum() / (age < 2).sum()
        assert row["i_count_2"] == pytest.approx(np.log1p(1e5 * recent), rel=1e-5)
        assert row["i_last"] == pytest.approx(age[mine].min()) if mine.any() else np.isnan(row["i_last"])
        assert row["i_first"] == pytest.approx(age[mine].max()) if mine.any() else np.isnan(row["i_first"])
        beside = [heat[j] for j in range(item - 2, item + 3) if 0 <= j < N_ITEMS and j != item]
        assert row["i_order_5"] == pytest.approx(np.log1p(1e5 * sum(beside) / 4 / heat.sum()), rel=1e-5)
        brand = items["brand"].iloc[item]
        others = [j for j in range(N_ITEMS) if j != item and items["brand"].iloc[j] == brand]
        if pd.isna(brand):
            assert np.isnan(row["i_heat_brand"])
        else:
            assert row["i_size_brand"] == len(others)
            assert row["i_heat_brand"] == pytest.approx(np.log1p(1e5 * heat[others].sum() / heat.sum()), abs=1e-3)


def test_heat_of_neighbours_is_that_of_a_naive_search(history: History):
    matrix = _vectors()["text"]
    heat = np.bincount(history.item, minlength=N_ITEMS).astype(float)
    alike, nearest = neighbours_heat(matrix, heat, 3)
    for item in range(N_ITEMS):
        if item == 3:
            assert np.isnan(alike[item])
            continue
        cosine = matrix @ matrix[item]
        others = [j for j in range(N_ITEMS) if j not in (item, 3) and heat[j] > 0]
        best = sorted(others, key=lambda j: -cosine[j])[:3]
        assert alike[item] == pytest.approx(sum(max(cosine[j], 0) ** 4 * heat[j] for j in best), rel=1e-4)
        assert nearest[item] == pytest.approx(cosine[best[0]], rel=1e-5)


def test_pair_features_are_those_of_a_naive_loop(history: History):
    users = np.arange(history.n_users)
    latest = Latest.of(history, users, PairFeatureSettings(latest=4))
    pairs = sparse.csr_matrix(np.random.default_rng(1).random((len(users), N_ITEMS)) < 0.4, dtype=np.float32)
    table = pair_features(latest, pairs, _items(), vectors=_vectors())
    items, matrix = _items(), _vectors()["text"]
    row, column = pairs.nonzero()
    for n, (user, item) in enumerate(zip(row, column, strict=True)):
        mine = np.flatnonzero(history.user == user)
        mine = mine[np.lexsort((history.item[mine], -history.day[mine]))][:4]
        seen, day = history.item[mine], history.day[mine]
        weight = 0.5 ** ((day[0] - day) / 7.0)
        weight /= weight.sum()
        found = table.iloc[n]
        assert found["p_same"] == (seen == item).sum()
        ages = history.now - day[seen == item]
        assert found["p_same_age"] == pytest.approx(ages.min() if len(ages) else -1)
        assert found["p_near"] == np.abs(seen - item).min()
        equal = (items["colour"].to_numpy()[seen] == items["colour"].iloc[item])
        assert found["p_colour"] == pytest.approx((weight * equal).sum(), abs=1e-5)
        assert found["p_colour_last"] == pytest.approx(equal[day == day[0]].mean(), abs=1e-5)
        if item == 3:
            assert np.isnan(found["p_max_text"])
        else:
            cosine = matrix[seen] @ matrix[item]
            others = cosine[seen != item]
            assert found["p_max_text"] == pytest.approx(others.max() if len(others) else -1, abs=1e-5)
            assert found["p_mean_text"] == pytest.approx((weight * cosine).sum(), abs=1e-5)
            assert found["p_last_text"] == pytest.approx(cosine[day == day[0]].mean(), abs=1e-5)


def test_lists_are_no_attribute_to_compare():
    items = _items().assign(tags=[["x"]] * N_ITEMS)
    assert heat_columns(items) == ["brand", "colour"]


def test_the_pool_is_the_best_of_each_the_demanded_and_the_alike(history: History):
    users = np.arange(3)
    latest = Latest.of(history, users, PairFeatureSettings())
    parts = {"one": sparse.csr_matrix(np.random.default_rng(2).random((3, N_ITEMS)), dtype=np.float32)}
    demand = np.linspace(0.1, 3.0, N_ITEMS)
    tier = np.array([Tier.Head] * 10 + [Tier.Tail] * 15 + [Tier.New] * 5, dtype=object)
    settings = PoolSettings(best=2, demanded=1, alike_tail=2, alike_new=1, alike=4.0)
    skip = sparse.csr_matrix(([1.0], ([0], [N_ITEMS - 1])), shape=(3, N_ITEMS))
    pool = candidate_pool(parts, latest, demand, tier, settings, vectors=_vectors(), skip=skip)
    matrix = _vectors()["text"]
    for user in users:
        seen = history.item[history.user == user]
        total = 4.0 * (matrix[seen] @ matrix.T).max(axis=0) + np.log(demand)
        wanted = {N_ITEMS - 1, *np.argsort(-parts["one"].toarray()[user])[:2]}
        for name, n in ((Tier.Tail, 2), (Tier.New, 1)):
            of_tier = np.flatnonzero(tier == name)
            best = of_tier[np.argsort(-total[of_tier])][:n]
            wanted |= set(best)
            assert list(pool.alike_rank.toarray()[user, best]) == list(range(1, n + 1))
        assert set(pool.pairs[user].indices) == wanted - ({N_ITEMS - 1} if user == 0 else set())


def test_the_best_of_the_tail_join_the_pool(history: History):
    latest = Latest.of(history, np.arange(1), PairFeatureSettings())
    tier = np.array([Tier.Head] * 20 + [Tier.Tail] * 9 + [Tier.New], dtype=object)
    parts = {"one": sparse.csr_matrix(np.arange(N_ITEMS, 0, -1, dtype=np.float32)[None, :])}
    settings = PoolSettings(best=2, best_tail=3, demanded=0)
    pool = candidate_pool(parts, latest, np.ones(N_ITEMS), tier, settings)
    assert pool.pairs.indices.tolist() == [0, 1, 20, 21, 22]


def test_ranks_follow_the_score_and_ties_the_column():
    scores = sparse.csr_matrix(np.array([[0.2, 0.0, 0.9, 0.2], [0.0, 0.0, 0.0, 0.1]]))
    assert ranks(scores).toarray().tolist() == [[2, 0, 1, 3], [0, 0, 0, 1]]


def _fitted(history: History) -> CandidateFeatures:
    scorers = [Popularity(), Cooccurrence(CooccurrenceSettings(shrinkage=1.0))]
    blend = Blend(scorers, {"popularity": 0.5, "cooccurrence": 0.5}, pool=20)
    tier = np.where(history.counts() > 0, Tier.Tail, Tier.New).astype(object)
    settings = FeatureSettings(pool=PoolSettings(best=5, demanded=2, alike_tail=2, alike_new=2))
    return CandidateFeatures(blend, settings, vectors=_vectors()).fit(history, _items(), tier)


def test_a_table_has_one_row_per_candidate_and_does_not_depend_on_who_else_asks(history: History):
    made = _fitted(history)
    everyone = made.table(np.arange(history.n_users))
    assert len(everyone.features) == len(everyone.item) == len(everyone.user)
    assert (everyone.features.dtypes == np.float32).all()
    alone = made.table(np.array([4]))
    expected = everyone.features[everyone.user == 4].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.features, expected)


def test_user_features_and_price_fit_by_hand(history: History):
    table = _fitted(history).table(np.array([2]))
    mine = history.user == 2
    first = table.features.iloc[0]
    assert first["u_count"] == mine.sum()
    assert first["u_days"] == len(np.unique(np.floor(history.day[mine])))
    assert first["u_since"] == pytest.approx(history.now - history.day[mine].max())
    latest = Latest.of(history, np.array([2]), PairFeatureSettings())
    log = np.log(_items()[Columns.Price].to_numpy())
    mean = (latest.weight * log[latest.item]).sum()
    assert table.features["p_price"].to_numpy() == pytest.approx(log[table.item] - mean, abs=1e-4)


def test_vectors_of_another_catalogue_are_refused(history: History):
    blend = Blend([Popularity()], {"popularity": 1.0})
    with pytest.raises(TableError, match="'text' has 5 rows, items 30"):
        CandidateFeatures(blend, vectors={"text": np.ones((5, 2), np.float32)}).fit(
            history, _items(), np.full(N_ITEMS, Tier.Tail, dtype=object)
        )
