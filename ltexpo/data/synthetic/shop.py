"""Sizes and a seed → a made marketplace whose truth is known: dataset, pictures, graph, and the truth apart."""

import datetime as dt
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy.optimize import brentq
from scipy.special import expit, logit

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.output_folder import output_folder
from ltexpo.data.synthetic.catalogue import make_attributes, make_items
from ltexpo.data.synthetic.days import Popularity, events_frame, simulate_days
from ltexpo.data.synthetic.graph import product_graph
from ltexpo.data.synthetic.pictures import draw_picture, save_pictures
from ltexpo.data.synthetic.policy import LoggingPolicy
from ltexpo.data.synthetic.tastes import Audience, make_audience
from ltexpo.data.synthetic.truth import TRUTH_FOLDER, Truth
from ltexpo.data.synthetic.vocabulary import KINDS
from ltexpo.data.tables import write_frame
from ltexpo.errors import ConfigError, TableError
from ltexpo.metrics.attention import NAMES, Attention, attention_weights

GRAPH_FILE, ATTRIBUTES_FILE = "graph.parquet", "attributes.parquet"

_QUALITY_SHOWS = 0.25
"""Correlation of log-popularity with quality when the period begins."""
_SKEW = 1.45
"""Standard deviation of log-popularity when the period begins."""
_LONGEST = 100
"""A named examination curve is stored for this many slots, so that longer lists can be simulated than were logged."""


@dataclass(frozen=True)
class Shop:
    """A made marketplace. A model may see `dataset` and `graph`; `truth` and `attributes` are for judging it."""

    dataset: Dataset
    """Items, events and users; the items' image paths are relative to the folder that `save` writes."""
    graph: pd.DataFrame
    """Edges source, relation, target: see `product_graph`."""
    truth: Truth
    attributes: pd.DataFrame
    """Every product's true attributes, which titles, columns and pictures each show in part."""
    later_purchases: int
    """Purchases that would have followed after the last day."""

    def picture(self, item_id: str) -> Image.Image:
        """The product's picture, drawn now; raises `TableError` on an unknown id."""
        row = self.attributes[self.attributes[Columns.Item] == item_id]
        if row.empty:
            raise TableError(f"item_id '{item_id}' is not in this shop.")
        return draw_picture(_looks(row)[0])

    def save(self, out: Path, *, pictures: bool = True, workers: int | None = None) -> Path:
        """Write the dataset folder `out`, all or nothing: its tables, images/, graph.parquet, and truth/ apart.

        Without `pictures` the items table has no image column. `workers`: processes that draw, None for one per core;
        the bytes do not depend on it. Raises `OutputError`.
        """
        with output_folder(out, verb="make_shop") as folder:
            dataset = self.dataset
            if pictures:
                save_pictures(_looks(self.attributes), dataset.items[Columns.Image].tolist(), folder, workers=workers)
            else:
                dataset = replace(dataset, items=dataset.items.drop(columns=Columns.Image))
            left_out = {"purchases after the last day": self.later_purchases}
            dataset.write_into(folder, source="make_shop", left_out=left_out)
            write_frame(self.graph, folder / GRAPH_FILE)
            self.truth.save(folder / TRUTH_FOLDER)
            write_frame(self.attributes, folder / TRUTH_FOLDER / ATTRIBUTES_FILE)
        return out


def _looks(attributes: pd.DataFrame) -> list[dict[str, Any]]:
    """What a picture is drawn from, one dict per product."""
    columns = [Columns.Item, Columns.Category, "shape", "colour", "accent", "pattern"]
    return [dict(zip(columns, row, strict=True)) for row in attributes[columns].itertuples(index=False)]


def _slots_of(examination: Attention) -> int:
    """How many slots are described: a name describes any number of them, and of a file the first k are taken."""
    if isinstance(examination, str | os.PathLike):
        return _LONGEST if examination in NAMES else 0
    return len(examination)


