"""The matcher against a plain loop over all products."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns, Tier
from ltexpo.data.history import History
from ltexpo.ranking import matching
from ltexpo.ranking.matching import Matcher

WIDTH, N_ITEMS = 4, 30
TIER = np.array([Tier.Head] * 5 + [Tier.Tail] * 15 + [Tier.New] * 10, dtype=object)


class _Vectors:
    """In place of a trained network: known vectors of 7 users and of the products."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.users = np.hstack([rng.normal(size=(7, WIDTH)), np.ones((7, 1))]).astype(np.float32)
        self.items = (20 * rng.normal(size=(N_ITEMS, WIDTH + 1))).astype(np.float32)
        self.items[3] = 0

    def item_vectors(self, items: pd.DataFrame, content: Any) -> np.ndarray:
        return self.items

    def user_vectors(self, history: History, users: np.ndarray, item_vectors: np.ndarray, *, profiles: Any,
                     queries: Any) -> Any:
        return self.users[users]


@pytest.fixture
def history() -> History:
    items = pd.DataFrame({Columns.Item: [f"i{n:02d}" for n in range(N_ITEMS)]})
    events = pd.DataFrame({
        Columns.User: [f"u{n}" for n in range(7)], Columns.Item: "i00", Columns.Event: "purchase",
        Columns.Timestamp: pd.Timestamp("2026-01-01", tz="UTC"),
    })
    return History.of(items, events)


@pytest.mark.parametrize("at_once", [2, 128])
def test_the_best_of_every_tier_and_the_probabilities(
    history: History, monkeypatch: pytest.MonkeyPatch, at_once: int
):
    monkeypatch.setattr(matching, "_USERS_AT_ONCE", at_once)
    model = _Vectors()
    matcher = Matcher.of(model, pd.DataFrame(), {})
    users = np.array([4, 0, 6, 1, 2])
    matched = matcher.match(history, users, TIER, 8)
    best = matched.best.toarray()
    for row, user in enumerate(users):
        score = [float(model.users[user].astype(float) @ item.astype(float)) for item in model.items]
        for name in Tier.All:
            members = np.flatnonzero(name == TIER)
            wanted = sorted(members, key=lambda item: -score[item])[:8]
            assert set(members[best[row, members] > 0]) == set(wanted)
        top = max(score)
        chance = np.exp(np.array(score) - top)
        expected = np.log(chance / chance.sum())
        found = matched.score(np.full(N_ITEMS, row), np.arange(N_ITEMS))
        # Scores of some hundred overflow a plain exp in float32; here they keep five digits.
        assert found == pytest.approx(expected, abs=1e-3)
        assert np.exp(found.astype(float)).sum() == pytest.approx(1.0, abs=1e-3)


def test_nothing_is_asked_for_and_nothing_is_there(history: History):
    matcher = Matcher.of(_Vectors(), pd.DataFrame(), {})
    assert matcher.match(history, np.array([0, 1]), TIER, 0).best.nnz == 0
    only_head = np.full(N_ITEMS, Tier.Head, dtype=object)
    assert matcher.match(history, np.array([0, 1]), only_head, 50).best.nnz == 2 * N_ITEMS
