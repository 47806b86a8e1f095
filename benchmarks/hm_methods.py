"""Every method of the H&M table by name: shop, day, seed → lists and candidates.

Whatever is no blend is calibrated as the blend is: fitted without the last day (before the 17th, when nearly nobody
came back the next day, without the last so many days in which 200 did), its scores of those who came back are mapped to
P(bought) by tier; then it is fitted on all days. To add a method, add a `Method` to `METHODS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from hm_days import VALIDATION_DAYS, Day, K, Made, Method, Shop
from rivals import GraphRival, GraphSettings, TitleCosine, Watch

from ltexpo.columns import Columns, Tier
from ltexpo.data import TailSpec
from ltexpo.data.history import EVENT_WEIGHTS, History
from ltexpo.ranking.blend import scaled_to_best
from ltexpo.ranking.calibrate_tiers import fit_tiers
from ltexpo.ranking.content import Content
from ltexpo.ranking.cooccurrence import Cooccurrence
from ltexpo.ranking.ease import Ease, EaseSettings
from ltexpo.ranking.explore import best_with_tail
from ltexpo.ranking.holdout import hold_out
from ltexpo.ranking.model import Model, ModelSettings
from ltexpo.ranking.popularity import Popularity
from ltexpo.ranking.reader import Reader, ReaderSettings
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender
from ltexpo.ranking.repeat import Repeat
from ltexpo.ranking.taste import Taste
from ltexpo.sparse import Csr, csr

FIRST, FIRST_OF_TAIL = 100, 100
"""Candidates of a user: the best of all, and the best of tail and new products."""
CHOSEN_BEFORE = "2020-09-18"
"""The blend's weights are chosen on the day before this one, for every day."""

BLEND = RecommendSettings(k=K, users="known", explore=0.0)
# Chosen on 2020-09-17: see README.
BPR = GraphSettings(layers=0, half_life=30.0)
LIGHTGCN = GraphSettings(layers=2, half_life=7.0, learning_rate=0.06)
EASE = EaseSettings(regularisation=20.0)
EASE_ITEMS = 10_000
"""EASE inverts a matrix of the most taken this many items."""


class Fits(Protocol):
    """What a rival has to be able to do: see `ltexpo.ranking.scorer.Scorer`."""

    def fit(self, history: History, items: pd.DataFrame) -> Self: ...
    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr: ...


class MostTaken:
    """A scorer that only learns of the `most` items with most interactions."""

    def __init__(self, scorer: Fits, most: int) -> None:
        self.scorer, self.most = scorer, most

    def fit(self, history: History, items: pd.DataFrame) -> Self:
        kept = np.argsort(-history.counts(), kind="stable")[: self.most]
        self.scorer.fit(history.rows(np.isin(history.item, kept)), items)
        return self

    def score(self, users: npt.NDArray[np.int64], n: int, *, skip: Csr | None = None) -> Csr:
        return self.scorer.score(users, n, skip=skip)


def blend(shop: Shop, day: Day, seed: int) -> Made:
    """The blend of the product, weights chosen on the 17th; its candidates are half tail and new products."""
    weights = _weights(shop, seed)
    settings = BLEND.model_copy(update={"until": day.day, "weights": weights})
    wider = settings.model_copy(update={"k": FIRST + FIRST_OF_TAIL, "explore": 0.5})
    fitted = fit_recommender(shop.dataset, wider, seed)
    lists = replace(fitted, settings=settings).recommend(day.users).candidates
    return Made(lists, fitted.recommend(day.users).candidates, {"weights": weights})


@cache
def _weights(shop: Shop, seed: int) -> dict[str, float]:
    chosen = fit_recommender(shop.dataset, BLEND.model_copy(update={"until": CHOSEN_BEFORE}), seed)
    weights: dict[str, float] = chosen.report["weights"]
    return weights


