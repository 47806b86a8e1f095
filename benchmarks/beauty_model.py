"""Purchases without times → a graph network and boosted trees that make lists: what quality_beauty.py measures.

The label days of `ltexpo.ranking.rolling` need times, which this data lacks. Instead everything that makes features
(components, graph, network) is fitted on the earlier part of training, the trees learn which candidates the users took
in the part held out, and for the lists the features are made again from all of training with the same trees.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import TruncatedSVD

from ltexpo.columns import Columns, Tier
from ltexpo.data import TailSpec
from ltexpo.data.history import History
from ltexpo.graph.encoder import GraphEncoder
from ltexpo.graph.encoder_settings import GraphEncoderSettings
from ltexpo.graph.pairs import PairSettings
from ltexpo.graph.product_graph import GraphSettings, ProductGraph
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.components import choose_components, components_named
from ltexpo.ranking.cooccurrence import Cooccurrence, CooccurrenceSettings
from ltexpo.ranking.features import CandidateFeatures, FeatureSettings
from ltexpo.ranking.gbm import Gbm, GbmSettings
from ltexpo.ranking.given import GivenNeighbours, both_ways, nearest_weights
from ltexpo.ranking.holdout import Holdout
from ltexpo.ranking.item_features import ItemFeatureSettings
from ltexpo.ranking.pair_features import PairFeatureSettings
from ltexpo.ranking.pool import PoolSettings
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.ranking.tokens import catalogue_tokens
from ltexpo.sparse import Csr, csr

Floats = npt.NDArray[np.float32]

K = 10
WIDTH = 64
GRAPH = GraphSettings(
    pairs=PairSettings(window_positions=300, window_days=None, gap_half_life=None, half_life=None), neighbours=20
)
NETWORK = GraphEncoderSettings(
    convolution="sage", width=WIDTH, cold_share=0.1, steps=300, batch=2048, full_batch=5_000_000, fanout=10
)
FEATURES = FeatureSettings(
    pool=PoolSettings(best=50, best_tail=30, demanded=0, alike_tail=0, alike_new=0),
    item=ItemFeatureSettings(windows=(), heat_columns=(Columns.Brand,), order_windows=()),
    pair=PairFeatureSettings(latest=50, half_life=1e6),
)
TREES = GbmSettings(bags=3, max_rounds=200, patience=30, learning_rate=0.06, leaves=15, min_rows=80)
NEGATIVES = 0.3
LABEL_USERS = 6000
REACH = 200
"""This many items of each component take part."""
USERS_AT_ONCE = 2000
DEAREST = 0.1
"""The tail may cost this share of the ranker's nDCG on validation."""
BONUSES = np.arange(0, 3.01, 0.05)


@dataclass(frozen=True)
class Catalogue:
    """Products, and the edges between them that were given."""

    items: pd.DataFrame
    edges: pd.DataFrame | None


class Cosine(Cooccurrence):
    """Co-occurrence over the root of both items' counts, kinder to rare ones than P(j | i)."""

    name = "cosine"


