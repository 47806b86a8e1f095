"""The whole model on a small shop: what it may see, what it says, and that it survives saving."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_ranking import tiny_settings, vectors_of

from ltexpo.columns import Columns, EventKind, Tier
from ltexpo.data.dataset import Dataset
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.data.synthetic import Shop, make_shop
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import ConfigError, SplitError
from ltexpo.ranking.click_ranker import ClickRanker
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.model_card import model_card
from ltexpo.ranking.ranker import Ranker
from ltexpo.ranking.spread import Spread
from ltexpo.ranking.train_report import train_report

UNTIL = pd.Timestamp("2026-01-10", tz="UTC")
"""Midnight before the shop's last day."""
LABEL_DAYS = pd.Timestamp("2026-01-08", tz="UTC")
TAKEN = 10**6


def _fit(dataset: Dataset, content: Content, *, edges: pd.DataFrame | None = None, **more: Any) -> Model:
    settings = ModelSettings.model_validate(tiny_settings(until=UNTIL, **more))
    return Model(settings).fit(dataset, content, edges=edges, rng=0)


def _files(model: Model, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    model.write_into(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def models(shop: Shop, content: Content) -> dict[str, Model]:
    return {
        "clicks": _fit(shop.dataset, content), "taken": _fit(shop.dataset, content, min_clicks=TAKEN),
    }


KINDS = ("clicks", "taken")


def test_the_log_says_which_ranker_learns(models: dict[str, Model]):
    assert isinstance(models["clicks"].ranker_, ClickRanker)
    assert isinstance(models["taken"].ranker_, Ranker)
    assert models["clicks"].report_["label_days"] == ["2026-01-08", "2026-01-09"]


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_keep_the_contract(shop: Shop, content: Content, models: dict[str, Model], kind: str):
    made = models[kind].recommend(shop.dataset, content)
    found = check_table(made.candidates, CANDIDATES).frame
    assert set(found[Columns.User]) == set(shop.dataset.users[Columns.User])
    assert found[Columns.Score].between(0, 1, inclusive="neither").all()
    assert (found[Columns.ScoreStd] >= 0).all() and (found[Columns.ScoreStd] > 0).mean() > 0.5
    # In so small a log too few products were shown to anybody again.
    assert models[kind].report_["spread"] is None and Columns.ScoreSpread not in found.columns
    for _, one in found.groupby(Columns.Request):
        assert one[Columns.Rank].tolist() == list(range(1, len(one) + 1))
        assert (np.diff(one[Columns.Score]) <= 0).all()
        assert len(one) == 12
    # Users that nothing is known of have lists too, and every list has its share of tail and new products.
    earlier = shop.dataset.events[shop.dataset.events[Columns.Timestamp] < UNTIL]
    known = earlier.loc[earlier[Columns.Event] != EventKind.Impression, Columns.User]
    assert 0 < found.loc[~found[Columns.User].isin(known), Columns.User].nunique() < 400
    tier = models[kind].settings.tail.assign(shop.dataset.items, earlier).set_index(Columns.Item)[Columns.Tier]
    in_tail = found[Columns.Item].map(tier) != Tier.Head
    assert in_tail.groupby(found[Columns.Request]).sum().min() >= int(0.2 * 12)
    strangers = int((~shop.dataset.users[Columns.User].isin(known)).sum())
    assert made.report["counts"] == {
        "users": 400, "users without history": strangers, "candidates": 4800, "lists shorter than 12": 0,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_scores_the_same_bytes(
    shop: Shop, content: Content, models: dict[str, Model], kind: str, tmp_path: Path
):
    files = _files(models[kind], tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert loaded.settings.model_dump(mode="json") == models[kind].settings.model_dump(mode="json")
    users = pd.Index(sorted(shop.dataset.users[Columns.User])[:40])
    mine, theirs = (one.recommend(shop.dataset, content, user_ids=users) for one in (models[kind], loaded))
    pd.testing.assert_frame_equal(mine.candidates, theirs.candidates, check_exact=True)
    assert mine.report == theirs.report
    assert _files(loaded, tmp_path / "again") == files


def test_the_spread_of_scores_is_kept_and_never_below_their_error(
    shop: Shop, content: Content, models: dict[str, Model], tmp_path: Path
):
    _files(models["clicks"], tmp_path / "model")
    model = Model.load(tmp_path / "model")
    assert isinstance(model.ranker_, ClickRanker)
    model.ranker_.spread_ = Spread(0.05, 0.01, {Tier.Tail: 1.5}, 400, 300)
    _files(model, tmp_path / "with_spread")
    users = pd.Index(sorted(shop.dataset.users[Columns.User])[:40])
    found = Model.load(tmp_path / "with_spread").recommend(shop.dataset, content, user_ids=users).candidates
    found = check_table(found, CANDIDATES).frame
    spread, error = found[Columns.ScoreSpread], found[Columns.ScoreStd]
    assert (spread >= error).all() and 0 < (spread == error).mean() < 1 and (spread > 5 * error).any()


def test_the_same_seed_writes_the_same_files(
    shop: Shop, content: Content, models: dict[str, Model], tmp_path: Path
):
    again = _fit(shop.dataset, content)
    assert _files(again, tmp_path / "again") == _files(models["clicks"], tmp_path / "model")


def test_nothing_from_until_on_changes_anything(
    shop: Shop, content: Content, models: dict[str, Model], tmp_path: Path
):
    events = shop.dataset.events.copy()
    later = (events[Columns.Timestamp] >= UNTIL).to_numpy()
    assert later.sum() > 1000
    rng = np.random.default_rng(3)
    for column in (Columns.Item, Columns.User, Columns.Event):
        events.loc[later, column] = rng.permutation(events.loc[later, column].to_numpy())
    other = replace(shop.dataset, events=events)
    again = _fit(other, content)
    assert _files(again, tmp_path / "again") == _files(models["clicks"], tmp_path / "model")
    mine = models["clicks"].recommend(shop.dataset, content).candidates
    pd.testing.assert_frame_equal(again.recommend(other, content).candidates, mine, check_exact=True)


def test_the_label_days_do_not_reach_the_networks(shop: Shop, content: Content, models: dict[str, Model]):
    events = shop.dataset.events.copy()
    on_label_days = (events[Columns.Timestamp] >= LABEL_DAYS).to_numpy()
    events.loc[on_label_days, Columns.Item] = np.random.default_rng(3).permutation(
        events.loc[on_label_days, Columns.Item].to_numpy()
    )
    other = _fit(replace(shop.dataset, events=events), content)
    mine, theirs = models["clicks"].reader_, other.reader_
    for one, two in ((mine.graph_, theirs.graph_), (mine.match_, theirs.match_)):
        for name, value in one.net_.state_dict().items():
            assert (value == two.net_.state_dict()[name]).all(), name
    assert mine.match_.until_ <= LABEL_DAYS.timestamp() / 86_400
    # The permuted days are what the trees learn from, so the test could have seen a difference.
    features = models["clicks"].label_days_[0].candidates.features
    other_features = other.label_days_[0].candidates.features
    assert len(features) != len(other_features) or (features != other_features).any(axis=None)


def test_what_was_seen_can_be_left_out(shop: Shop, content: Content):
    model = _fit(shop.dataset, content, exclude_seen=True)
    found = model.recommend(shop.dataset, content).candidates
    earlier = shop.dataset.events[shop.dataset.events[Columns.Timestamp] < UNTIL]
    taken = earlier.loc[earlier[Columns.Event] != EventKind.Impression, [Columns.User, Columns.Item]]
    pairs = pd.MultiIndex.from_frame(found[[Columns.User, Columns.Item]])
    assert not pairs.isin(pd.MultiIndex.from_frame(taken)).any()


def test_scores_are_about_true_and_follow_the_truth():
    shop = make_shop(n_items=400, n_users=3000, n_days=6, rng=0)
    content = vectors_of(shop.dataset)
    rolling = tiny_settings()["rolling"] | {"max_users": 2000, "days": 3}
    model = Model(ModelSettings.model_validate(tiny_settings(rolling=rolling))).fit(shop.dataset, content, rng=0)
    found = model.recommend(shop.dataset, content, user_ids=shop.dataset.users[Columns.User].head(500)).candidates
    true = shop.truth.attraction(found[Columns.User], found[Columns.Item])
    # Some thousand clicks and a few small trees: roughly right, and better than the order of chance.
    assert found[Columns.Score].mean() == pytest.approx(true.mean(), rel=0.15)
    assert np.corrcoef(found[Columns.Score], true)[0, 1] > 0.2


def test_given_edges_are_learnt_from_and_asked_for_again(shop: Shop, content: Content, tmp_path: Path):
    edges = shop.graph[shop.graph["relation"] == "similar"]
    model = _fit(shop.dataset, content, edges=edges)
    _files(model, tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    users = pd.Index(["U000001"])
    mine, theirs = (one.recommend(shop.dataset, content, user_ids=users, edges=edges) for one in (model, loaded))
    pd.testing.assert_frame_equal(mine.candidates, theirs.candidates, check_exact=True)
    with pytest.raises(ConfigError, match=r"given edges \(similar\). Give today's with 'edges'"):
        loaded.recommend(shop.dataset, content, user_ids=users)


def test_edges_that_nothing_learnt_from_are_refused(shop: Shop, content: Content, models: dict[str, Model]):
    with pytest.raises(ConfigError, match="learnt without given edges"):
        models["clicks"].recommend(shop.dataset, content, edges=shop.graph)
    with pytest.raises(ConfigError, match="edges feed the graph network"):
        _fit(shop.dataset, content, edges=shop.graph, graph=None)


@pytest.mark.parametrize("without", ["fusion", "graph"])
def test_a_network_can_be_left_out(shop: Shop, content: Content, without: str, tmp_path: Path):
    model = _fit(shop.dataset, content, **{without: None})
    features = set(model.ranker_.boosters["click"].features_)
    assert ("m_match" in features) == (without == "graph")
    assert ("i_alike_graph" in features) == (without == "fusion")
    assert "i_alike_image" in features
    _files(model, tmp_path / "model")
    users = pd.Index(["U000001", "U000002"])
    loaded = Model.load(tmp_path / "model")
    mine, theirs = (one.recommend(shop.dataset, content, user_ids=users).candidates for one in (model, loaded))
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_a_reader_goes_on_learning_on_newer_days_only(
    shop: Shop, content: Content, models: dict[str, Model], tmp_path: Path
):
    early = models["taken"]
    _files(early, tmp_path / "model")

    def continued(**more: Any) -> Model:
        reader = Model.load(tmp_path / "model").reader_
        settings = ModelSettings.model_validate(tiny_settings(**more))
        return Model(settings).fit(shop.dataset, content, reader=reader, rng=0)

    later = continued(until=None)
    assert later.reader_.match_.until_ > early.reader_.match_.until_
    assert len(later.reader_.match_.losses_) > len(early.reader_.match_.losses_)
    seen = pd.Timestamp(early.reader_.match_.until_, unit="D", tz="UTC").round("s")
    card = model_card(later, train_report(later, shop.dataset), shop.dataset, content, seed=0)
    assert f"events before {seen}" in " ".join(card.split()) and early.report_["continued_from"] is None
    with pytest.raises(ConfigError, match="'fusion' is not as in the model to continue from"):
        continued(until=None, fusion={"width": 16, "heads": 2})
    with pytest.raises(SplitError, match="later than the start of the label days"):
        continued(until=pd.Timestamp("2026-01-09", tz="UTC"))


def test_names_of_vectors_that_stand_for_something_else_are_refused(shop: Shop, content: Content):
    with pytest.raises(ConfigError, match="vectors may not be called 'match'"):
        _fit(shop.dataset, {"match": content["image"]})


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="holds no trained model"):
        Model.load(tmp_path)