def rival(make: Callable[[Shop, int, Watch | None, int | None], Fits]) -> Method:
    """The method of a scorer: `make` gets shop, seed, whom to watch, and after that for how many epochs to learn."""

    def method(shop: Shop, day: Day, seed: int) -> Made:
        events = shop.dataset.require_events("the benchmark")
        events = events[events[Columns.Timestamp] < pd.Timestamp(day.day, tz="UTC")]
        holdout = hold_out(events, EVENT_WEIGHTS, days=None, rng=np.random.default_rng(seed))
        history, items, tier = _learning(shop, holdout.earlier)
        watch = _returning(history, holdout.later)
        scorer = make(shop, seed, watch, None).fit(history, items)
        epochs: int | None = getattr(scorer, "epochs_", None)
        reached = _reach(scorer, watch.users, tier)
        row = np.repeat(np.arange(len(watch.users)), np.diff(reached.indptr))
        outcome = np.asarray(watch.taken[row, reached.indices]).ravel() > 0
        calibration = fit_tiers(reached.data, outcome, tier[reached.indices], means="P(bought | comes back) by tier")
        facts = {
            "epochs": epochs, "held_out": holdout.note, "watched": len(watch.users), "met": int(outcome.sum()),
            "calibrated": calibration is not None,
        }

        history, items, tier = _learning(shop, events)
        scorer = make(shop, seed, None, epochs).fit(history, items)
        users = history.user_ids.codes(day.users)
        lists = _frame(scorer.score(users, K), day, history)
        reached = _reach(scorer, users, tier)
        if calibration is None:  # as the blend: where too few came back, a score only gives the order
            reached = scaled_to_best(reached)
        else:
            reached.data = calibration(reached.data, tier[reached.indices])
        return Made(lists, _frame(reached, day, history), facts)

    return method


def _graph(settings: GraphSettings) -> Method:
    return rival(lambda _, seed, watch, epochs: GraphRival(settings, seed=seed, watch=watch, epochs=epochs))


HEAT_COLUMNS = (
    "department_name", "section_name", "category", "garment_group_name", "index_name", "index_group_name",
    "colour_group_name", "perceived_colour_master_name", "graphical_appearance_name", "title", "product_code",
)
MODEL: dict[str, Any] = {
    "users": "known", "explore_new": 0.0, "features": {"item": {"heat_columns": HEAT_COLUMNS, "windows": (1.0,)}},
    "rolling": {"family_column": "product_code", "max_baskets": 2000},
}


def model(changes: Mapping[str, Any] | None = None, *, without: Sequence[str] = ()) -> Method:
    """The method of the model with `changes` to its settings and the vectors called `without` left out."""

    def method(shop: Shop, day: Day, seed: int) -> Made:
        chosen_on = day.day in VALIDATION_DAYS
        settings = ModelSettings.model_validate({
            **MODEL, "until": CHOSEN_BEFORE if chosen_on else day.day, "k": FIRST + FIRST_OF_TAIL, "explore": 0.5,
            "weights": _weights(shop, seed), **(changes or {}),
        })
        content = shop.content(without)
        fitted = Model(settings).fit(shop.dataset, content, rng=seed)
        facts = {"label_days": fitted.report_["label_days"]}
        if chosen_on:
            return Made.of(_held_out(fitted, shop, day), facts)
        return Made.of(fitted.recommend(shop.dataset, content, user_ids=day.users).candidates, facts)

    return method


def _held_out(fitted: Model, shop: Shop, day: Day) -> pd.DataFrame:
    """Candidates of the validation day, by trees that did not learn from their users.

    Nearly nobody came back on an earlier day, so that this day itself is the one that the trees learn from.
    """
    label = fitted.label_days_[-1]
    if str(label.day.date()) != day.day:
        raise SystemExit(f"the last label day is {label.day.date()}, not {day.day}.")
    made, score = label.candidates, fitted.ranker_.unseen_[-1]
    in_tail = label.tier[made.item] != Tier.Head
    kept = best_with_tail(made.user, made.item, score, in_tail, k=FIRST + FIRST_OF_TAIL, share=0.5)
    ids = pd.Series(label.user_ids[made.user[kept]].to_numpy(dtype=object))
    items = np.sort(shop.dataset.items[Columns.Item].to_numpy(dtype=object))
    return pd.DataFrame({
        Columns.Request: ids, Columns.User: ids, Columns.Item: items[made.item[kept]], Columns.Score: score[kept],
        Columns.Rank: ids.groupby(ids, sort=False).cumcount() + 1,
    })