@dataclass(frozen=True)
class Model:
    """Candidates and features of every user from one part of the events."""

    history: History
    features: CandidateFeatures
    tail: npt.NDArray[np.bool_]
    vectors: Floats | None
    """(I, d) of the graph network, None: made without it."""

    @classmethod
    def fit(
        cls, catalogue: Catalogue, events: pd.DataFrame, settings: RecommendSettings, weights: dict[str, float], *,
        network: bool, seed: int,
    ) -> "Model":
        history = History.of(catalogue.items, events)
        items = history.in_code_order(catalogue.items)
        tier = TailSpec().assign(items, events)[Columns.Tier].to_numpy(object)
        tail = tier != Tier.Head
        names, _ = choose_components(settings, taken_items=history.n_items, exclude_seen=True)
        scorers = components_named(settings, names)
        scorers.append(Cosine(CooccurrenceSettings(
            window_positions=300, neighbours=1000, discount=0.5, shrinkage=0.0, profile_half_life=None
        )))
        given = None
        if catalogue.edges is not None:
            # The graph names its own relation of joint purchases, so that the given ones need names of their own.
            given = catalogue.edges.assign(relation="given_" + catalogue.edges["relation"])
        plain = items[[Columns.Item, Columns.Title, Columns.Brand, "category_path"]]
        graph = ProductGraph.build(plain, events, until=None, settings=GRAPH, given=given)
        for relation in sorted(graph.edges):
            if relation.startswith("given_"):
                scorers.append(GivenNeighbours(relation, both_ways(graph.matrix(relation))))
        vectors = {"attributes": attribute_vectors(items)}
        if network:
            content = {name: (matrix, np.abs(matrix).sum(axis=1) > 0) for name, matrix in vectors.items()}
            encoder = GraphEncoder(NETWORK).fit(graph, content, rng=seed)
            vectors["graph"] = encoder.encode(graph, content)
            scorers.append(GivenNeighbours("graph", nearest_weights(vectors["graph"], 50, also=tail)))
        parts = {scorer.name: weights.get(scorer.name, 0.0) for scorer in scorers}
        features = CandidateFeatures(Blend(scorers, parts, pool=REACH), FEATURES, vectors=vectors)
        return cls(history, features.fit(history, items, tier), tail, vectors.get("graph"))

    def taken(self, events: pd.DataFrame, users: npt.NDArray[np.int64]) -> Csr:
        """CSR (B, I): what `users` took in `events`."""
        mine = events[events[Columns.User].isin(self.history.user_ids.decode(users))]
        row = np.searchsorted(users, self.history.user_ids.codes(mine[Columns.User]))
        item = self.history.item_ids.codes(mine[Columns.Item])
        return csr((np.ones(len(mine)), (row, item)), shape=(len(users), self.history.n_items))


def attribute_vectors(items: pd.DataFrame) -> Floats:
    """Unit vectors (I, WIDTH) of the attribute values, given neighbours among them."""
    tokens = catalogue_tokens(items, text_weight=0, max_share=0.2)
    dense = TruncatedSVD(WIDTH, n_iter=3, random_state=0).fit_transform(tokens).astype(np.float32)
    return np.asarray(dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9))


@dataclass(frozen=True)
class Trees:
    """The ranker, and what its validation says of the bonus of tail and new products."""

    gbm: Gbm
    bonus: float
    frontier: pd.DataFrame
    """bonus, ndcg, recall, tail (recall of it) on the held-out part, by boosters that did not see the user."""

    @classmethod
    def fit(cls, model: Model, holdout: Holdout, *, seed: int) -> "Trees":
        rng = np.random.default_rng(seed)
        history = model.history
        later = holdout.later[holdout.later[Columns.User].isin(history.user_ids.ids)]
        asked = np.unique(history.user_ids.codes(later[Columns.User]))
        users = np.sort(rng.choice(asked, min(LABEL_USERS, len(asked)), replace=False))
        taken = model.taken(later, users)
        found = model.features.table(users, skip=history.seen()[users])
        outcome = found.outcome(taken)
        kept = (outcome > 0) | (rng.random(len(outcome)) < NEGATIVES)
        gbm = Gbm(TREES).fit(found.features[kept], outcome[kept], found.user[kept], rng=rng)
        raw = gbm.raw_unseen(found.features, found.user)
        tail = model.tail[found.item]
        # No bonus can show more than the first of the head and the first of the rest.
        first = _ranks(2 * found.user + tail, found.item, raw) <= K
        user, item, raw, tail, outcome = (
            values[first] for values in (found.user, found.item, raw, tail, outcome)
        )
        rows = [(bonus, *_judged(user, item, raw + bonus * tail, outcome, taken, model.tail)) for bonus in BONUSES]
        frontier = pd.DataFrame(rows, columns=["bonus", "ndcg", "recall", "tail"])
        affordable = frontier[frontier["ndcg"] >= (1 - DEAREST) * frontier["ndcg"].iloc[0]]
        return cls(gbm, float(affordable["bonus"].max()), frontier)

    def lists(self, model: Model) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Every user's first `K` without and with the bonus, as rankings tables; nothing seen in training."""
        plain, lifted = [], []
        history = model.history
        for begin in range(0, history.n_users, USERS_AT_ONCE):
            users = np.arange(begin, min(begin + USERS_AT_ONCE, history.n_users))
            found = model.features.table(users, skip=history.seen()[users])
            raw = self.gbm.raw(found.features)
            for scores, out in ((raw, plain), (raw + self.bonus * model.tail[found.item], lifted)):
                out.append(_first(history, users, found.user, found.item, scores))
        return pd.concat(plain, ignore_index=True), pd.concat(lifted, ignore_index=True)


