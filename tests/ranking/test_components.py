"""Each baseline by hand, and its products against naive loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ltexpo.data.history import History
from ltexpo.errors import ConfigError, TableError
from ltexpo.ranking.components import ComponentSettings, choose_components
from ltexpo.ranking.content import Content, ContentSettings
from ltexpo.ranking.cooccurrence import Cooccurrence, CooccurrenceSettings
from ltexpo.ranking.ease import Ease, EaseSettings
from ltexpo.ranking.popularity import Popularity, PopularitySettings
from ltexpo.ranking.repeat import Repeat, RepeatSettings
from ltexpo.ranking.taste import Taste, TasteSettings
from ltexpo.ranking.tokens import catalogue_tokens
from ltexpo.sparse import top_product, top_rows


def catalogue(n: int = 5, **columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"item_id": [f"i{code}" for code in range(n)], "title": "", **columns})


def taken(*rows: tuple[str, str, int], items: pd.DataFrame | None = None, event: str = "purchase") -> History:
    """Rows (user, item, day)."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
    frame["timestamp"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(frame.pop("day"), unit="D")
    return History.of(catalogue() if items is None else items, frame.assign(event=event))


def test_history_keeps_the_heaviest_event_of_a_day():
    events = pd.DataFrame({
        "user_id": "u", "item_id": "i1", "event": ["click", "purchase", "click", "impression"],
        "timestamp": pd.to_datetime(
            ["2024-01-01 09:00", "2024-01-01 12:00", "2024-01-02", "2024-01-03"], utc=True, format="ISO8601"
        ),
    })
    history = History.of(catalogue(), events)
    assert history.weight.tolist() == [3.0, 1.0]
    assert history.now == history.day[1]


def test_history_without_interactions_is_refused():
    with pytest.raises(TableError, match="no interaction"):
        taken(("u", "i1", 0), event="impression")


def test_profiles_decay_before_the_users_own_last_day():
    history = taken(("u", "i0", 0), ("u", "i1", 2), ("v", "i2", 9))
    assert np.allclose(history.profiles(2.0).toarray()[0], [1 / 3, 2 / 3, 0, 0, 0])


def test_popularity_is_the_decayed_share():
    history = taken(("u", "i0", 0), ("v", "i0", 0), ("u", "i1", 3))
    scores = Popularity(PopularitySettings(half_life=3)).fit(history, catalogue()).score(np.array([0]), 5)
    assert np.allclose(scores.toarray(), [[0.5, 0.5, 0, 0, 0]])


def test_repeat_prefers_the_recent_and_the_often_taken():
    history = taken(("u", "i0", 0), ("u", "i1", 7), ("v", "i2", 7))
    scores = Repeat(RepeatSettings(half_life=7, popularity=0)).fit(history, catalogue()).score(np.array([0]), 5)
    assert np.allclose(scores.toarray(), [[1.5, 3.0, 0, 0, 0]])


def test_cooccurrence_cosine_by_hand():
    history = taken(("u", "i0", 0), ("u", "i1", 0), ("v", "i1", 0), ("w", "i0", 0))
    cosine = CooccurrenceSettings(half_life=None, user_damping=0, discount=0.5, shrinkage=0)
    scores = Cooccurrence(cosine).fit(history, catalogue()).score(history.user_ids.codes(["w"]), 5)
    assert np.allclose(scores.toarray(), [[0, 0.5, 0, 0, 0]])


def test_content_reaches_an_item_that_nobody_took():
    items = catalogue(brand=["x", "x", "y", "y", None])
    history = taken(("u", "i0", 0), ("v", "i2", 0), items=items)
    scores = Content(ContentSettings(text_weight=0)).fit(history, items).score(history.user_ids.codes(["u"]), 5)
    assert np.flatnonzero(scores.toarray()[0]).tolist() == [1]


def test_taste_is_popularity_within_the_users_values():
    items = catalogue(brand=["x", "x", "x", "y", "y"])
    history = taken(("u", "i0", 0), ("v", "i1", 0), ("w", "i1", 0), ("v", "i3", 0), items=items)
    taste = Taste(TasteSettings(text_weight=0, half_life=None)).fit(history, items)
    scores = taste.score(history.user_ids.codes(["u"]), 5).toarray()[0]
    assert np.allclose(scores / scores.sum(), [1 / 3, 2 / 3, 0, 0, 0])


def test_tokens_split_lists_and_paths_and_drop_what_cannot_join():
    items = catalogue(tags=[["a", "b"], ["a"], None, ["c"], ["a", "a"]],
                      path=["p > q", "p", None, "r", "p > q"], weight=[1.0, 1.0, 2.0, 3.0, 4.0])
    tokens = catalogue_tokens(items, text_weight=0, max_share=1.0)
    assert tokens.shape == (5, 3)  # a, p, q: b, c and r are on one item, weight is a number
    assert np.allclose(np.sqrt(tokens.multiply(tokens).sum(axis=1)).ravel(), [1, 1, 0, 0, 1])


def test_ease_equals_the_dense_formula():
    rng = np.random.default_rng(3)
    history = taken(*[(f"u{rng.integers(8)}", f"i{rng.integers(5)}", 0) for _ in range(25)])
    X = (history.matrix(np.ones(len(history.item))).toarray() > 0).astype(float)
    P = np.linalg.inv(X.T @ X + 2.0 * np.eye(5))
    B = np.eye(5) - P / np.diag(P)[None, :]
    expected = (X / X.sum(axis=1, keepdims=True)) @ np.maximum(B, 0)
    ease = Ease(EaseSettings(regularisation=2.0)).fit(history, catalogue())
    assert np.allclose(ease.score(np.arange(history.n_users), 5).toarray(), expected, atol=1e-6)


def test_ease_refuses_a_large_catalogue_and_is_left_out_with_a_reason():
    history = taken(("u", "i0", 0), ("u", "i1", 0))
    with pytest.raises(ConfigError, match="max_items = 1"):
        Ease(EaseSettings(max_items=1)).fit(history, catalogue())
    names, left_out = choose_components(ComponentSettings(), taken_items=5000, exclude_seen=True)
    assert names == ["popularity", "cooccurrence", "content", "taste"]
    assert set(left_out) == {"repeat", "ease"} and "5,000" in left_out["ease"]


def test_naming_repeat_while_excluding_seen_is_refused():
    with pytest.raises(ConfigError, match="exclude_seen"):
        choose_components(ComponentSettings(components=("repeat",)), taken_items=5, exclude_seen=True)


# Small whole numbers make sums exact, and ties frequent.
small = st.integers(0, 3)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_top_product_against_the_dense_product(rows, middle, columns, n, data):
    def draw(a: int, b: int) -> np.ndarray:
        return np.array(data.draw(st.lists(st.lists(small, min_size=b, max_size=b), min_size=a, max_size=a)), float)

    left, right, skip = draw(rows, middle), draw(middle, columns), draw(rows, columns) > 2
    product = np.where(skip, 0, left @ right)
    got = top_product(sparse.csr_matrix(left), sparse.csr_matrix(right), n, skip=sparse.csr_matrix(skip)).toarray()
    for row in range(rows):
        best = np.lexsort((np.arange(columns), -product[row]))[:n]
        expected = np.zeros(columns)
        expected[best] = product[row, best]
        assert np.array_equal(got[row], expected)


def test_products_leave_unsorted_float64_matrices_as_they_were():
    unsorted = sparse.csr_matrix((np.array([1.0, 2.0]), np.array([3, 1]), np.array([0, 2])), shape=(1, 4))
    before = unsorted.toarray()
    top_rows(unsorted, 1)
    assert np.array_equal(unsorted.toarray(), before)
    assert np.array_equal(top_rows(unsorted, 1).toarray(), [[0, 2, 0, 0]])
