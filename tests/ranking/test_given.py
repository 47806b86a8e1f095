"""Weights between items made elsewhere: scores, both directions, nearest by vectors."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ltexpo.data import Dataset
from ltexpo.data.history import History
from ltexpo.errors import TableError
from ltexpo.ranking.given import GivenNeighbours, both_ways, nearest_weights


@pytest.fixture
def shop() -> tuple[History, pd.DataFrame]:
    items = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "title": ""})
    events = pd.DataFrame({
        "user_id": ["u", "u", "v"], "item_id": ["a", "b", "c"], "event": "purchase",
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC"),
    })
    dataset = Dataset.of(items, events)
    return History.of(dataset.items, dataset.events), dataset.items


def test_a_score_is_the_mean_weight_from_the_users_items(shop):
    weights = sparse.csr_matrix(np.array([[0, 0, 1.0, 0.5], [0, 0, 0, 0.25], [0, 0, 0, 0], [0, 0, 0, 0]]))
    scorer = GivenNeighbours("edges", weights).fit(*shop)
    assert scorer.score(np.array([0, 1]), 4).toarray() == pytest.approx(np.array([[0, 0, 0.5, 0.375], [0] * 4]))


def test_tables_that_do_not_fit_are_refused(shop):
    with pytest.raises(TableError, match="one row per item"):
        GivenNeighbours("edges", sparse.csr_matrix((3, 3))).fit(*shop)
    with pytest.raises(TableError, match="hold -1"):
        GivenNeighbours("edges", -sparse.identity(4, format="csr")).fit(*shop)


def test_both_ways_by_hand():
    # a → b, a → c: a has two edges, b and c one each
    matrix = sparse.csr_matrix(np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0.0]]))
    even = both_ways(matrix).toarray()
    assert even == pytest.approx(np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]]) / np.sqrt(2))
    kind = both_ways(matrix, discount=1.0).toarray()
    assert kind == pytest.approx(np.array([[0, 1, 1], [0.5, 0, 0], [0.5, 0, 0]]))


def test_nearest_of_all_and_of_the_tail():
    angles = np.array([0.0, 0.1, 0.3, 1.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    one = nearest_weights(vectors, 1, sharpness=2.0).toarray()
    assert np.count_nonzero(one, axis=1).tolist() == [1, 1, 1, 1]
    assert one[0, 1] == pytest.approx(np.cos(0.1) ** 2, rel=1e-5)
    both = nearest_weights(vectors, 1, sharpness=2.0, also=np.array([False, False, False, True])).toarray()
    assert both[0].tolist() == pytest.approx([0, np.cos(0.1) ** 2, 0, np.cos(1.0) ** 2], rel=1e-5)
    assert np.count_nonzero(both[3]) == 1  # nothing is its own neighbour