def match_alone(shop: Shop, day: Day, seed: int) -> Made:
    """The match model by itself, without candidates, features and trees: the best of everything by its score."""
    events = shop.dataset.require_events("the benchmark")
    events = events[events[Columns.Timestamp] < pd.Timestamp(day.day, tz="UTC")]
    content = shop.content()
    _, matcher = Reader(ReaderSettings()).fit_read(
        shop.dataset.items, events, content, users=shop.dataset.users, rng=seed
    )
    history, _, tier = _learning(shop, events)
    if matcher is None:
        raise SystemExit("the match model is left out by its settings.")
    users = history.user_ids.codes(day.users)
    matched = matcher.match(history, users, tier, FIRST_OF_TAIL)
    pairs = matched.best.tocoo()
    scores = csr((np.exp(matched.score(pairs.row, pairs.col)), (pairs.row, pairs.col)), shape=pairs.shape)
    return Made.of(_frame(scores, day, history))


METHODS: dict[str, Method] = {
    "popularity": rival(lambda *_: Popularity()),
    "cooccurrence": rival(lambda *_: Cooccurrence()),
    "content": rival(lambda *_: Content()),
    "taste": rival(lambda *_: Taste()),
    "repeat": rival(lambda *_: Repeat()),
    "titles": rival(lambda shop, *_: TitleCosine(shop.matrix("text"))),
    "ease": rival(lambda *_: MostTaken(Ease(EASE), EASE_ITEMS)),
    "bpr": _graph(BPR),
    "lightgcn": _graph(LIGHTGCN),
    "blend": blend,
    "model": model(),
    "model-no-text": model(without=("text",)),
    "model-no-image": model(without=("image",)),
    "model-no-graph": model({"graph": None}),
    "model-mean": model({"fusion": {"fuse": "mean"}}),
    "model-no-behaviour": model({
        "fusion": {"least": 10**9, "heat": False}, "components": ("content", "taste"),
        "weights": {"popularity": 0.01, "content": 0.5, "taste": 0.49},
    }),
    "model-no-network": model({"graph": None, "fusion": None}),
    "model-no-trees": match_alone,
}
RANDOM = ("bpr", "lightgcn", *(name for name in METHODS if name.startswith("model")))
"""Methods that differ between seeds; the others run once."""


def _learning(shop: Shop, events: pd.DataFrame) -> tuple[History, pd.DataFrame, npt.NDArray[np.object_]]:
    """History, catalogue in the order of its codes, and each item's tier."""
    history = History.of(shop.dataset.items, events)
    items = history.in_code_order(shop.dataset.items)
    tier = TailSpec().assign(items, events)[Columns.Tier].to_numpy(dtype=object)
    return history, items, tier


def _returning(history: History, later: pd.DataFrame) -> Watch:
    """Who of the history's users came back in `later`, and for what."""
    back = later[later[Columns.User].isin(history.user_ids.ids)]
    user, item = history.user_ids.codes(back[Columns.User]), history.item_ids.codes(back[Columns.Item])
    users = np.unique(user)
    taken = csr((np.ones(len(user)), (np.searchsorted(users, user), item)), shape=(len(users), history.n_items))
    taken.sum_duplicates()
    return Watch(users, taken)


def _reach(scorer: Fits, users: npt.NDArray[np.int64], tier: npt.NDArray[np.object_]) -> Csr:
    """Scores of each user's best items and best tail and new ones, CSR (B, I)."""
    head = np.flatnonzero(tier == Tier.Head)
    hidden = csr(
        (np.ones(len(users) * len(head), dtype=np.float32), np.tile(head, len(users)),
         np.arange(len(users) + 1) * len(head)), shape=(len(users), len(tier)),
    )
    return csr(scorer.score(users, FIRST).maximum(scorer.score(users, FIRST_OF_TAIL, skip=hidden))).sorted_indices()


def _frame(scores: Csr, day: Day, history: History) -> pd.DataFrame:
    """Rows request_id, user_id, item_id, score, rank; best first, ties by item_id."""
    user = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, user))
    user = user[order]
    ids = day.users[user]
    return pd.DataFrame({
        Columns.Request: ids, Columns.User: ids, Columns.Item: history.item_ids.decode(scores.indices[order]),
        Columns.Score: scores.data[order].astype(np.float64),
        Columns.Rank: np.arange(len(user)) - np.searchsorted(user, user) + 1,
    })