def cosine_lists(model: Model) -> pd.DataFrame:
    """The graph network alone: mean cosine with the user's products."""
    assert model.vectors is not None
    history, out = model.history, []
    profiles, seen = history.profiles(None), history.seen()
    for begin in range(0, history.n_users, USERS_AT_ONCE):
        users = np.arange(begin, min(begin + USERS_AT_ONCE, history.n_users))
        score = (profiles[users] @ model.vectors) @ model.vectors.T
        score[seen[users].nonzero()] = -np.inf
        best = np.argpartition(-score, K, axis=1)[:, :K]
        row = np.repeat(np.arange(len(users)), best.shape[1])
        out.append(_first(history, users, row, best.ravel(), score[row, best.ravel()]))
    return pd.concat(out, ignore_index=True)


def _first(
    history: History, users: npt.NDArray[np.int64], row: npt.NDArray[np.int64], item: npt.NDArray[np.int64],
    score: npt.NDArray[np.floating],
) -> pd.DataFrame:
    rank = _ranks(row, item, score)
    kept = rank <= K
    return pd.DataFrame({
        Columns.Request: history.user_ids.decode(users[row[kept]]),
        Columns.Item: history.item_ids.decode(item[kept]), Columns.Rank: rank[kept],
    })


def _ranks(
    row: npt.NDArray[np.int64], item: npt.NDArray[np.int64], score: npt.NDArray[np.floating]
) -> npt.NDArray[np.int64]:
    """1-based rank (n,) of each within its row, ties by item."""
    order = np.lexsort((item, -score, row))
    rank = np.empty(len(row), dtype=np.int64)
    rank[order] = np.arange(len(row)) - np.searchsorted(row[order], row[order]) + 1
    return rank


def _judged(
    user: npt.NDArray[np.int64], item: npt.NDArray[np.int64], score: npt.NDArray[np.floating],
    outcome: npt.NDArray[np.int8], taken: Csr, tail: npt.NDArray[np.bool_],
) -> tuple[float, float, float]:
    """nDCG, recall and recall of tail and new products over the users of `taken` (B, I)."""
    users = taken.shape[0]
    rank = _ranks(user, item, score)
    shown = np.flatnonzero(rank <= K)
    rank = rank[shown]
    hit = outcome[shown] > 0
    wanted = np.diff(taken.indptr)
    of_tail = np.asarray(taken @ tail.astype(np.float64)).ravel()
    ideal = np.cumsum(1 / np.log2(np.arange(2, K + 2)))[np.minimum(wanted, K) - 1]
    gain = np.bincount(user[shown], weights=hit / np.log2(rank + 1), minlength=users)
    hits = np.bincount(user[shown], weights=hit, minlength=users)
    in_tail = np.bincount(user[shown], weights=hit & tail[item[shown]], minlength=users)
    asked = of_tail > 0
    return float((gain / ideal).mean()), float((hits / wanted).mean()), float((in_tail[asked] / of_tail[asked]).mean())
