"""Clicks of a made log, in which the lower half of the slots is seldom looked at and holds the better products."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ltexpo.columns import Tier
from ltexpo.errors import TableError
from ltexpo.ranking.click_ranker import ClickRanker, ShownTrees, _products_alike
from ltexpo.ranking.features import Candidates
from ltexpo.ranking.rolling import LabelDay
from ltexpo.sparse import csr

N_ITEMS = 40
SETTINGS = ShownTrees(
    objective="binary", bags=3, max_rounds=80, patience=15, learning_rate=0.15, min_rows=30, feature_share=1.0
)


def _true(quality: np.ndarray) -> np.ndarray:
    return np.asarray(expit(-1.5 + quality))


def _day(seed: int, users: int = 900) -> LabelDay:
    """Everybody is shown 12 products; the better a product, the further down, where few look."""
    rng = np.random.default_rng(seed)
    size = 12
    item = np.concatenate([np.sort(rng.choice(N_ITEMS, size, replace=False)) for _ in range(users)])
    user = np.repeat(np.arange(users), size)
    features = pd.DataFrame({
        "quality": rng.normal(size=len(user)), "noise": rng.normal(size=len(user)), "p_same": 0.0,
    }).astype(np.float32)
    quality = features["quality"].to_numpy(dtype=float)
    place = np.empty(len(user), dtype=np.int64)
    place[np.lexsort((quality, user))] = np.arange(len(user)) % size
    examined = np.where(place < size // 2, 0.9, 0.15)
    outcome = (rng.random(len(user)) < examined * _true(quality)).astype(np.int8)
    tier = np.where(np.arange(N_ITEMS) < 25, Tier.Head, Tier.Tail).astype(object)
    wanted = csr((outcome.astype(np.float32), (user, item)), shape=(users, N_ITEMS))
    names = pd.Index([f"{seed}-{n}" for n in range(users)])
    return LabelDay(
        pd.Timestamp("2026-01-02"), names, Candidates(user, item, features), outcome, wanted, tier, examined=examined
    )


@pytest.fixture(scope="module")
def ranker() -> ClickRanker:
    return ClickRanker(SETTINGS).fit([_day(0), _day(1)], rng=0)


def _error(ranker: ClickRanker, day: LabelDay) -> float:
    true = _true(day.candidates.features["quality"].to_numpy(dtype=float))
    return float(np.sqrt(np.mean((ranker.score(day.candidates, day.tier).score - true) ** 2)))


def test_who_looked_is_undone(ranker: ClickRanker):
    days = [_day(0), _day(1)]
    naive = ClickRanker(SETTINGS).fit([replace(day, examined=np.ones(len(day.outcome))) for day in days], rng=0)
    fresh = _day(2)
    assert _error(ranker, fresh) < 0.06
    assert _error(naive, fresh) > 3 * _error(ranker, fresh)
    score = ranker.score(fresh.candidates, fresh.tier).score
    true = _true(fresh.candidates.features["quality"].to_numpy(dtype=float))
    for kind in (fresh.in_tail, ~fresh.in_tail):
        assert score[kind].mean() == pytest.approx(true[kind].mean(), rel=0.1)


def test_the_standard_error_is_about_the_error(ranker: ClickRanker):
    day = _day(3)
    scores = ranker.score(day.candidates, day.tier)
    other = ClickRanker(SETTINGS).fit([_day(4), _day(5)], rng=1).score(day.candidates, day.tier)
    # Two models of different users differ by √2 standard errors; ours is right within a factor of two.
    ratio = np.sqrt(np.mean((scores.score - other.score) ** 2) / (2 * np.mean(scores.std**2)))
    assert 0.5 < ratio < 2


def test_unseen_scores_come_from_boosters_and_maps_without_the_user(ranker: ClickRanker):
    days = [_day(0), _day(1)]
    assert [len(one) for one in ranker.unseen_] == [len(day.outcome) for day in days]
    group = np.concatenate([day.group for day in days])
    fold = ranker.click_.folds_.reindex(group).to_numpy()
    features = pd.concat([day.candidates.features for day in days], ignore_index=True)
    raw = ranker.click_.raw_each(features)[fold, np.arange(len(fold))]
    unseen = np.concatenate(ranker.unseen_)
    assert not np.array_equal(unseen, np.concatenate([
        ranker.score(day.candidates, day.tier).score for day in days
    ]))
    tier = np.concatenate([day.tier[day.candidates.item] for day in days])
    for one in range(3):
        for name in (Tier.Head, Tier.Tail):
            rows = (fold == one) & (tier == name)
            order = np.argsort(raw[rows], kind="stable")
            assert (np.diff(unseen[rows][order]) >= 0).all()  # one rising map for each fold and tier


def test_products_alike():
    item = np.r_[np.full(20, 3), np.full(10, 0), 7]
    weight = _products_alike(item)
    of = [weight[item == code].sum() for code in (3, 0, 7)]
    assert of[0] == pytest.approx(of[1]) and of[2] == pytest.approx(of[0] / 5) and weight.mean() == pytest.approx(1)


def test_what_is_met_as_new_teaches_the_trees_and_does_not_calibrate():
    """Products of kind 1 are met as new alone, and are clicked less than their quality tells."""
    plain = [_day(0), _day(1)]
    cold = _day(2)
    features = cold.candidates.features.assign(quality=cold.candidates.features["quality"] + 1, kind=1.0)
    cold = replace(cold, candidates=replace(cold.candidates, features=features))
    plain = [
        replace(day, candidates=replace(day.candidates, features=day.candidates.features.assign(kind=0.0)))
        for day in plain
    ]
    with_it, without = (ClickRanker(SETTINGS).fit(plain, more, rng=0) for more in ([cold], []))
    fresh = _day(3)
    true = _true(fresh.candidates.features["quality"].to_numpy(dtype=float))
    asked = fresh.candidates.features.assign(quality=fresh.candidates.features["quality"] + 1, kind=1.0)
    asked = replace(fresh.candidates, features=asked)
    error = [float((one.score(asked, fresh.tier).score - true).mean()) for one in (with_it, without)]
    assert abs(error[0]) < 0.03 < 0.1 < error[1]
    assert [len(one) for one in with_it.unseen_] == [len(day.outcome) for day in plain]
    assert dict(with_it.calibration_.events) == dict(without.calibration_.events)


def _new_products(seed: int, first: int) -> tuple[LabelDay, np.ndarray]:
    """New products, told apart by a number that says nothing of how good they are; and the true chance of each row."""
    day, rng, products = _day(seed), np.random.default_rng(seed), 300
    item = rng.integers(products, size=len(day.outcome))
    code = first + 2 * item
    chance = expit(-1.5 + 1.2 * np.random.default_rng(99).normal(size=2 * products))[code]
    features = pd.DataFrame({"number": code, "p_same": 0.0}, dtype=np.float32)
    outcome = (rng.random(len(code)) < day.examined * chance).astype(np.int8)
    candidates = replace(day.candidates, item=item, features=features)
    return replace(day, candidates=candidates, outcome=outcome, tier=np.full(products, Tier.New, dtype=object)), chance


def test_the_best_of_unknown_new_products_are_not_promised_what_their_like_had_by_luck():
    ranker = ClickRanker(SETTINGS).fit([_new_products(seed, 0)[0] for seed in (0, 1)], rng=0)
    seen, known = _new_products(2, 0)
    raw = expit(ranker.click_.raw(seen.candidates.features))
    assert np.corrcoef(raw, known)[0, 1] > 0.6  # the trees know the products that they learnt from
    fresh = _new_products(3, 1)[0]  # and these stand between them
    score = ranker.score(fresh.candidates, fresh.tier).score
    best = score >= np.quantile(score, 0.9)
    assert score[best].mean() == pytest.approx(known.mean(), rel=0.25)
    assert expit(ranker.click_.raw(fresh.candidates.features))[best].mean() > 1.5 * known.mean()


def test_saving_and_parts(ranker: ClickRanker, tmp_path: Path):
    day = _day(6, users=50)
    ranker.save(tmp_path / "ranker")
    again = ClickRanker.load(tmp_path / "ranker")
    mine, theirs = (one.score(day.candidates, day.tier) for one in (ranker, again))
    assert mine.score.tobytes() == theirs.score.tobytes() and mine.std.tobytes() == theirs.std.tobytes()
    assert again.means == ranker.means
    parts = again.contributions(day.candidates, day.tier, {"noise": "other", "p_same": "other"})
    assert set(parts.columns) == {"quality", "other", "baseline"}
    assert parts.sum(axis=1).to_numpy() == pytest.approx(ranker.click_.raw(day.candidates.features), abs=1e-6)


def test_what_cannot_be_learnt_from_is_refused():
    with pytest.raises(TableError, match="days on which impressions were logged"):
        ClickRanker(SETTINGS).fit([])
    with pytest.raises(TableError, match="days on which impressions were logged"):
        ClickRanker(SETTINGS).fit([replace(_day(0, users=20), examined=None)])
    with pytest.raises(TableError, match="too few clicks to calibrate on"):
        ClickRanker(SETTINGS.model_copy(update={"min_rows": 1})).fit([_day(0, users=12)])
