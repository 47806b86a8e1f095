"""A number of products and a generator → every product's true attributes, and the partial account its seller gives.

The account is what a model may see. Sellers leave attribute fields empty and mention in the title what sells: material
and style nearly always, colour and shape now and then, the pattern rarely. The picture shows colour, accent, pattern
and shape of every product, and neither material nor style.
"""

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.synthetic.pictures import COLOURS, PATTERNS
from ltexpo.data.synthetic.vocabulary import (
    BRAND_ENDS,
    BRAND_STARTS,
    BRAND_SUFFIXES,
    CARE,
    KINDS,
    PATTERN_WORDS,
    PLACES,
    SERIES,
    STYLES,
    TRADES,
)

_FILLED = {"material": 0.75, "style": 0.45, "colour": 0.55, "pattern": 0.35, "shape": 0.35}
"""Attribute column → share of products whose seller fills it."""

_DAY = np.timedelta64(24 * 3600, "s")


def make_attributes(
    n_items: int, n_days: int, start: np.datetime64, rng: np.random.Generator, *, new_share: float
) -> pd.DataFrame:
    """One row per product: item_id, category, department, shape, material, style, colour, accent, pattern, brand,
    seller_id, series, price, price_level, created_at, arrives.

    `price_level` is the price's standing within its category in standard deviations. `arrives` is the day, counted
    from 0, from which the product can be shown: 0 for those older than `start`, 1 … n_days − 1 for the `new_share`
    that arrive during the period, a few hours before that day's first visits.
    """
    shares = np.array([kind.share for kind in KINDS])
    kinds = rng.choice(len(KINDS), size=n_items, p=shares / shares.sum())
    brands = _Brands(max(8, n_items // 130), rng)
    brand = brands.draw(kinds, rng)
    style_mix = rng.dirichlet(np.full(len(STYLES), 0.8), size=len(brands.names))
    style = _choose_rows(style_mix[brand], rng)
    columns = {name: np.empty(n_items, dtype=object) for name in ("shape", "material", "pattern")}
    for number, kind in enumerate(KINDS):
        mine = np.flatnonzero(kinds == number)
        columns["shape"][mine] = rng.choice(list(kind.shapes), size=len(mine))
        columns["material"][mine] = rng.choice(kind.materials, size=len(mine))
        plain = rng.random(len(mine)) < kind.plain
        columns["pattern"][mine] = np.where(plain, PATTERNS[0], rng.choice(PATTERNS[1:], size=len(mine)))
    colours = np.array(list(COLOURS), dtype=object)
    colour = rng.integers(len(colours), size=n_items)
    # The accent is any other colour.
    accent = (colour + rng.integers(1, len(colours), size=n_items)) % len(colours)
    level = 0.75 * brands.tier[brand] + 0.65 * rng.standard_normal(n_items)
    typical = np.array([kind.price for kind in KINDS])[kinds]
    price = np.maximum(np.round(typical * np.exp(0.38 * level)) - 0.05, 2.95)
    arrives = np.where(rng.random(n_items) < new_share, rng.integers(1, n_days, size=n_items), 0)
    age = rng.integers(20, 700, size=n_items) * _DAY + rng.integers(0, 86_400, size=n_items)
    before_dawn = rng.integers(0, 5 * 3600, size=n_items).astype("timedelta64[s]")
    created = np.where(arrives > 0, start + arrives * _DAY + before_dawn, start - age)
    width = max(6, len(str(n_items)))
    return pd.DataFrame({
        Columns.Item: [f"P{number:0{width}d}" for number in range(n_items)],
        Columns.Category: np.array([kind.category for kind in KINDS], dtype=object)[kinds],
        "department": np.array([kind.department for kind in KINDS], dtype=object)[kinds],
        **columns,
        "style": np.array(list(STYLES), dtype=object)[style],
        "colour": colours[colour],
        "accent": colours[accent],
        Columns.Brand: brands.names[brand],
        Columns.Seller: _sellers(n_items, rng),
        "series": rng.choice(SERIES, size=n_items),
        Columns.Price: price,
        "price_level": level,
        Columns.CreatedAt: pd.DatetimeIndex(created.astype("datetime64[us]")).tz_localize("UTC"),
        "arrives": arrives,
    })


def make_items(attributes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The items table as sellers filled it: titles, descriptions, attribute columns with gaps, picture paths."""
    n_items = len(attributes)
    mentions = {name: rng.random(n_items) < share for name, share in (
        ("material", 0.9), ("style", 0.6), ("shape", 0.45), ("colour", 0.35), ("pattern", 0.12), ("series", 0.7),
        ("mood", 0.75),
    )}
    care = rng.integers(4, size=n_items)
    nouns = {(kind.category, shape): noun for kind in KINDS for shape, noun in kind.shapes.items()}
    general = {kind.category: kind.noun for kind in KINDS}
    titles, descriptions = [], []
    for n, row in enumerate(attributes.to_dict("records")):
        says = {name: bool(flags[n]) for name, flags in mentions.items()}
        noun = nouns[row["category"], row["shape"]] if says["shape"] else general[row["category"]]
        pattern = PATTERN_WORDS.get(row["pattern"], "") if says["pattern"] else ""
        words = (row["style"] if says["style"] else "", pattern, row["material"] if says["material"] else "", noun)
        phrase = " ".join(word for word in words if word)
        phrase = phrase[0].upper() + phrase[1:]
        named = f"{row['brand']} {row['series']} – {phrase}" if says["series"] else f"{row['brand']} {phrase}"
        titles.append(f"{named}, {row['colour']}" if says["colour"] else named)
        mood = f" {STYLES[row['style']]}" if says["mood"] else ""
        made = f"{_made_of(row['material'], noun)} by {row['brand']}."
        descriptions.append(f"{made}{mood} {CARE[row['department']][care[n]]}")
    ids = attributes[Columns.Item]
    account = {
        name: attributes[name].where(rng.random(n_items) < share, None) for name, share in _FILLED.items()
    }
    return pd.DataFrame({
        Columns.Item: ids,
        Columns.Title: titles,
        Columns.Description: descriptions,
        Columns.Brand: attributes[Columns.Brand],
        Columns.Category: attributes[Columns.Category],
        "department": attributes["department"],
        **account,
        Columns.Seller: attributes[Columns.Seller],
        Columns.Price: attributes[Columns.Price],
        Columns.CreatedAt: attributes[Columns.CreatedAt],
        Columns.Image: "images/" + ids.str[-2:] + "/" + ids + ".jpg",
    })


def _made_of(material: str, noun: str) -> str:
    if noun.endswith("s") and not noun.endswith("ss"):
        return f"{material[0].upper()}{material[1:]} {noun}"
    return f"{'An' if material[0] in 'aeio' else 'A'} {material} {noun}"


class _Brands:
    """Invented brands: names, a price tier each, and the departments they sell in."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        stems = [start + end for start in BRAND_STARTS for end in BRAND_ENDS]
        order = rng.permutation(len(stems))
        names = []
        for n in range(count):
            # More brands than stems: the later ones carry a number, as shops on marketplaces do.
            stem = stems[order[n % len(stems)]] + (f" {n // len(stems) + 1}" if n >= len(stems) else "")
            names.append(stem + BRAND_SUFFIXES[rng.integers(len(BRAND_SUFFIXES))])
        self.names = np.array(names, dtype=object)
        self.tier = rng.standard_normal(count)
        departments = sorted({kind.department for kind in KINDS})
        home = rng.integers(len(departments), size=count)
        size = rng.permutation(1 / np.arange(1, count + 1) ** 0.7)
        of_kind = np.array([departments.index(kind.department) for kind in KINDS])
        # A brand sells mostly in its own department, and a little elsewhere.
        self.weights = size * np.where(home[None, :] == of_kind[:, None], 1.0, 0.03)  # (kinds, brands)

    def draw(self, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A brand for each product's kind."""
        drawn = np.empty(len(kinds), dtype=np.int64)
        for kind, weights in enumerate(self.weights):
            mine = np.flatnonzero(kinds == kind)
            drawn[mine] = rng.choice(len(weights), size=len(mine), p=weights / weights.sum())
        return drawn


def _sellers(n_items: int, rng: np.random.Generator) -> np.ndarray:
    """A seller per product; the largest sells about a hundred times as much as the median one."""
    count = max(5, n_items // 60)
    places, trades = rng.choice(PLACES, size=count), rng.choice(TRADES, size=count)
    ids = np.array([f"{places[n]} {trades[n]} {n + 1}" for n in range(count)], dtype=object)
    sizes = 1 / np.arange(1, count + 1) ** 0.9
    return ids[rng.choice(count, size=n_items, p=sizes / sizes.sum())]


def _choose_rows(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column per row of `weights` (n, choices), drawn by its row's probabilities."""
    cumulative = weights.cumsum(axis=1)
    chosen: np.ndarray = (rng.random((len(weights), 1)) * cumulative[:, -1:] > cumulative).sum(axis=1)
    return chosen