def make_shop(
    *,
    n_items: int = 20_000,
    n_users: int = 10_000,
    n_days: int = 14,
    k: int = 10,
    start: str = "2026-01-05",
    requests_per_day: float = 0.7,
    exploration: float = 0.08,
    attraction: float = 0.1,
    new_share: float = 0.12,
    examination: Attention = "log2",
    rng: int | np.random.Generator = 0,
) -> Shop:
    """Make a marketplace and log `n_days` of it under a popularity-driven policy; the same `rng` gives the same bytes.

    k: slots of a list. start: the first day (UTC). requests_per_day: lists a user opens a day, on average.
    exploration: share of slots filled uniformly at random. attraction: mean P(click | examined) of what the policy
    shows on the first day. new_share: share of the products that arrive during the period, with no history.
    examination: P(examined) by slot, a name, a table or a file (Craswell et al. 2008 for the click model).

    What is popular on the first day has only a little to do with what is good (`truth.item_bias`), and what is shown is
    what gets clicked: many good products stay hidden. Raises `ConfigError`.
    """
    _check(n_items, n_users, n_days, k, requests_per_day, exploration, attraction, new_share)
    curve = attention_weights(examination, max(k, _slots_of(examination)))
    try:
        first = np.datetime64(dt.date.fromisoformat(start), "s")
    except ValueError as error:
        raise ConfigError(f"start is '{start}', not a date. Write it like 2026-01-05.") from error
    rng = np.random.default_rng(rng)
    attributes = make_attributes(n_items, n_days, first, rng, new_share=new_share)
    items = make_items(attributes, rng)
    audience, truth = make_audience(attributes, n_users, rng, examination=curve)
    kinds = [kind.category for kind in KINDS]
    category = np.asarray(pd.Index(kinds).get_indexer(pd.Index(attributes[Columns.Category])), dtype=np.int64)
    arrives = attributes["arrives"].to_numpy(dtype=np.int64)
    popularity = _first_popularity(truth, arrives, n_users * requests_per_day * curve[:k].sum() * attraction, rng)
    policy = LoggingPolicy.of(audience.mix, category, popularity.weights(arrives <= 0), exploration)
    truth = _centred(truth, policy, audience, attraction, rng)
    log = simulate_days(
        audience, truth, popularity, category=category, arrives=arrives, start=first, n_days=n_days, k=k,
        requests_per_day=requests_per_day, exploration=exploration, rng=rng,
    )
    prices = items[Columns.Price].to_numpy(dtype=np.float64)
    events = events_frame(log, truth.users.ids, truth.items.ids, prices)
    if events.empty:
        raise ConfigError(f"nobody came: {n_users} users, {n_days} days. Raise n_users, n_days or requests_per_day.")
    dataset = Dataset.of(items, events, audience.users)
    return Shop(dataset, product_graph(dataset.items), truth, attributes, log.later_purchases)


def _first_popularity(
    truth: Truth, arrives: npt.NDArray[np.int64], daily_clicks: float, rng: np.random.Generator
) -> Popularity:
    """Popularity from before the period: heavy-tailed, a little better for better items, none for later arrivals."""
    quality = (truth.item_bias - truth.item_bias.mean()) / truth.item_bias.std()
    known = _QUALITY_SHOWS * quality + np.sqrt(1 - _QUALITY_SHOWS**2) * rng.standard_normal(len(quality))
    clicks = np.where(arrives > 0, 0.0, np.exp(_SKEW * known))
    popularity = Popularity(clicks)
    # As many clicks as days like those to come would have left.
    popularity.clicks *= daily_clicks / (1 - popularity.fade) / clicks.sum()
    return popularity


def _centred(
    truth: Truth, policy: LoggingPolicy, audience: Audience, attraction: float, rng: np.random.Generator
) -> Truth:
    """The truth with its click log-odds moved so that what `policy` shows has the mean `attraction`."""
    visitors = rng.choice(len(audience.users), size=20_000, p=audience.activity / audience.activity.sum())
    items, _ = policy.draw(visitors.astype(np.int64), 1, rng)
    logits = logit(truth.attraction_of(visitors, items[:, 0]))
    shift = brentq(lambda move: expit(logits + move).mean() - attraction, -20, 20)
    return replace(truth, item_bias=truth.item_bias + shift)


def _check(
    n_items: int, n_users: int, n_days: int, k: int, requests_per_day: float, exploration: float, attraction: float,
    new_share: float,
) -> None:
    least = {"n_items": (n_items, max(50, 5 * k)), "n_users": (n_users, 1), "n_days": (n_days, 2), "k": (k, 1)}
    for name, (value, floor) in least.items():
        if value < floor:
            raise ConfigError(f"{name} is {value}; it must be at least {floor}.")
    shares = {"exploration": exploration, "attraction": attraction, "new_share": new_share}
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ConfigError(f"{name} is {share}; it must lie between 0 and 1.")
    if new_share > 0.5:
        raise ConfigError(f"new_share is {new_share}; at most half of the products can be new.")
    if not requests_per_day > 0:
        raise ConfigError(f"requests_per_day is {requests_per_day}; it must be above 0.")
