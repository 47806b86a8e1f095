"""Click models and policies over small lists, all of whose probabilities can be written down."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.data.ids import IdMap
from ltexpo.simulate.ope import Logged, ranking, slot

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MODELS = ("own item", "click just above", "cascade", "whole list")
"""What a slot's click depends on: own item and rank (position-based); and whether the slot just above was clicked
(McInerney et al., KDD 2020); and whether those above satisfied (Chapelle & Zhang, WWW 2009); and its best rival in the
list, above or below."""


def click_chances(model: str, attraction: Floats) -> Floats:
    """(n, K) P(click) of each slot of lists with `attraction` (n, K)."""
    n, k = attraction.shape
    seen = 0.9 ** np.arange(k)
    if model == "own item":
        return seen * attraction
    if model == "whole list":
        rival = np.stack([np.delete(attraction, rank, axis=1).max(axis=1, initial=0.0) for rank in range(k)], axis=1)
        return attraction * (1 - 0.8 * rival)
    chance = np.empty((n, k))
    reached, above = np.ones(n), np.zeros(n)
    for rank in range(k):
        if model == "cascade":
            chance[:, rank] = reached * attraction[:, rank]
            reached = reached * (1 - 0.8 * attraction[:, rank])
        else:
            chance[:, rank] = above = attraction[:, rank] * (1 - 0.7 * above)
    return chance


def draw_clicks(model: str, attraction: Floats, rng: np.random.Generator) -> Floats:
    """(n, K) clicks."""
    if model in ("own item", "whole list"):
        return (rng.random(attraction.shape) < click_chances(model, attraction)).astype(float)
    clicks = np.zeros(attraction.shape)
    going = np.ones(len(attraction))
    for rank in range(attraction.shape[1]):
        chance = going * attraction[:, rank]
        if model == "click just above" and rank:
            chance = attraction[:, rank] * (1 - 0.7 * clicks[:, rank - 1])
        clicks[:, rank] = rng.random(len(attraction)) < chance
        if model == "cascade":
            going = going * (1 - clicks[:, rank] * (rng.random(len(attraction)) < 0.8))
    return clicks


@dataclass(frozen=True)
class Slates:
    """X kinds of users with attractions, a logging and a target policy; both draw slot by slot without repeats."""

    model: str
    attraction: Floats
    """(X, I)"""
    logging: Floats
    """(X, I) P(item) of a slot, shared out among the items not above."""
    target: Floats
    k: int

    @classmethod
    def make(
        cls, model: str, *, n_items: int, k: int, apart: float, rng: np.random.Generator, kinds: int = 2,
        clicks: float = 0.35,
    ) -> "Slates":
        """`apart` is how much more the target likes what the log's policy shows less (0: the same policy)."""
        attraction = np.clip(clicks * np.exp(0.4 * rng.standard_normal((kinds, n_items))), 0.0, 0.95)
        taste = rng.standard_normal((kinds, n_items))
        other = rng.standard_normal((kinds, n_items))
        return cls(model, attraction, softmax(0.5 * taste), softmax(0.5 * taste + apart * other), k)

    def lists(self) -> Integers:
        """(L, k) every list without repeats."""
        return np.array(list(permutations(range(self.attraction.shape[1]), self.k)))

    def truth(self) -> float:
        """Expected clicks of the target's lists, by enumeration."""
        lists = self.lists()
        worth = [
            steps(chances, lists).prod(axis=1) @ click_chances(self.model, attraction[lists]).sum(axis=1)
            for chances, attraction in zip(self.target, self.attraction, strict=True)
        ]
        return float(np.mean(worth))

    def table(self) -> pd.DataFrame:
        """The target as a policy table by the context column `kind`."""
        kinds, n_items = self.target.shape
        kind, rank, item = (part.ravel() for part in np.indices((kinds, self.k, n_items)))
        return pd.DataFrame({
            "kind": kind, "rank": rank + 1, "item_id": names(n_items)[item], "probability": self.target[kind, item],
        })

    def log(self, n: int, rng: np.random.Generator) -> Logged:
        """`n` lists of the logging policy with their clicks and conditional propensities."""
        kind = rng.integers(len(self.logging), size=n)
        # the largest of log p + Gumbel noise, without repeats: Plackett–Luce (Kool et al., ICML 2019)
        noise = np.log(self.logging[kind]) + rng.gumbel(size=(n, self.logging.shape[1]))
        items = np.argsort(-noise, axis=1)[:, : self.k]
        chance = np.empty(items.shape)
        for one in range(len(self.logging)):
            chance[kind == one] = steps(self.logging[one], items[kind == one])
        clicks = draw_clicks(self.model, np.take_along_axis(self.attraction[kind], items, axis=1), rng)
        return as_log(items, clicks, chance, kind, self.attraction.shape[1])


