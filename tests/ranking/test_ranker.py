"""Cut baskets hide what they should; the ranker of three models learns, tells probabilities and survives saving."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.columns import Columns, EventKind, Tier
from ltexpo.data.history import History
from ltexpo.errors import TableError
from ltexpo.ranking.baskets import cut_baskets
from ltexpo.ranking.features import Candidates
from ltexpo.ranking.ranker import ClickTrees, OrderTrees, Ranker, RankerSettings, TailTrees
from ltexpo.ranking.rolling import LabelDay
from ltexpo.sparse import csr

TREES = {"bags": 2, "max_rounds": 40, "patience": 10, "learning_rate": 0.2, "min_rows": 20, "feature_share": 1.0}
SETTINGS = RankerSettings(
    click=ClickTrees(start_from=None, **TREES), order=OrderTrees(start_from=None, **TREES),
    tail=TailTrees(**TREES), negatives=0.5, order_weight=0.5,
)
N_ITEMS = 20


def _past() -> History:
    items = pd.DataFrame({Columns.Item: [f"i{n:02d}" for n in range(N_ITEMS)]})
    events = pd.DataFrame({
        Columns.User: ["ann", "ann", "bob"], Columns.Item: ["i00", "i01", "i02"], Columns.Event: EventKind.Purchase,
        Columns.Timestamp: pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-03"], utc=True),
    })
    return History.of(items, events)


def test_half_of_a_basket_is_shown_beside_the_earlier_history():
    on_day = pd.DataFrame({
        Columns.User: ["ann"] * 5 + ["bob"] + ["eve"] * 2,
        Columns.Item: [f"i{n:02d}" for n in (3, 4, 5, 6, 7, 8, 9, 10)],
    })
    past = _past()
    cut = cut_baskets(past, on_day, max_users=10, rng=0)
    assert cut is not None
    assert list(cut.history.user_ids.ids) == ["ann", "eve"]  # one item cannot be cut
    wanted = cut.wanted.toarray() > 0
    for user, (basket, before) in enumerate((({3, 4, 5, 6, 7}, {0, 1}), ({9, 10}, set()))):
        hidden = set(np.flatnonzero(wanted[user]))
        mine = cut.history.user == user
        assert set(cut.history.item[mine]) == before | (basket - hidden)
        assert len(hidden) == (len(basket) + 1) // 2
        shown = mine & np.isin(cut.history.item, list(basket))
        assert (cut.history.day[shown] == past.now).all()
    assert cut.history.now == past.now
    assert cut_baskets(past, on_day[5:6], max_users=10) is None
    assert cut_baskets(past, on_day, max_users=1, rng=0).wanted.shape == (1, N_ITEMS)


def _day(seed: int, users: int = 150, size: int = 20) -> LabelDay:
    """Users take what they like ("taste"); tail items are those of the upper half, and taken for "kin" instead."""
    rng = np.random.default_rng(seed)
    item = np.tile(np.arange(N_ITEMS), users)
    user = np.repeat(np.arange(users), size)
    features = pd.DataFrame(rng.normal(size=(users * size, 3)).astype(np.float32), columns=["taste", "kin", "noise"])
    features["p_same"] = (rng.random(len(features)) < 0.1).astype(np.float32)
    tier = np.where(np.arange(N_ITEMS) < 10, Tier.Head, Tier.Tail).astype(object)
    cause = np.where(tier[item] == Tier.Head, features["taste"], features["kin"] - 1.5)
    outcome = (rng.random(len(user)) < 1 / (1 + np.exp(2 - 1.5 * cause))).astype(np.int8)
    wanted = csr((outcome.astype(np.float32), (user, item)), shape=(users, N_ITEMS))
    names = pd.Index([f"{seed}-{n}" for n in range(users)])
    return LabelDay(pd.Timestamp("2026-01-02"), names, Candidates(user, item, features), outcome, wanted, tier)


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker(SETTINGS).fit([_day(0), _day(1)], [_day(2)], rng=0)


def test_probabilities_of_head_and_tail_hold_on_another_day(ranker: Ranker):
    day = _day(3, users=600)
    score = ranker.score(day.candidates, day.tier).score
    for kind in (day.in_tail, ~day.in_tail):
        assert score[kind].mean() == pytest.approx(day.outcome[kind].mean(), rel=0.25)
        top = kind & (score > np.quantile(score[kind], 0.9))
        assert day.outcome[top].mean() > 2 * day.outcome[kind].mean()
        assert score[top].mean() == pytest.approx(day.outcome[top].mean(), rel=0.3)


def test_what_the_user_has_already_gets_no_second_opinion():
    day = _day(0)
    has = day.candidates.features["p_same"].to_numpy() > 0
    assert (day.in_tail == ((day.candidates.item >= 10) & ~has)).all()


def test_baskets_teach_the_tail_model_alone(ranker: Ranker):
    without = Ranker(SETTINGS).fit([_day(0), _day(1)], rng=0)
    features = _day(3).candidates.features
    assert (without.click_.raw(features) == ranker.click_.raw(features)).all()
    assert (without.tail_.raw(features) != ranker.tail_.raw(features)).any()


def test_spread_and_saving(ranker: Ranker, tmp_path: Path):
    day = _day(4)
    scores = ranker.score(day.candidates, day.tier)
    assert (scores.std > 0).mean() > 0.9
    ranker.save(tmp_path / "ranker")
    again = Ranker.load(tmp_path / "ranker").score(day.candidates, day.tier)
    assert again.score.tobytes() == scores.score.tobytes() and again.std.tobytes() == scores.std.tobytes()


def test_contributions_add_up_to_what_is_calibrated(ranker: Ranker):
    day = _day(4)
    parts = ranker.contributions(day.candidates, day.tier, {"taste": "liking", "noise": "liking"})
    assert set(parts.columns) == {"liking", "kin", "p_same", "baseline"}
    features = day.candidates.features
    click, order, tail = (model.raw(features) for model in (ranker.click_, ranker.order_, ranker.tail_))
    total = click + ranker.settings.order_weight * order + np.where(day.in_tail, tail, 0)
    assert parts.sum(axis=1).to_numpy() == pytest.approx(total, abs=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(TableError, match="no label day"):
        Ranker(SETTINGS).fit([])
    with pytest.raises(ValueError, match="the same number of bags"):
        RankerSettings(click=ClickTrees(bags=3))
    with pytest.raises(ValueError, match="binary"):
        RankerSettings.model_validate({"tail": {"objective": "poisson"}})
