"""The boosted ranker learns an order, tells probabilities, and is the same after saving."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.errors import ColumnError, ConfigError, TableError
from ltexpo.ranking.gbm import Gbm, GbmSettings

FAST = {"bags": 3, "max_rounds": 60, "patience": 15, "learning_rate": 0.15, "min_rows": 20, "feature_share": 1.0}


def _made(
    n_groups: int = 200, size: int = 15, seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Features (two that matter, one that does not), true probability, outcome, group."""
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.normal(size=(n_groups * size, 3)), columns=["taste", "price", "noise"])
    truth = 1 / (1 + np.exp(2.0 - 1.5 * features["taste"] + (features["price"] > 0.5)))
    outcome = (rng.random(len(truth)) < truth).astype(int)
    return features, truth.to_numpy(), outcome, np.repeat(np.arange(n_groups), size)


@pytest.fixture(scope="module")
def binary() -> Gbm:
    features, _, outcome, group = _made()
    return Gbm(GbmSettings(objective="binary", **FAST)).fit(features, outcome, group, rng=0)


def test_probabilities_of_rows_not_seen_are_calibrated(binary: Gbm):
    features, truth, _, _ = _made(seed=1)
    score = binary.score(features)
    assert np.corrcoef(score, truth)[0, 1] > 0.9
    for part in np.array_split(np.argsort(score), 4):
        assert score[part].mean() == pytest.approx(truth[part].mean(), abs=0.04)


def test_lambdarank_orders_within_groups():
    features, truth, outcome, group = _made()
    model = Gbm(GbmSettings(objective="lambdarank", **FAST)).fit(features, outcome, group, rng=0)
    raw = model.raw(_made(seed=1)[0])
    assert pd.Series(raw).corr(pd.Series(_made(seed=1)[1]), method="spearman") > 0.9
    score = model.score(features)
    assert (np.argsort(model.raw(features), kind="stable") == np.argsort(score, kind="stable")).all()
    assert score.mean() == pytest.approx(outcome.mean(), rel=0.1)
    assert truth.mean() == pytest.approx(outcome.mean(), rel=0.1)


def test_drawn_negatives_that_stand_for_more_keep_probabilities():
    features, truth, outcome, group = _made(n_groups=600)
    kept = (outcome == 1) | (np.random.default_rng(3).random(len(outcome)) < 0.3)
    weight = np.where(outcome == 1, 1.0, 1 / 0.3)
    model = Gbm(GbmSettings(objective="binary", **FAST)).fit(
        features[kept], outcome[kept], group[kept], weight=weight[kept], rng=0
    )
    assert model.score(features).mean() == pytest.approx(truth.mean(), rel=0.1)


def test_poisson_expects_counts():
    rng = np.random.default_rng(0)
    features = pd.DataFrame({"heat": rng.random(3000)})
    counts = rng.poisson(3 * features["heat"])
    model = Gbm(GbmSettings(objective="poisson", **FAST)).fit(features, counts, np.arange(3000), rng=0)
    expected = model.score(pd.DataFrame({"heat": [0.1, 0.5, 0.9]}))
    assert expected == pytest.approx([0.3, 1.5, 2.7], rel=0.25)


def test_same_seed_same_bytes_for_any_number_of_threads(binary: Gbm):
    features, _, outcome, group = _made()
    for threads in (1, 2):
        again = Gbm(GbmSettings(objective="binary", threads=threads, **FAST)).fit(features, outcome, group, rng=0)
        assert again.score(features).tobytes() == binary.score(features).tobytes()


def test_saved_and_loaded_scores_are_the_same_bytes(binary: Gbm, tmp_path: Path):
    features, *_ = _made(seed=2)
    binary.save(tmp_path / "ranker")
    loaded = Gbm.load(tmp_path / "ranker")
    assert loaded.score(features).tobytes() == binary.score(features).tobytes()
    assert loaded.raw_each(features).tobytes() == binary.raw_each(features).tobytes()
    assert loaded.settings == binary.settings
    with pytest.raises(ConfigError, match="fitted"):
        loaded.score_unseen(features, np.zeros(len(features)))


def test_contributions_add_up_to_the_raw_score(binary: Gbm):
    features, *_ = _made(seed=2)
    table = binary.contributions(features, {"taste": "behaviour", "price": "behaviour"})
    assert list(table.columns) == ["behaviour", "noise", "baseline"]
    assert table.sum(axis=1).to_numpy() == pytest.approx(binary.raw(features))
    assert binary.importance().index[0] == "taste"
    assert binary.importance().sum() == pytest.approx(1.0)


def test_unseen_scores_come_from_the_booster_that_left_the_group_out(binary: Gbm):
    features, _, _, group = _made()
    each = np.stack([booster.predict(features.to_numpy(np.float32), raw_score=True) for booster in binary.boosters_])
    fold = binary.folds_.loc[group].to_numpy()
    expected = binary.calibration_(1 / (1 + np.exp(-each[fold, np.arange(len(fold))])))
    assert binary.score_unseen(features, group) == pytest.approx(expected)
    assert binary.score_unseen(features, np.full(len(group), -1)) == pytest.approx(binary.score(features))
    # Groups with outcomes are dealt first, then those without: each dealing is even to within one.
    sizes = binary.folds_.value_counts()
    assert sizes.max() - sizes.min() <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": np.zeros(3000)}, "0 in every row"),
        ({"outcome": np.full(3000, 2.0) * (np.arange(3000) % 2)}, "needs 0 or 1"),
        ({"group": np.zeros(3000)}, "fewer than bags = 3"),
        ({"outcome": np.ones(2)}, "3,000 rows, outcome 2"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(change: dict[str, np.ndarray], message: str):
    features, _, outcome, group = _made()
    given = {"outcome": outcome, "group": group, **change}
    with pytest.raises(TableError, match=message):
        Gbm(GbmSettings(objective="binary", **FAST)).fit(features, given["outcome"], given["group"])


def test_missing_features_and_folders_are_named(binary: Gbm, tmp_path: Path):
    features, *_ = _made()
    with pytest.raises(ColumnError, match="'price'"):
        binary.score(features.drop(columns="price"))
    with pytest.raises(ConfigError, match=r"config\.json"):
        Gbm.load(tmp_path)


def test_trees_that_start_from_a_score_stay_near_it_where_outcomes_are_few(tmp_path: Path):
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.random((4000, 3)).astype(np.float32), columns=["known", "noise", "other"])
    outcome = (rng.random(4000) < 0.02 + 0.1 * features["known"] ** 2).astype(int)
    group = np.arange(4000) // 10
    settings = GbmSettings(objective="binary", bags=3, max_rounds=30, patience=5, start_from="known")
    model = Gbm(settings).fit(features, outcome, group, rng=0)
    plain = Gbm(settings.model_copy(update={"start_from": None})).fit(features, outcome, group, rng=0)
    followed = [np.corrcoef(one.raw(features), np.log(features["known"] + 0.02))[0, 1] for one in (model, plain)]
    assert followed[0] > 0.95 and followed[0] > followed[1]
    parts = model.contributions(features)
    assert parts.sum(axis=1).to_numpy() == pytest.approx(model.raw(features), abs=1e-6)
    model.save(tmp_path / "gbm")
    assert Gbm.load(tmp_path / "gbm").raw(features).tobytes() == model.raw(features).tobytes()
    with pytest.raises(ColumnError, match="start_from is 'gone'"):
        Gbm(settings.model_copy(update={"start_from": "gone"})).fit(features, outcome, group)
