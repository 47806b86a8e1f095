"""Sizes and a seed → a made shop with vectors of its texts and pictures; the same with parts of it hidden.

Text: TF-IDF of titles and attributes. Pictures: the pair of encoders that 'ltexpo encode --train' trains on the shop's
own catalogue, kept in a folder so that it is trained once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data import Dataset, TailSpec
from ltexpo.data.synthetic import Shop, make_shop
from ltexpo.encoders.item_vectors import Content, ItemVectors
from ltexpo.encoders.pair_settings import PairSettings
from ltexpo.jobs.encoding import EncodeJob, run_encode

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Made:
    """A made shop and the vectors of its products."""

    shop: Shop
    content: Content
    """Rows in the order of the dataset's items."""

    @classmethod
    def of(cls, folder: Path, *, items: int, users: int, days: int, seed: int, epochs: int) -> "Made":
        """The shop and its vectors, which are kept in `folder`; `epochs` of the pair's training."""
        shop = make_shop(n_items=items, n_users=users, n_days=days, rng=seed)
        home = folder / f"shop-{items}-{users}-{days}-{seed}"
        if not (home / "vectors").exists():
            shop.save(home / "data", workers=2)
            run_encode(EncodeJob(
                data=home / "data", out=home / "vectors", train=True, titles=False, seed=seed,
                pair=PairSettings(epochs=epochs),
            ))
        vectors = ItemVectors.load(home / "vectors")
        ids = shop.dataset.items[Columns.Item].to_list()
        return cls(shop, {name: vectors.of(name, ids) for name in ("text", "image")})

    def without(self, hidden: Mapping[str, Mask]) -> tuple[Dataset, Content]:
        """What is left to learn from; `hidden`: image, text or history → products (I,) whose part is taken away.

        A hidden text is the title, the description and the vector; the columns of attributes stay. A hidden history is
        every event with the product, impressions among them.
        """
        dataset = self.shop.dataset
        items, events = dataset.items.copy(), dataset.require_events("the benchmark")
        if "text" in hidden:
            items.loc[hidden["text"], [Columns.Title, Columns.Description]] = ""
        if "history" in hidden:
            gone = items.loc[hidden["history"], Columns.Item]
            events = events[~events[Columns.Item].isin(gone)].reset_index(drop=True)
        content = {}
        for name, (vectors, there) in self.content.items():
            kept = there & ~hidden.get(name, np.zeros(len(there), dtype=bool))
            content[name] = (np.where(kept[:, None], vectors, np.float32(0)), kept)
        return replace(dataset, items=items, events=events), content


def drawn(size: int, share: float, rng: np.random.Generator) -> Mask:
    """`share` of `size` rows, drawn at random."""
    mask = np.zeros(size, dtype=bool)
    mask[rng.choice(size, round(share * size), replace=False)] = True
    return mask


def tiers_of(dataset: Dataset, events: pd.DataFrame) -> pd.DataFrame:
    """Interactions and tier of every product, index item_id."""
    return TailSpec().assign(dataset.items, events).set_index(Columns.Item)[[Columns.Interactions, Columns.Tier]]
