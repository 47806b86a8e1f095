"""The simulator's own days → the visits that its users made, as a log of which all is known."""

from itertools import product

import numpy as np
import pandas as pd
from scipy.special import logit

from ltexpo.data import IdMap
from ltexpo.data.synthetic.truth import Truth
from ltexpo.simulate import KnownEnvironment
from ltexpo.simulate.behaviour import BehaviourSettings, People, ShownLists, World
from ltexpo.simulate.catalogue import Catalogue

ITEMS = pd.DataFrame({"item_id": list("abc"), "title": list("ABC"), "price": [10.0, 20.0, 30.0]})
TIERS = pd.DataFrame({"item_id": list("abc"), "tier": ["head", "head", "new"]})


def visits_of(strength: float, *, n: int, days: int, seed: int, **behaviour: float) -> pd.DataFrame:
    """The simulator's own visits as a log: user_id, day, clicked. Users differ in taste and in how often they come."""
    rng = np.random.default_rng(seed)
    who = [f"u{number:06d}" for number in range(n)]
    environment = KnownEnvironment(Truth(
        users=IdMap.of(who), items=IdMap.of(list("abc")), user_factors=rng.normal(size=(n, 1)).astype(np.float32),
        item_factors=np.ones((3, 1), np.float32), item_bias=logit(np.array([0.3, 0.25, 0.2])),
        cart_bias=np.full(3, 40.0), cart_slope=0.0, purchase_given_cart=0.5, examination=np.array([1.0, 0.6]),
    ))
    settings = BehaviourSettings(**{"visits_per_day": 0.4, "return_strength": strength} | behaviour)
    catalogue, ids = Catalogue.of(ITEMS, TIERS), pd.Index(who)
    lists = pd.DataFrame({"request_id": np.repeat(who, 2), "rank": [1, 2] * n, "item_id": ["a", "b"] * n})
    shown = ShownLists.of(lists, ids, catalogue, environment, name="lists")
    people = People.draw(n, settings, seed, days=days)
    world = World.begin(people, catalogue, environment, settings, seed, shown, day=-15)
    for _ in range(15):  # so that satisfaction is not what everybody begins with
        world.live()
    rows = []
    for day in range(days):
        came, satisfied = world.totals[:, 0].copy(), world.state.satisfaction.copy()
        world.live()
        times = (world.totals[:, 0] - came).astype(int)
        for visits in range(1, times.max() + 1):
            here = np.flatnonzero(times == visits)
            # Satisfaction after the day tells which of its visits had a click: each pattern adds another sum.
            patterns = np.array(list(product([0, 1], repeat=visits)))
            memory = settings.satisfaction_memory
            sums = (1 - memory) * patterns @ memory ** np.arange(visits)[::-1]
            added = world.state.satisfaction[here] - memory**visits * satisfied[here]
            which = np.abs(added[:, None] - sums).argmin(axis=1)
            assert np.abs(added - sums[which]).max(initial=0) < 1e-9
            rows += [pd.DataFrame({"user_id": ids[here], "day": day, "at": visit, "clicked": patterns[which, visit]})
                     for visit in range(visits)]
    return pd.concat(rows, ignore_index=True)


def log_of(visits: pd.DataFrame) -> pd.DataFrame:
    """The same as events: an impression for each visit, and its click."""
    moment = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(visits["day"] * 86_400 + visits["at"], unit="s")
    shown = pd.DataFrame({
        "user_id": visits["user_id"], "item_id": "a", "event": "impression", "timestamp": moment,
        "request_id": [f"r{row}" for row in range(len(visits))], "rank": 1,
    })
    clicks = shown[visits["clicked"] == 1].assign(event="click")
    return pd.concat([shown, clicks]).sample(frac=1, random_state=0)
