"""The tail boost on a case worked by hand, against brute force, and at its edges."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltexpo.errors import ColumnError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.rerank import RerankSettings, rerank

TIERS = pd.DataFrame({"item_id": list("abcdef"), "tier": ["head", "head", "head", "tail", "tail", "new"]})


def one_list(scores: dict[str, float], request: str = "r") -> pd.DataFrame:
    return pd.DataFrame({"request_id": request, "item_id": list(scores), "score": list(scores.values())})


def test_a_list_worked_by_hand():
    candidates = one_list({"a": 0.50, "b": 0.40, "c": 0.35, "d": 0.30, "f": 0.10})
    # d rises by 0.12 to 0.42 and passes b and c; f is under 30% of 0.50 and gets nothing.
    result = rerank(candidates, TIERS, RerankSettings(k=3, strength=0.12, min_score_ratio=0.3))
    assert list(result.rankings["item_id"]) == ["a", "d", "b"]
    assert list(result.rankings["rank"]) == [1, 2, 3]
    assert list(result.rankings["boosted"]) == [False, True, False]
    assert list(result.rankings["price"]) == [0.0, 0.12, 0.0]
    assert list(result.control["item_id"]) == ["a", "b", "c"]
    second, third = 1 / np.log2(3), 0.5
    certificate = result.certificate
    assert certificate["clicks_before"] == pytest.approx(0.50 + 0.40 * second + 0.35 * third)
    assert certificate["clicks_after"] == pytest.approx(0.50 + 0.30 * second + 0.40 * third)
    assert certificate["goals"][0]["before"] == 0
    assert certificate["goals"][0]["achieved"] == pytest.approx(second / (1 + second + third))


def test_strength_zero_changes_nothing_and_ties_break_by_item_id():
    candidates = one_list({"f": 0.2, "b": 0.2, "d": 0.2})
    result = rerank(candidates, TIERS, RerankSettings(k=2, strength=0))
    assert list(result.rankings["item_id"]) == ["b", "d"]
    pd.testing.assert_frame_equal(result.rankings, result.control)


def test_short_lists_stay_short_and_the_input_order_does_not_matter():
    candidates = pd.concat([one_list({"a": 0.5}, "s"), one_list({"b": 0.3, "d": 0.29, "a": 0.1}, "r")])
    plain = rerank(candidates, TIERS, RerankSettings(k=20)).rankings
    shuffled = rerank(candidates.sample(frac=1, random_state=1), TIERS, RerankSettings(k=20)).rankings
    pd.testing.assert_frame_equal(plain, shuffled)
    assert plain.groupby("request_id")["rank"].max().to_dict() == {"r": 3, "s": 1}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 99), min_size=6, max_size=6),
    st.floats(0, 0.5),
    st.integers(1, 4),
)
def test_no_order_with_as_much_tail_keeps_more_clicks(percent: list[int], strength: float, k: int):
    scores = np.array(percent) / 100
    result = rerank(
        one_list(dict(zip("abcdef", scores, strict=True))), TIERS,
        RerankSettings(k=k, strength=strength, min_score_ratio=0),
    )
    attention = attention_weights("log2", k)
    tail = (TIERS["tier"] != "head").to_numpy()
    shown = ["abcdef".index(item) for item in result.rankings["item_id"]]
    achieved = attention @ tail[shown]
    rivals = [
        attention @ scores[list(order)] for order in permutations(range(6), k)
        if attention @ tail[list(order)] >= achieved - 1e-12
    ]
    assert result.certificate["clicks_after"] >= max(rivals) - 1e-9
    assert result.certificate["upper_bound"] >= result.certificate["clicks_after"]


def test_unusable_candidates_are_refused():
    with pytest.raises(ColumnError, match=r"'score' row 0 is -0\.1, negative"):
        rerank(one_list({"a": -0.1}), TIERS, RerankSettings())
    with pytest.raises(TableError, match="item_id 'z' is not in items"):
        rerank(one_list({"z": 0.1}), TIERS, RerankSettings())
