import numpy as np
import pandas as pd
import pytest

from ltexpo.data.history import History
from ltexpo.fusion.heat import BESIDE, OWN, Heat
from ltexpo.fusion.inputs import ItemInputs, Vocabulary

ITEMS = pd.DataFrame({
    "item_id": ["a", "b", "c", "d"], "title": "t", "brand": ["x", "x", "x", "y"],
    "colour": [["red", "blue"], None, "red", "blue"],
})
EVENTS = pd.DataFrame({
    "user_id": ["u", "v", "w", "u"], "item_id": ["a", "a", "b", "d"], "event": "purchase",
    "timestamp": pd.to_datetime(["2024-01-09", "2024-01-09", "2024-01-09", "2024-01-06"], utc=True),
})


@pytest.fixture
def made() -> tuple[History, ItemInputs, Heat]:
    history = History.of(ITEMS, EVENTS)
    vocabulary = Vocabulary.of(ITEMS, ["a", "b", "d"])
    inputs = ItemInputs.of(ITEMS, vocabulary, {})
    return history, inputs, Heat.of(history, inputs, np.ones(len(history.item), bool))


def test_by_hand(made):
    """Three interactions today, one three days ago, which counts half."""
    _, inputs, heat = made
    whole = 3.5
    assert heat.count.tolist() == [2, 1, 1]
    assert np.allclose(heat.own, [[2 / 3, 2 / 4, 2 / 4, 2 / 4], [1 / 3, 1 / 4, 1 / 4, 1 / 4], [0, 1 / 4, 1 / 4, 1 / 4]])
    # values: brand x, colour blue, colour red (brand y is held by one product only)
    assert np.allclose(heat.values, [[3 / whole, 3], [2.5 / whole, 2], [2 / whole, 2]])
    features = np.expm1(heat.features(inputs).astype(float)) / 1e5
    brand, colour = features[:, -2], features[:, -1]
    # what others that hold the value got, on average; a's two colours count half each
    assert np.allclose(brand, [1 / whole / 2, 2 / whole / 2, 3 / whole / 2, 0], rtol=1e-4)
    assert np.allclose(colour, [(0.5 / whole + 0) / 2, 0, 2 / whole, 2 / whole], rtol=1e-4)
    assert np.allclose(features[2, :OWN], 0)  # c was never taken, and still has relatives
    assert features.shape[1] == OWN + 2 + len(BESIDE)


def test_interactions_left_out_do_not_count(made):
    history, inputs, _ = made
    heat = Heat.of(history, inputs, history.user != history.user_ids.codes(["u"])[0])
    assert heat.count.tolist() == [1, 1, 0]
    assert np.allclose(heat.own[2], 0)


def test_neighbours_in_the_order_of_arrival():
    """Late ids sell: a new product among them is beside heat, one among the early ids is not."""
    items = pd.DataFrame({"item_id": [f"i{n:03d}" for n in range(100)], "title": "t"})
    events = pd.DataFrame({
        "user_id": "u", "item_id": [f"i{n:03d}" for n in range(80, 100) if n != 90], "event": "purchase",
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC"),
    })
    history = History.of(items, events)
    for arrival, expected in (("id", True), ("none", False)):
        inputs = ItemInputs.of(items, Vocabulary.of(items, events["item_id"], arrival=arrival), {}, arrival=arrival)
        heat = Heat.of(history, inputs, np.ones(len(history.item), bool)).features(inputs)
        assert (heat[90, OWN] > heat[10, OWN]) is np.bool_(expected)
        assert (inputs.arrival >= 0).all() == expected


def test_created_at_orders_arrivals_where_there_is_one():
    items = pd.DataFrame({
        "item_id": ["a", "b", "c"], "title": "t",
        "created_at": pd.to_datetime(["2024-03-01", None, "2024-01-01"], utc=True),
    })
    vocabulary = Vocabulary.of(items, [])
    assert ItemInputs.of(items, vocabulary, {}).arrival.tolist() == [1, -1, 0]
    later = pd.DataFrame({"item_id": ["d"], "title": "t", "created_at": pd.to_datetime(["2024-02-01"], utc=True)})
    assert ItemInputs.of(later, vocabulary, {}).arrival.tolist() == [0]  # after the first, before the last
