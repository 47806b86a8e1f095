"""From single impressions alone: how far whole products lie from their scores."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ltexpo.columns import Tier
from ltexpo.metrics.calibration import score_interval
from ltexpo.metrics.logit_normal import location
from ltexpo.ranking.features import Candidates
from ltexpo.ranking.product_spread import Singles, _variance, product_excess
from ltexpo.ranking.rolling import LabelDay, Looks
from ltexpo.ranking.spread import Spread
from ltexpo.sparse import csr


def _made(
    variance: float, tau: float, seed: int, *, tier: str, products: int = 900, users: int = 30, again: float = 0.0
) -> tuple[Singles, np.ndarray]:
    """Products of which `variance` of the τ² around the score is common to all users."""
    rng = np.random.default_rng(seed)
    item = np.repeat(np.arange(products), users)
    score = expit(rng.normal(-2.0, 0.5, len(item)))
    common = np.sqrt(variance) * rng.standard_normal(products)
    own = np.sqrt(tau**2 - variance) * rng.standard_normal(len(item))
    chance = expit(location(score, tau) + common[item] + own)
    examined = rng.choice([1.0, 0.63, 0.5, 0.43], len(item))
    return Singles(
        score, score, np.full(len(item), tier, dtype=object), item, examined,
        rng.random(len(item)) < examined * chance, rng.random(len(item)) < again,
    ), chance


def _together(*parts: Singles) -> Singles:
    shifted = [replace(one, item=one.item + 10_000 * at) for at, one in enumerate(parts)]
    return Singles(**{name: np.concatenate([getattr(one, name) for one in shifted]) for name in vars(parts[0])})


@pytest.mark.parametrize(("variance", "tau"), [(0.05, 1.1), (0.3, 1.1), (0.6, 1.4)])
def test_a_known_variance_is_found(variance: float, tau: float):
    found = []
    for seed in range(3):
        made, _ = _made(variance, tau, seed, tier=Tier.New)
        found.append(_variance(made, np.ones(len(made.item), bool), made.score, tau))
    assert np.mean(found) == pytest.approx(variance, rel=0.25, abs=0.06)


def test_scores_that_are_off_as_a_mean_are_not_taken_for_it():
    made, _ = _made(0.2, 1.1, 0, tier=Tier.New)
    every = np.ones(len(made.item), bool)
    off = expit(0.8 * np.log(made.score / (1 - made.score)) - 1.0)
    assert _variance(made, every, off, 1.1) == pytest.approx(_variance(made, every, made.score, 1.1), abs=0.06)


def test_what_is_less_known_gets_wider_intervals_that_hold():
    head, _ = _made(0.05, 1.0, 0, tier=Tier.Head, again=0.4)
    new, chance = _made(0.55, np.sqrt(1.5), 1, tier=Tier.New)
    excess = product_excess(_together(head, new), {}, 1.0)
    assert excess[Tier.Head] < 0.06 and excess[Tier.Tail] == excess[Tier.Head]  # of the tail there is nothing
    assert excess[Tier.New] == pytest.approx(0.5, abs=0.12)
    inside = []
    for known in ({}, excess):
        spread = Spread(1.0, 0.0, {}, 1000, 500, known)
        low, high = score_interval(new.score, spread.std(new.score, new.tier))
        inside.append(((low <= chance) & (chance <= high)).mean())
    assert inside[0] < 0.85 < 0.88 < inside[1] < 0.92


def test_scores_that_learnt_from_the_products_do_not_hide_it():
    made, _ = _made(0.5, 1.2, 0, tier=Tier.New)
    rate = np.bincount(made.item, weights=made.clicked) / np.bincount(made.item, weights=made.examined)
    knows = np.clip(0.5 * made.score + 0.5 * rate[made.item], 0.005, 0.9)
    every = np.ones(len(made.item), bool)
    hidden = _variance(made, every, knows, 1.2)
    excess = product_excess(replace(made, score=knows, strange=made.score), {}, 1.2)
    assert hidden < 0.25 < 0.4 < excess[Tier.New]


def test_pairs_shown_first_by_hand():
    def day(item: list[int], outcome: list[int], looks: list[int], queries: list[str] | None = None) -> LabelDay:
        n = len(item)
        row = np.repeat(np.arange(n), looks)
        return LabelDay(
            pd.Timestamp("2026-01-02"), pd.Index(["u"] if queries is None else ["u"] * len(queries)),
            Candidates(np.zeros(n, int) if queries is None else np.arange(n), np.array(item), pd.DataFrame()),
            np.array(outcome, np.int8), csr((1, 9)), np.array([Tier.Head] * 5 + [Tier.New] * 4, dtype=object),
            examined=np.full(n, 0.5), looks=Looks(row, np.full(len(row), 0.3), np.zeros(len(row), bool)),
            queries=None if queries is None else np.array(queries, dtype=object),
        )

    found = Singles.of([day([1, 6], [0, 1], [2, 1]), day([1, 2], [1, 0], [1, 1])], np.arange(4.0), np.arange(4.0) / 10)
    assert found.item.tolist() == [1, 6, 2] and found.score.tolist() == [0, 1, 3]
    assert found.strange.tolist() == [0, 0.1, 0.3] and found.again.tolist() == [True, False, False]
    assert found.tier.tolist() == ["head", "new", "head"] and found.clicked.tolist() == [False, True, False]
    typed = Singles.of([day([1, 1], [0, 1], [1, 1], ["red", "blue"])], np.arange(2.0), np.arange(2.0))
    assert typed.item.tolist() == [1, 1] and not typed.again.any()  # another query is another pair
