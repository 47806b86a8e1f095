"""What each part adds sums to the score; the match is shared among what it was read from; and the words for it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_ranking import tiny_settings

from ltexpo.columns import Columns
from ltexpo.data.synthetic import Shop
from ltexpo.encoders.item_vectors import Content
from ltexpo.errors import TableError
from ltexpo.ranking.contributions import contributions
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.parts import BASELINE, RESERVED, parts_of, words
from ltexpo.sparse import Csr, csr

IDS = [Columns.User, Columns.Item]


def _model(shop: Shop, content: Content, min_clicks: int, **more: object) -> Model:
    settings = ModelSettings.model_validate(tiny_settings(min_clicks=min_clicks, **more))
    return Model(settings).fit(shop.dataset, content, rng=0)


@pytest.fixture(scope="module", params=[20, 10**6], ids=["clicks", "taken"])
def model(request: pytest.FixtureRequest, shop: Shop, content: Content) -> Model:
    return _model(shop, content, request.param)


def test_every_feature_has_a_part(model: Model):
    features = model.ranker_.boosters["click"].features_
    found = parts_of(features)
    assert set(found) == set(features)
    assert set(found.values()) <= {"image", "graph", *RESERVED} - {BASELINE}
    assert {found[name] for name in ("m_match", "m_worth")} == {"match"}


def test_vectors_of_any_name_are_a_part():
    found = parts_of(["i_alike_my_words", "p_last_my_words", "p_last_my", "p_brand_last", "i_heat_brand", "i_heat",
                      "i_count_7", "p_price", "u_since", "s_ease", "r_taste", "p_same_age", "i_order_3"])
    assert list(found.values()) == [
        "my_words", "my_words", "attributes", "attributes", "attributes", "popularity", "popularity", "price", "user",
        "behaviour", "attributes", "behaviour", "place",
    ]


def test_rows_sum_to_the_score_in_the_order_of_the_pairs(shop: Shop, content: Content, model: Model):
    made = model.recommend(shop.dataset, content).candidates
    pairs = made.iloc[[700, 3, 3, 250, 0, 699]]
    found = contributions(model, shop.dataset, content, pairs)
    assert found[IDS].to_numpy().tolist() == pairs[IDS].to_numpy().tolist()
    assert found.iloc[1].equals(found.iloc[2])
    parts = found.drop(columns=IDS)
    assert {"image", "graph", "attributes", "behaviour", BASELINE} <= set(parts.columns)
    assert "match" not in parts.columns
    total = parts.sum(axis=1).to_numpy()
    # The score is a rising map of the sum: one map for each tier.
    today = model.today(shop.dataset, content)
    tier = today.tier_[today.history_.item_ids.codes(pairs[Columns.Item])]
    for name in set(tier):
        here = tier == name
        order = np.argsort(total[here], kind="stable")
        assert (np.diff(pairs[Columns.Score].to_numpy()[here][order]) >= -1e-12).all()
    if hasattr(model.ranker_, "tail_"):
        return
    score = model.ranker_.calibration_(expit(total), tier)
    assert score == pytest.approx(pairs[Columns.Score].to_numpy(), abs=1e-6)


def test_the_match_is_shared_as_shapley_values_say(shop: Shop, content: Content, model: Model):
    pairs = model.recommend(shop.dataset, content).candidates.iloc[[5, 900]]
    found = contributions(model, shop.dataset, content, pairs)
    today = model.today(shop.dataset, content)
    codes = today.history_.item_ids.codes(pairs[Columns.Item])
    users = today.history_.also(pairs[Columns.User])
    mine = users.user_ids.codes(pairs[Columns.User])
    tokens = today.matcher.tokens(users, mine, np.arange(2), codes)
    assert set(tokens.columns) == {"base", "image", "graph", "attributes", "behaviour"}
    # Alone, without shares, the parts of the trees:
    today.adopt(users)
    for row in range(2):
        pair = today.table(mine[[row]], pairs=_one(codes[row], len(shop.dataset.items)))
        plain = model.ranker_.contributions(pair, today.tier_, parts_of(pair.features.columns)).iloc[0]
        size = tokens.drop(columns="base").iloc[row].abs()
        for token in ("image", "graph"):
            expected = plain[token] + plain["match"] * size[token] / size.sum()
            assert found[token].iloc[row] == pytest.approx(expected, abs=1e-6)
        assert found["price"].iloc[row] == pytest.approx(plain["price"], abs=1e-9)


def test_what_a_product_lacks_is_named_so(shop: Shop, content: Content, model: Model):
    pairs = model.recommend(shop.dataset, content).candidates.iloc[[5, 900, 17]]
    before = contributions(model, shop.dataset, content, pairs)
    vectors, mask = content["image"]
    bare = mask & (shop.dataset.items[Columns.Item] != pairs[Columns.Item].iloc[1]).to_numpy()
    found = contributions(model, shop.dataset, {**content, "image": (vectors, bare)}, pairs)
    assert found["no image"].iloc[[0, 2]].tolist() == [0, 0] and found["no image"].iloc[1] != 0
    assert found["image"].iloc[1] == 0 and (found["image"].iloc[[0, 2]] != 0).all()
    assert "no image" not in before.columns
    events = shop.dataset.events
    untaken = replace(shop.dataset, events=events[events[Columns.Item] != pairs[Columns.Item].iloc[0]])
    found = contributions(model, untaken, content, pairs)
    assert found["popularity"].iloc[0] == 0 and found["no history"].iloc[0] != 0
    assert (found["popularity"].iloc[1:] != 0).all() and (found["no history"].iloc[1:] == 0).all()


def _one(item: int, n_items: int) -> Csr:
    return csr((np.ones(1, dtype=np.float32), ([0], [item])), shape=(1, n_items))


def test_without_a_match_model_likeness_stays_by_itself(shop: Shop, content: Content):
    model = _model(shop, content, 20, fusion=None, graph=None)
    pairs = pd.DataFrame({Columns.User: ["U000001", "a stranger"], Columns.Item: ["P000001", "P000007"]})
    found = contributions(model, shop.dataset, content, pairs)
    assert "match" in found.columns and "image" in found.columns
    with pytest.raises(TableError, match="item_id 'nothing' is unknown"):
        contributions(model, shop.dataset, content, pairs.assign(item_id="nothing"))
    with pytest.raises(TableError, match="pairs lacks 'item_id'"):
        contributions(model, shop.dataset, content, pairs[[Columns.User]])


def test_words_by_hand():
    parts = {"image": 1.2, "graph": 0.5, "behaviour": 0.3, "popularity": -0.4, "price": -0.1, BASELINE: -3.0}
    assert words(parts) == "this match is 60% picture, 25% product graph, 15% behaviour; against it: popularity"
    assert words({"image": 1.0, "text": 0.001, BASELINE: 1.0}) == "this match is 100% picture"
    assert words({"image": -1.0, "user": 0.0, BASELINE: 1.0}) == "nothing speaks for this match; against it: picture"
    assert words({"no image": 0.4, "place": 0.6, "no history": -1.0}) == (
        "this match is 60% place in the catalogue, 40% no picture; against it: no history"
    )
    assert words({"image": 1.0, "no query": -1.0}).endswith("against it: nothing typed that is known")
    assert words({BASELINE: 1.0}) == "nothing speaks for this match"
