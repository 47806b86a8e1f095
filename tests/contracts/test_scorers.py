"""Every baseline, and their blend, under the laws of `Scorer`."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ltexpo.data import Dataset
from ltexpo.data.history import History
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.content import Content
from ltexpo.ranking.cooccurrence import Cooccurrence
from ltexpo.ranking.ease import Ease
from ltexpo.ranking.given import GivenNeighbours
from ltexpo.ranking.popularity import Popularity
from ltexpo.ranking.repeat import Repeat
from ltexpo.ranking.scorer import Scorer
from ltexpo.ranking.taste import Taste

SCORERS: dict[str, Callable[[], Scorer]] = {
    "popularity": Popularity, "repeat": Repeat, "cooccurrence": Cooccurrence, "content": Content, "taste": Taste,
    "ease": Ease, "given": lambda: GivenNeighbours("given", sparse.random(60, 60, 0.2, format="csr", random_state=3)),
    "blend": lambda: Blend([Popularity(), Taste(), Cooccurrence()],
                           {"popularity": 0.2, "taste": 0.5, "cooccurrence": 0.3}),
}


@pytest.fixture(scope="module")
def shop() -> tuple[History, pd.DataFrame]:
    rng = np.random.default_rng(5)
    colour, kind = rng.choice(["red", "blue", "green"], 60), rng.choice(["shirt", "dress", "shoe"], 60)
    items = pd.DataFrame({
        "item_id": [f"i{n:02d}" for n in range(60)],
        "title": [f"{colour[n]} {kind[n]}" for n in range(60)],
        "category": rng.choice(["a", "b", "c"], 60),
        "tags": [list(rng.choice(["x", "y", "z"], 2)) for _ in range(60)],
    })
    events = pd.DataFrame({
        "user_id": [f"u{n}" for n in rng.integers(0, 40, 500)],
        "item_id": [f"i{n:02d}" for n in np.minimum(rng.geometric(0.05, 500), 55)],
        "event": rng.choice(["click", "purchase"], 500),
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 20, 500), unit="D"),
    })
    dataset = Dataset.of(items, events)
    return History.of(dataset.items, dataset.events), dataset.items


@pytest.fixture(params=sorted(SCORERS))
def make(request: pytest.FixtureRequest) -> Callable[[], Scorer]:
    return SCORERS[request.param]


def same(left: sparse.csr_matrix, right: sparse.csr_matrix) -> bool:
    return all(np.array_equal(getattr(left, part), getattr(right, part)) for part in ("indptr", "indices", "data"))


def test_scores_are_positive_finite_and_at_most_n(make, shop):
    history, items = shop
    scores = make().fit(history, items).score(np.arange(history.n_users), 7)
    assert scores.shape == (history.n_users, history.n_items)
    assert scores.nnz > 0
    assert np.isfinite(scores.data).all() and (scores.data > 0).all()
    assert np.diff(scores.indptr).max() <= 7


def test_the_best_n_are_the_best_of_more(make, shop):
    history, items = shop
    scorer = make().fit(history, items)
    users = np.arange(history.n_users)
    few, many = scorer.score(users, 5).toarray(), scorer.score(users, 40).toarray()
    for user in users:
        best = np.lexsort((np.arange(history.n_items), -many[user]))[:5]
        best = best[many[user, best] > 0]
        assert set(np.flatnonzero(few[user])) == set(best)


def test_scoring_again_or_fitting_again_gives_the_same_bytes(make, shop):
    history, items = shop
    scorer = make().fit(history, items)
    users = np.arange(history.n_users)
    first = scorer.score(users, 10)
    assert same(first, scorer.score(users, 10))
    assert same(first, make().fit(history, items).score(users, 10))


def test_a_user_is_scored_alone_as_in_company(make, shop):
    history, items = shop
    scorer = make().fit(history, items)
    together = scorer.score(np.arange(history.n_users), 10)
    for user in (0, 7, history.n_users - 1):
        assert same(together[user], scorer.score(np.array([user]), 10))


def test_skipped_items_do_not_come_back(make, shop):
    history, items = shop
    scorer = make().fit(history, items)
    users = np.arange(history.n_users)
    best = scorer.score(users, 3)
    rest = scorer.score(users, 3, skip=best)
    assert rest.multiply(best).nnz == 0


def test_unknown_codes_are_refused(make, shop):
    history, items = shop
    scorer = make().fit(history, items)
    if scorer.name == "popularity":
        pytest.skip("popularity is the same for everyone, known or not")
    with pytest.raises(IndexError):
        scorer.score(np.array([history.n_users]), 3)


def test_another_historys_users_are_scored_by_what_was_learnt(make, shop):
    history, items = shop
    scorer = make().fit(history, items)
    users = np.arange(history.n_users)
    before = scorer.score(users, 10)
    assert same(scorer.adopt(history).score(users, 10), before)
    if scorer.name == "popularity":
        return
    # User 0 now asks with the history of user 1.
    rows = history.user == 1
    other = replace(history, user=np.zeros(rows.sum(), dtype=np.int64), item=history.item[rows], day=history.day[rows],
                    weight=history.weight[rows])
    assert same(scorer.adopt(other).score(np.array([0]), 10), before[1])
