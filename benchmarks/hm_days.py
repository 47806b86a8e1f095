"""H&M by rolling days: who is asked for on each day, what they bought, and one method's lists on it.

Chosen on 2020-09-17; tested on the 18th and 19th pooled; each day with all earlier days as training, for customers with
an earlier purchase, over the full catalogue. With `validate` the later days are cut off before anything is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data import Dataset, TailSpec, time_split
from ltexpo.data.importers import IMPORTERS
from ltexpo.encoders.item_vectors import Content, ItemVectors
from ltexpo.rerank import Goal, GuardrailSettings, RerankSettings, rerank

K = 12
"""Length of a list."""
SHARES = (0.15, 0.25, 0.35, 0.5)
"""Of exposure, for tail and new products together."""
VALIDATION_DAYS, TEST_DAYS = ("2020-09-17",), ("2020-09-18", "2020-09-19")
PICTURED = 2_500
"""Pictures are shown of so many best sellers from before the validation day."""
PLAIN = 0.0
"""Stands for the lists as they are, before any share is asked for."""


@dataclass(frozen=True)
class Made:
    """What a method makes of one day."""

    lists: pd.DataFrame
    """user_id, item_id, rank: the first 12 as they are."""
    candidates: pd.DataFrame | None = None
    """request_id, user_id, item_id, score: more of them with P(bought), enough tail among them, to re-rank; None: the
    method has no frontier."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What was found out while learning: plain values."""

    @classmethod
    def of(cls, candidates: pd.DataFrame, facts: dict[str, Any] | None = None) -> "Made":
        """The first 12 of `candidates` (with rank), which can be re-ranked too."""
        return cls(candidates[candidates[Columns.Rank] <= K], candidates, facts or {})


@dataclass(frozen=True, eq=False)
class Day:
    """One day: its customers and what they bought."""

    day: str
    wanted: pd.DataFrame
    """user_id, item_id: each pair once."""
    items: pd.DataFrame
    """The catalogue with each item's interactions and tier before the day."""

    @cached_property
    def users(self) -> "pd.Index[str]":
        """Customers with a purchase on the day and an earlier one, sorted."""
        return pd.Index(np.sort(self.wanted[Columns.User].unique()))


@dataclass(frozen=True, eq=False)
class Shop:
    """The data that every method gets, and the days it is asked for."""

    dataset: Dataset
    vectors: ItemVectors | None
    days: tuple[Day, ...]

    @classmethod
    def open(cls, data: Path, vectors: Path | None, *, validate: bool) -> "Shop":
        """`data`: the folder of H&M's files, or a saved dataset; `vectors`: what 'ltexpo encode' wrote."""
        if (data / "dataset.json").exists():
            dataset = Dataset.load(data)
        else:
            imported = IMPORTERS["hm"](data)
            dataset = Dataset.of(imported.items, imported.events, imported.users, imported.image_root)
        names = VALIDATION_DAYS if validate else TEST_DAYS
        dataset = until(dataset, pd.Timestamp(names[-1]) + pd.Timedelta(days=1))
        days = tuple(_day(dataset, name) for name in names)
        return cls(dataset, None if vectors is None else ItemVectors.load(vectors), days)

    def content(self, without: Sequence[str] = ()) -> Content:
        """Vectors by name with who has one, rows in the order of the catalogue."""
        if self.vectors is None:
            raise SystemExit("this method needs --vectors.")
        ids = self.dataset.items[Columns.Item].to_list()
        found = {name: self.vectors.of(name, ids) for name in self.vectors.vectors if name not in without}
        if "image" in found:
            vectors, there = found["image"]
            found["image"] = (vectors, there & self.dataset.items[Columns.Item].isin(self._pictured).to_numpy())
        return found

    @cached_property
    def _pictured(self) -> "pd.Index[str]":
        """Products whose picture a method may see.

        Most of the shared pictures are of the best sellers of the whole period, so that having one tells of sales on
        the test days. The best sellers before those days nearly all have one, whatever they sold later.
        """
        events = self.dataset.require_events("the benchmark")
        before = events[events[Columns.Timestamp] < pd.Timestamp(VALIDATION_DAYS[0], tz="UTC")]
        sold = before[Columns.Item].value_counts().sort_index().sort_values(ascending=False, kind="stable")
        return sold.index[:PICTURED]

    def matrix(self, name: str) -> npt.NDArray[np.float32]:
        """Vectors (I, d) called `name`, rows in the order of sorted item ids."""
        if self.vectors is None:
            raise SystemExit(f"this method needs --vectors with '{name}'.")
        return self.vectors.of(name, sorted(self.dataset.items[Columns.Item]))[0]


Method = Callable[[Shop, Day, int], Made]
"""Shop, day and seed → lists and candidates of the day's users, learnt from the days before."""


def until(dataset: Dataset, end: pd.Timestamp) -> Dataset:
    """The same without events at or after `end` (UTC)."""
    events = dataset.require_events("the benchmark")
    kept = events[events[Columns.Timestamp] < end.tz_localize("UTC")].reset_index(drop=True)
    return Dataset(dataset.items, kept, dataset.users, dataset.root, dataset.notes)


def frontier_lists(made: Made, day: Day, seed: int) -> dict[float, pd.DataFrame]:
    """Share asked for → lists; PLAIN → the plain ones."""
    lists = {PLAIN: made.lists}
    for share in SHARES if made.candidates is not None else ():
        settings = RerankSettings(
            k=K, goals=(Goal(group="tail", min_share=share),), elastic=True,
            guardrails=GuardrailSettings(min_score_ratio=None),
        )
        lists[share] = rerank(made.candidates, day.items, settings, rng=seed).rankings
    return lists


def _day(dataset: Dataset, name: str) -> Day:
    events = dataset.require_events("the benchmark")
    split = time_split(events, name, pd.Timestamp(name) + pd.Timedelta(days=1))
    test = split.test[split.test[Columns.User].isin(split.train[Columns.User])]
    tiers = TailSpec().assign(dataset.items, split.train)
    items = dataset.items.assign(**{
        Columns.Interactions: tiers[Columns.Interactions].to_numpy(), Columns.Tier: tiers[Columns.Tier].to_numpy(),
    })
    wanted = test[[Columns.User, Columns.Item]].drop_duplicates().reset_index(drop=True)
    return Day(name, wanted, items)
