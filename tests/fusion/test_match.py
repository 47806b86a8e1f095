import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltexpo.data.history import History
from ltexpo.errors import ConfigError, LtexpoError, TableError

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from shops import SIZE, catalogue, purchases, share_of_own_brand, vectors  # noqa: E402

from ltexpo.fusion.attribution import token_contributions  # noqa: E402
from ltexpo.fusion.match import MatchModel  # noqa: E402
from ltexpo.fusion.settings import FusionSettings, TrainingSettings  # noqa: E402

SMALL = FusionSettings(width=16, heads=2, history=4, dropout=0.0)
QUICK = TrainingSettings(epochs=12, batch=128, uniform=32, rate=1e-2, patience=12)
ITEMS, EVENTS, CONTENT = catalogue(), purchases(), vectors()
HISTORY = History.of(ITEMS, EVENTS)
NEW = np.flatnonzero(np.arange(len(ITEMS)) % SIZE >= SIZE - 2)
BRAND = np.array([HISTORY.item[HISTORY.user == user][0] // SIZE for user in range(HISTORY.n_users)])


@pytest.fixture(scope="module")
def model() -> MatchModel:
    return MatchModel(SMALL, QUICK).fit(ITEMS, HISTORY, CONTENT, rng=1)


def users_of(model: MatchModel, items: np.ndarray) -> np.ndarray:
    return model.user_vectors(HISTORY, np.arange(HISTORY.n_users), items)


def test_it_learns_the_taste_also_for_new_products(model):
    items = model.item_vectors(ITEMS, CONTENT)
    users = users_of(model, items)
    assert share_of_own_brand(users, items, BRAND, np.arange(len(ITEMS))) > 0.9
    assert share_of_own_brand(users, items, BRAND, NEW, 2) > 0.9  # chance: 1/6
    assert min(model.losses_) < model.losses_[0]


@pytest.mark.parametrize("hidden", [("image",), ("attributes",), ("image", "behaviour"), ("attributes", "behaviour")])
def test_what_is_left_still_tells(model, hidden):
    items = model.item_vectors(ITEMS, CONTENT, hidden=hidden)
    rows = np.flatnonzero(CONTENT["image"][1])
    assert share_of_own_brand(users_of(model, items), items, BRAND, rows) > 0.7


@pytest.mark.parametrize(("change", "least"), [({"fuse": "mean"}, 0.8), ({"sequence": "lstm"}, 0.6)])
def test_the_other_choices_learn_too(change, least):
    made = MatchModel(SMALL.model_copy(update=change), QUICK).fit(ITEMS, HISTORY, CONTENT, rng=1)
    items = made.item_vectors(ITEMS, CONTENT)
    assert share_of_own_brand(users_of(made, items), items, BRAND, NEW, 2) > least


def test_what_was_taken_less_than_least_has_no_vector_of_its_own(model):
    count = np.bincount(HISTORY.item, minlength=len(ITEMS))
    least = int(np.median(count))
    model = MatchModel(SMALL.model_copy(update={"least": least}), QUICK.model_copy(update={"epochs": 2})).fit(
        ITEMS, HISTORY, CONTENT, rng=1
    )
    shown, hidden = (model.item_vectors(ITEMS, CONTENT, hidden=names)[:, :-1] for names in ((), ("behaviour",)))
    assert ((shown == hidden).all(axis=1) == (count < least)).all()


def test_profiles_tell_of_users_without_a_past():
    users = pd.DataFrame({"user_id": HISTORY.user_ids.ids, "club": [f"club {brand}" for brand in BRAND]})
    made = MatchModel(SMALL, QUICK.model_copy(update={"together": 0.0})).fit(
        ITEMS, HISTORY, CONTENT, users=users, rng=1
    )
    items = made.item_vectors(ITEMS, CONTENT)
    silent = HISTORY.rows(HISTORY.user >= 50)
    rows, some = np.arange(len(ITEMS)), np.arange(50)
    told, untold = (
        made.user_vectors(silent, some, items, profiles=made.profile_.read(table)) for table in (users, None)
    )
    assert share_of_own_brand(told, items, BRAND[:50], rows) > 0.8
    assert share_of_own_brand(untold, items, BRAND[:50], rows) < 0.5


def test_adversarial_training_changes_the_weights():
    short = QUICK.model_copy(update={"epochs": 1})
    plain = MatchModel(SMALL, short).fit(ITEMS, HISTORY, CONTENT, rng=1).item_vectors(ITEMS, CONTENT)
    pushed = short.model_copy(update={"adversarial": 0.5})
    fought = MatchModel(SMALL, pushed).fit(ITEMS, HISTORY, CONTENT, rng=1).item_vectors(ITEMS, CONTENT)
    again = MatchModel(SMALL, short).fit(ITEMS, HISTORY, CONTENT, rng=1).item_vectors(ITEMS, CONTENT)
    assert (plain == again).all()  # same seed, same bytes
    assert not np.allclose(plain, fought)


def test_save_and_load(model, tmp_path):
    again = MatchModel.load(model.save(tmp_path / "model"))
    items = model.item_vectors(ITEMS, CONTENT)
    assert (again.item_vectors(ITEMS, CONTENT) == items).all()
    assert (users_of(again, items) == users_of(model, items)).all()
    assert not list((tmp_path / "model").glob("*.pkl"))


def test_training_goes_on_and_old_knowledge_is_kept(model, tmp_path):
    """New days bring new users and one new brand; the old brands must still be told apart."""
    again = MatchModel.load(model.save(tmp_path / "model"))
    more = pd.DataFrame({
        "item_id": [f"n{i:02d}" for i in range(SIZE)], "title": "t", "brand": "fresh", "price": 2.0,
    })
    items = pd.concat([ITEMS, more], ignore_index=True)
    rng = np.random.default_rng(3)
    late = pd.DataFrame([
        (f"w{user}", f"n{item:02d}", "purchase", pd.Timestamp("2024-02-01", tz="UTC") + pd.Timedelta(days=day))
        for user in range(60) for day, item in enumerate(rng.choice(SIZE, 3, replace=False))
    ], columns=EVENTS.columns)
    history = History.of(items, pd.concat([EVENTS, late], ignore_index=True))
    content = {"image": tuple(
        np.concatenate([part, np.zeros((SIZE, *part.shape[1:]), part.dtype)]) for part in CONTENT["image"]
    )}
    again.fit(items, history, content, rng=2)
    now = again.item_vectors(items, content)
    users = again.user_vectors(history, np.arange(history.n_users), now)
    brand = np.array([history.item[history.user == user][0] for user in range(history.n_users)]) // SIZE
    rows, old = np.arange(len(items)), brand < 6
    assert share_of_own_brand(users[old], now, brand[old], rows) > 0.85
    assert share_of_own_brand(users[~old], now, brand[~old], rows) > 0.6  # chance: 1/7
    # without replay the old users' loss runs away
    forgetful = MatchModel.load(tmp_path / "model")
    forgetful.training = forgetful.training.model_copy(update={"replay": 0.0})
    forgetful.fit(items, history, content, rng=2)
    assert forgetful.losses_[-1] > again.losses_[-1] + 1


def test_contributions_sum_to_the_score(model):
    items = model.item_vectors(ITEMS, CONTENT)
    rows = np.array([0, 25, 25, 119])
    users = users_of(model, items)[[3, 4, 5, 6]]
    found = token_contributions(model, ITEMS, CONTENT, rows, users)
    assert np.allclose(found.sum(axis=1), np.einsum("pd,pd->p", items[rows], users), atol=1e-4)
    no_picture = np.flatnonzero(~CONTENT["image"][1])[:3]
    assert np.allclose(token_contributions(model, ITEMS, CONTENT, no_picture, users[:3])["image"], 0, atol=1e-5)


def test_one_user_is_enough_to_train():
    """Nobody is held out then, and the last weights stay."""
    history = History.of(ITEMS, EVENTS[EVENTS["user_id"] == EVENTS["user_id"].iloc[0]])
    for seed in range(3):
        made = MatchModel(SMALL, QUICK.model_copy(update={"held_out": 0.4})).fit(ITEMS, history, CONTENT, rng=seed)
        assert made.losses_ == []
        items = made.item_vectors(ITEMS, CONTENT)
        best = np.argsort(-(made.user_vectors(history, np.array([0]), items) @ items.T)[0])
        assert (best[:4] // SIZE == history.item[0] // SIZE).sum() >= 3  # chance: 1/6


def test_refusals(model):
    with pytest.raises(LtexpoError, match="not fitted"):
        MatchModel().item_vectors(ITEMS, CONTENT)
    with pytest.raises(ValueError, match="not a multiple"):
        FusionSettings(width=10, heads=4)
    with pytest.raises(ConfigError, match="the model learnt"):
        model.item_vectors(ITEMS, {})
    with pytest.raises(ConfigError, match="'smell' is not a token"):
        model.item_vectors(ITEMS, CONTENT, hidden=("smell",))
    with pytest.raises(TableError, match="120 rows for 119 items"):
        model.item_vectors(ITEMS.iloc[1:], CONTENT)
