"""A stated share of the list is tail, and it is the user's best of the tail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ltexpo.ranking.explore import CURIOSITY, best_with_tail, with_tail

# Items 0–3 are head, 4–7 tail. The blend only uses `seen`; `content` alone reaches items 6 and 7.
PARTS = {
    "seen": sparse.csr_matrix(np.array([[1.0, 0.9, 0.8, 0.7, 0.1, 0.0, 0.0, 0.0]], dtype=np.float32)),
    "content": sparse.csr_matrix(np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.6, 1.0]], dtype=np.float32)),
}
WEIGHTS = {"seen": 1.0, "content": 0.0}
IN_TAIL = np.arange(8) >= 4


@pytest.mark.parametrize(
    ("k", "share", "kept"),
    [
        (4, 0.25, {0, 1, 2, 4}),
        (4, 0.5, {0, 1, 4, 7}),
        (4, 0.75, {0, 4, 6, 7}),
        (8, 0.25, {0, 1, 2, 3, 4, 7}),  # nothing else is reached
    ],
)
def test_the_share_is_filled_with_the_best_of_the_tail(k: int, share: float, kept: set[int]):
    lists = with_tail(PARTS, WEIGHTS, IN_TAIL, k=k, share=share)
    assert set(lists.indices) == kept
    row = lists.toarray()[0]
    assert row[0] == pytest.approx(1.0)
    if 7 in kept:
        assert row[7] == pytest.approx(CURIOSITY)


def test_a_list_that_has_its_tail_keeps_what_the_blend_has():
    weights = {"seen": 0.2, "content": 0.8}
    lists = with_tail(PARTS, weights, IN_TAIL, k=4, share=0.25)
    assert set(lists.indices) == {7, 6, 0, 1}


def test_without_tail_products_nothing_changes():
    lists = with_tail(PARTS, WEIGHTS, np.zeros(8, dtype=bool), k=3, share=0.5)
    assert set(lists.indices) == {0, 1, 2}


def _naive(user, item, score, in_tail, k, slots):
    """Each user's list, made one row at a time."""
    rows = []
    for one in sorted(set(user.tolist())):
        mine = sorted(np.flatnonzero(user == one), key=lambda row: (-score[row], item[row]))
        first = [row for row in mine if in_tail[row]][:slots]
        kept = first + [row for row in mine if row not in first]
        rows += sorted(kept[:k], key=lambda row: (-score[row], item[row]))
    return rows


@given(
    pairs=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=40),
    k=st.integers(1, 6), slots=st.integers(0, 6), seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_rows_are_those_of_the_naive_loop(pairs: set[tuple[int, int]], k: int, slots: int, seed: int):
    slots = min(slots, k)
    rng = np.random.default_rng(seed)
    user, item = np.array(list(pairs)).T
    score, in_tail = rng.integers(0, 4, len(user)) / 4, rng.random(len(user)) < 0.4
    found = best_with_tail(user, item, score, in_tail, k=k, share=slots / k)
    assert found.tolist() == _naive(user, item, score, in_tail, k, slots)
    shuffled = rng.permutation(len(user))
    again = best_with_tail(user[shuffled], item[shuffled], score[shuffled], in_tail[shuffled], k=k, share=slots / k)
    assert shuffled[again].tolist() == found.tolist()


def test_a_share_is_what_was_written():
    # 0.29 · 100 is 28.999999999999996 in binary.
    item, user = np.arange(200), np.zeros(200, dtype=np.int64)
    kept = best_with_tail(user, item, -item.astype(float), item >= 100, k=100, share=0.29)
    assert (kept >= 100).sum() == 29


def test_new_products_have_places_of_their_own():
    item, user = np.arange(20), np.zeros(20, dtype=np.int64)
    score = -item.astype(float)
    found = best_with_tail(user, item, score, item >= 10, k=10, share=0.3, in_new=item >= 15, new_share=0.2)
    assert found.tolist() == [0, 1, 2, 3, 4, 10, 11, 12, 15, 16]