def as_log(items: Integers, rewards: Floats, propensities: Floats, kind: Integers, n_items: int) -> Logged:
    """Arrays as a `Logged` with the context column `kind` as its segment, every list its own user."""
    ids = pd.Index([f"R{n:06d}" for n in range(len(items))])
    return Logged(
        ids, np.arange(len(items)), ids, items, rewards, propensities, "conditional", IdMap(pd.Index(names(n_items))),
        kind, pd.DataFrame({"kind": kind}),
    )


def steps(chances: Floats, lists: Integers) -> Floats:
    """(L, k) P(item | above) of `lists` when slots share out `chances` (I,) among the items not above."""
    picked = chances[lists]
    return picked / (1 - (picked.cumsum(axis=1) - picked))


def marginals(chances: Floats, lists: Integers) -> Floats:
    """(k, I) P(item at rank), over the enumerated `lists`."""
    joint = steps(chances, lists).prod(axis=1)
    return np.stack([
        np.bincount(lists[:, rank], weights=joint, minlength=len(chances)) for rank in range(lists.shape[1])
    ])


def expectation(slates: Slates, estimator: str) -> float:
    """Σ over kinds of users and lists: the list's probability in the log times what the estimator makes of it.

    Predictions are arbitrary numbers: estimators that are corrected must be right with any.
    """
    lists, rng, ranks = slates.lists(), np.random.default_rng(1), np.arange(slates.k)
    shown, total = np.ones(lists.shape, dtype=bool), 0.0
    for logging, target, attraction in zip(slates.logging, slates.target, slates.attraction, strict=True):
        logged, rewards = steps(logging, lists), click_chances(slates.model, attraction[lists])
        ratio, own, other = steps(target, lists) / logged, marginals(target, lists), marginals(logging, lists)
        offered = 1 - np.array([other[:rank].sum(axis=0) for rank in ranks])[ranks, lists]
        guess, slots = rng.random(own.shape), own[ranks, lists] / other[ranks, lists]
        if estimator == "ips":
            made = ranking.list_ips(ratio, rewards)
        elif estimator == "rips":
            made = ranking.rips(ratio, rewards, shown)
        elif estimator == "cascade_dr":
            # Q depends on the last item only, which keeps its mean over the items not above short
            open_ = 1 - (np.cumsum(target[lists], axis=1) - target[lists])
            above = np.stack([(target * guess[rank])[lists[:, :rank]].sum(axis=1) for rank in ranks], axis=1)
            ahead = (guess @ target - above) / open_
            made = ranking.cascade_dr(ratio, rewards, shown, guess[ranks, lists], ahead)
        elif estimator == "iips":
            made = slot.ips(slots, rewards)
        elif estimator == "dr":
            expected = np.tile((own * guess).sum(axis=1), (len(lists), 1))
            made = slot.doubly_robust(slots, rewards, guess[ranks, lists], expected)
        else:
            made = slot.ips(own[ranks, lists] / (logged * offered), rewards)
        total += float(logged.prod(axis=1) @ made) / len(slates.logging)
    return total


def softmax(scores: Floats) -> Floats:
    powers: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def names(n_items: int) -> npt.NDArray[np.str_]:
    return np.array([f"i{n:03d}" for n in range(n_items)])


