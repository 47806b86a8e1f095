"""A shop of three products whose users are all alike, and lists of two slots."""

import numpy as np
import pandas as pd
from scipy.special import logit

from ltexpo.data import IdMap
from ltexpo.data.synthetic.truth import Truth
from ltexpo.simulate import KnownEnvironment

ATTRACTION = {"a": 0.30, "b": 0.20, "c": 0.10}
ITEMS = pd.DataFrame({"item_id": list("abc"), "title": list("ABC"), "price": [10.0, 20.0, 30.0]})
TIERS = pd.DataFrame({"item_id": list("abc"), "tier": ["head", "head", "new"]})


def users(n: int = 1_000) -> list[str]:
    return [f"u{number:05d}" for number in range(n)]


def environment(n: int = 1_000) -> KnownEnvironment:
    """Slot 1 always examined, slot 2 half the time; half of the clicks end in a purchase."""
    return KnownEnvironment(Truth(
        users=IdMap.of(users(n)), items=IdMap.of(ATTRACTION), user_factors=np.zeros((n, 1), np.float32),
        item_factors=np.zeros((3, 1), np.float32), item_bias=logit(np.array(list(ATTRACTION.values()))),
        cart_bias=np.full(3, 40.0), cart_slope=0.0, purchase_given_cart=0.5, examination=np.array([1.0, 0.5]),
    ))


def lists(first: str, second: str, who: list[str] | None = None) -> pd.DataFrame:
    who = users() if who is None else who
    return pd.DataFrame({
        "request_id": np.repeat(who, 2), "rank": [1, 2] * len(who), "item_id": [first, second] * len(who),
    })
