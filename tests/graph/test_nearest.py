import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltexpo.graph import nearest as module
from ltexpo.graph.nearest import nearest


def naive(queries, vectors, n, allowed, same):
    rows = []
    for q, query in enumerate(queries):
        pool = [i for i in range(len(vectors)) if allowed[i] and i != same[q]]
        alike = {i: np.float32(query @ vectors[i]) for i in pool}
        best = sorted(pool, key=lambda i: (-alike[i], i))[:n]
        rows.append(best + [-1] * (n - len(best)))
    return np.array(rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 15))
def test_against_a_naive_loop_with_ties(seed, n, size):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, size=(size, 2)).astype(np.float32)
    queries = rng.integers(-1, 2, size=(5, 2)).astype(np.float32)
    allowed = rng.random(size) < 0.7
    same = rng.integers(-1, size, size=5)
    found, alike = nearest(queries, vectors, n, allowed=allowed, same=same)
    assert found.tolist() == naive(queries, vectors, n, allowed, same).tolist()
    for q, place in zip(*np.nonzero(found >= 0), strict=True):
        assert alike[q, place] == pytest.approx(float(queries[q] @ vectors[found[q, place]]))


def test_blocks_change_nothing(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    whole = nearest(vectors, vectors, 5, same=np.arange(50))
    monkeypatch.setattr(module, "_BLOCK", 100)
    parts = nearest(vectors, vectors, 5, same=np.arange(50))
    assert (whole[0] == parts[0]).all()
    assert not (whole[0] == np.arange(50)[:, None]).any()


def test_nothing_allowed():
    vectors = np.ones((3, 2), dtype=np.float32)
    found, _ = nearest(vectors, vectors, 2, allowed=np.zeros(3, dtype=bool))
    assert (found == -1).all()
