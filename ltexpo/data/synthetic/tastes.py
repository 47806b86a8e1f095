"""Products' attributes and a generator → users with tastes, the truth about every pair, and what the shop knows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.ids import IdMap
from ltexpo.data.synthetic.truth import Truth
from ltexpo.data.synthetic.vocabulary import AGE_BANDS, KINDS, SEGMENTS

_TASTE_WIDTH, _OWN_WIDTH = 12, 6
_WEIGHTS = {
    "category": 0.5, "style": 0.4, "colour": 0.45, "pattern": 0.3, "material": 0.3, "shape": 0.3, "brand": 0.35,
}
"""Attribute → standard deviation, over users and values, of what it adds to a click's log-odds."""
_PRICE_WEIGHT, _OWN_WEIGHT, _QUALITY_WEIGHT = 0.25, 0.4, 0.6


@dataclass(frozen=True)
class Audience:
    """Who visits: the users table, how often each comes, and the shop's noisy idea of what each likes."""

    users: pd.DataFrame
    activity: npt.NDArray[np.float64]
    """(U,) requests a day, mean 1."""
    mix: npt.NDArray[np.float64]
    """(U, categories) shares of the categories that the shop shows to a user; rows sum to 1, order of KINDS."""


def make_audience(
    attributes: pd.DataFrame, n_users: int, rng: np.random.Generator, *, examination: npt.NDArray[np.float64]
) -> tuple[Audience, Truth]:
    """Users, and the truth with click log-odds centred on 0: `centred` gives it the wanted level.

    A taste is a point in a space where every value of every attribute has a direction; a user's point is the segment's
    plus their own. Further directions that no attribute explains make tastes for single products.
    """
    width = max(6, len(str(n_users)))
    user_ids = np.array([f"U{number:0{width}d}" for number in range(n_users)], dtype=object)
    segment = rng.choice(len(SEGMENTS), size=n_users, p=_uneven(len(SEGMENTS)))
    ages = rng.dirichlet(np.full(len(AGE_BANDS), 2.0), size=len(SEGMENTS)).cumsum(axis=1)
    age = (rng.random((n_users, 1)) > ages[segment, :-1]).sum(axis=1)
    users = pd.DataFrame({
        Columns.User: user_ids,
        Columns.Segment: np.array(SEGMENTS, dtype=object)[segment],
        "age_band": np.array(AGE_BANDS, dtype=object)[age],
    })
    common = rng.standard_normal((len(SEGMENTS), _TASTE_WIDTH))
    taste = 0.6 * common[segment] + 0.8 * rng.standard_normal((n_users, _TASTE_WIDTH))
    offers, categories = _offers(attributes, rng)
    own_taste = rng.standard_normal((n_users, _OWN_WIDTH))
    own_offer = _OWN_WEIGHT / np.sqrt(_OWN_WIDTH) * rng.standard_normal((len(attributes), _OWN_WIDTH))
    truth = Truth(
        users=IdMap(pd.Index(user_ids)),
        items=IdMap(pd.Index(attributes[Columns.Item].to_numpy())),
        user_factors=np.hstack([taste, own_taste]).astype(np.float32),
        item_factors=np.hstack([offers, own_offer]).astype(np.float32),
        item_bias=_QUALITY_WEIGHT * rng.standard_normal(len(attributes)),
        cart_bias=-1.1 + 0.5 * rng.standard_normal(len(attributes)),
        cart_slope=0.35,
        purchase_given_cart=0.45,
        examination=examination,
    )
    # The shop knows a user's favourite categories from a profile, imperfectly.
    interest = 1.3 * (taste @ categories.T) / _WEIGHTS["category"] * 0.8
    interest += 0.6 * rng.standard_normal(interest.shape) + np.log([kind.share for kind in KINDS])
    mix = np.exp(interest - interest.max(axis=1, keepdims=True))
    activity = rng.gamma(1.5, 1 / 1.5, size=n_users)
    return Audience(users, activity, mix / mix.sum(axis=1, keepdims=True)), truth


def _offers(attributes: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What items offer to each direction of taste (I, 12), and what each category offers (categories, 12)."""
    offers = np.zeros((len(attributes), _TASTE_WIDTH))
    categories = np.empty(0)
    for name, weight in _WEIGHTS.items():
        values = attributes[name]
        if name == "category":
            order: list[str] = [kind.category for kind in KINDS]
        else:
            # Shapes of different categories share names, not silhouettes.
            values = attributes["category"] + " " + values if name == "shape" else values
            order = sorted(values.unique())
        directions = weight * _unit(rng.standard_normal((len(order), _TASTE_WIDTH)))
        offers += directions[pd.Index(order).get_indexer(pd.Index(values))]
        categories = directions if name == "category" else categories
    dearness = _PRICE_WEIGHT * _unit(rng.standard_normal((1, _TASTE_WIDTH)))
    return offers + attributes["price_level"].to_numpy()[:, None] * dearness, categories


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _uneven(count: int) -> np.ndarray:
    sizes = 1 / np.arange(2, count + 2)
    shares: np.ndarray = sizes / sizes.sum()
    return shares
