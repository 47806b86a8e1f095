"""Label days and baskets → P(the user takes the candidate), with a second opinion on tail and new products.

Boosted models. `click` (binary) learns from users who came back and judges everything; it starts from the blend, and
learns what that misses. `order` (lambdarank), if it is asked for, learns the order within each user's candidates.
`tail` (binary) judges tail and new products alone: few of these are ever taken by users who come back, so that it
learns from cut baskets too. Head: logit(click) + order_weight · order; tail and new: the same + logit(tail). Each of
the two sums is calibrated on what the boosters did not see.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator
from scipy.special import expit

from ltexpo.config import Settings
from ltexpo.errors import ConfigError, TableError
from ltexpo.ranking.calibrate import Calibration, calibration_from, calibration_record, fit_calibration
from ltexpo.ranking.features import Candidates
from ltexpo.ranking.gbm import Gbm, GbmSettings
from ltexpo.ranking.rolling import LabelDay, by_day
from ltexpo.ranking.scores import Scores

_CONFIG = "config.json"
_MEANS = "P(the user takes the item on the next day | the user comes back)"


class ClickTrees(GbmSettings):
    """The trees that judge everything."""

    objective: Literal["binary"] = "binary"
    """Probability."""
    start_from: str | None = "s_blend"
    """Feature that the trees begin with, so that they learn only what it misses; null: they begin with nothing."""


class OrderTrees(GbmSettings):
    """The trees that order each user's candidates."""

    objective: Literal["lambdarank"] = "lambdarank"
    """Order within a user."""
    start_from: str | None = "s_blend"
    """Feature that the trees begin with; null: they begin with nothing."""


class TailTrees(GbmSettings):
    """The trees of the second opinion: few and small, for few outcomes."""

    objective: Literal["binary"] = "binary"
    """Probability."""
    learning_rate: float = Field(0.06, gt=0, le=1)
    """Weight of each tree."""
    leaves: int = Field(7, ge=2)
    """Leaves of a tree."""
    min_rows: int = Field(40, ge=1)
    """Rows in a leaf at least."""


class RankerSettings(Settings):
    """The ranker."""

    click: ClickTrees = ClickTrees()
    """P(taken), from users who came back."""
    order: OrderTrees = OrderTrees()
    """The order within a user's candidates, from users who came back."""
    tail: TailTrees = TailTrees()
    """P(taken) of tail and new products, from users who came back and from cut baskets."""
    order_weight: float = Field(0.0, ge=0)
    """What one unit of `order` counts against one unit of log-odds; 0: without it."""
    basket_weight: float = Field(0.3, ge=0)
    """What a row of a basket counts against one of a user who came back."""
    negatives: float = Field(0.35, gt=0, le=1)
    """Share of the candidates that were not taken that is drawn to learn from; each counts for the rest."""

    @model_validator(mode="after")
    def _alike(self) -> Self:
        used = (self.click, self.tail, *((self.order,) if self.order_weight > 0 else ()))
        if len({trees.bags for trees in used}) > 1:
            raise ValueError("click, tail and, where it counts, order need the same number of bags")
        return self


class Ranker:
    """See above.

    Fitted: `click_`, `order_`, `tail_` (`Gbm`), `calibration_` (head's, tail's), `unseen_` (not saved: for each label
    day the scores (n,) of its candidates by boosters and maps that did not learn from their users).
    """

    def __init__(self, settings: RankerSettings | None = None) -> None:
        self.settings = settings or RankerSettings()
        self.order_: Gbm | None = None

    def fit(
        self, days: Sequence[LabelDay], baskets: Sequence[LabelDay] = (), *, rng: int | np.random.Generator = 0
    ) -> Self:
        """Learn from `days` and `baskets` (see `rolling.roll`). Raises `TableError` when there is nothing to learn."""
        settings, rng = self.settings, np.random.default_rng(rng)
        if not days:
            raise TableError("the ranker got no label day. Give days on which users came back.")
        everything = _Rows.of(days, settings.negatives, rng)
        self.click_ = everything.fit(settings.click, rng)
        if settings.order_weight > 0:
            self.order_ = everything.fit(settings.order, rng, weighted=False)
        tail = everything.only(everything.in_tail)
        shown = _Rows.of(baskets, settings.negatives, rng)
        shown = shown.only(shown.in_tail)
        self.tail_ = tail.joined(shown, settings.basket_weight).fit(settings.tail, rng)
        # Calibration needs every candidate: those left out of training are judged by the boosters all the same.
        whole = _Rows.of(days, 1.0, rng)
        raw = self._sums({
            name: model.raw_unseen(whole.features, whole.group) for name, model in self.boosters.items()
        }, whole.in_tail)
        self.calibration_ = _maps(raw, whole, np.ones(len(raw), dtype=bool))
        fold = self.click_.folds_.reindex(whole.group).fillna(-1).to_numpy()
        unseen = np.empty(len(raw))
        for one in np.unique(fold):
            held = fold == one
            unseen[held] = _calibrated(_maps(raw, whole, ~held), raw[held], whole.in_tail[held])
        self.unseen_ = by_day(unseen, days)
        return self

    def score(self, candidates: Candidates, tier: npt.NDArray[np.object_]) -> Scores:
        """P(taken) of each candidate (n,); `tier` (I,) of the products.

        What a user has already is left to the first two models even in the tail: a cut basket holds nothing twice, so
        that `tail` would learn that nobody buys again.
        """
        in_tail = candidates.in_tail(tier)
        raw = {
            name: model.raw_each(candidates.features) for name, model in self.boosters.items() if name != "tail"
        }
        raw["tail"] = np.zeros_like(raw["click"])
        raw["tail"][:, in_tail] = self.tail_.raw_each(candidates.features[in_tail])
        sums = self._sums(raw, in_tail)
        return Scores.of(lambda raw: _calibrated(self.calibration_, raw, in_tail), sums)

    @property
    def means(self) -> str:
        """What a score stands for."""
        return _MEANS

    @property
    def boosters(self) -> Mapping[str, Gbm]:
        """Its boosted models by name."""
        every = {"click": self.click_, "order": self.order_, "tail": self.tail_}
        return {name: model for name, model in every.items() if model is not None}

    def contributions(
        self, candidates: Candidates, tier: npt.NDArray[np.object_], parts: Mapping[str, str]
    ) -> pd.DataFrame:
        """What each part adds to the log-odds of each candidate before calibration: see `Gbm.contributions`."""
        every = {name: model.contributions(candidates.features, parts) for name, model in self.boosters.items()}
        found = every["click"].add(every["tail"].mul(candidates.in_tail(tier).astype(float), axis=0), fill_value=0.0)
        return found.add(self.settings.order_weight * every["order"], fill_value=0.0) if "order" in every else found

    def save(self, folder: Path) -> None:
        """Write config.json and a folder of each model into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "settings": self.settings.model_dump(),
            "calibration": [calibration_record(one) for one in self.calibration_],
        }
        (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        for name, model in self.boosters.items():
            model.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; scores are the same bytes."""
        if not (folder / _CONFIG).exists():
            raise ConfigError(f"{folder}: holds no {_CONFIG}. Give the folder of a saved ranker.")
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        ranker = cls(RankerSettings(**config["settings"]))
        ranker.calibration_ = tuple(calibration_from(one) for one in config["calibration"])
        ranker.click_, ranker.tail_ = Gbm.load(folder / "click"), Gbm.load(folder / "tail")
        if ranker.settings.order_weight > 0:
            ranker.order_ = Gbm.load(folder / "order")
        return ranker

    def _sums(
        self, raw: Mapping[str, npt.NDArray[np.float64]], in_tail: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        total = raw["click"] + np.where(in_tail, raw["tail"], 0.0)
        return total + self.settings.order_weight * raw["order"] if "order" in raw else total


def _calibrated(
    maps: tuple[Calibration, ...], raw: npt.NDArray[np.float64], in_tail: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    head, tail = maps
    return np.where(in_tail, tail(expit(raw)), head(expit(raw)))


def _maps(raw: npt.NDArray[np.float64], rows: "_Rows", used: npt.NDArray[np.bool_]) -> tuple[Calibration, ...]:
    """The head's and the tail's map, fitted on the rows `used` (n,)."""
    kinds = (("head", used & ~rows.in_tail), ("tail and new", used & rows.in_tail))
    return tuple(
        fit_calibration(expit(raw[kind]), rows.outcome[kind], by_events=True, means=f"{_MEANS}, {name}")
        for name, kind in kinds
    )


class _Rows:
    """Rows of several label days, one under the other."""

    def __init__(
        self, features: pd.DataFrame, outcome: npt.NDArray[np.int8], group: npt.NDArray[np.object_],
        in_tail: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64],
    ) -> None:
        self.features, self.outcome, self.group, self.in_tail, self.weight = features, outcome, group, in_tail, weight

    @classmethod
    def of(cls, days: Sequence[LabelDay], negatives: float, rng: np.random.Generator) -> "_Rows":
        """All that was taken, and the share `negatives` of the rest."""
        if not days:
            return cls(pd.DataFrame(), *(np.array([], dtype=kind) for kind in (np.int8, object, bool, np.float64)))
        kept = [np.flatnonzero((day.outcome > 0) | (rng.random(len(day.outcome)) < negatives)) for day in days]
        outcome = np.concatenate([day.outcome[rows] for day, rows in zip(days, kept, strict=True)])
        return cls(
            pd.concat(
                [day.candidates.features.iloc[rows] for day, rows in zip(days, kept, strict=True)], ignore_index=True
            ),
            outcome,
            np.concatenate([day.group[rows] for day, rows in zip(days, kept, strict=True)]),
            np.concatenate([day.in_tail[rows] for day, rows in zip(days, kept, strict=True)]),
            np.where(outcome > 0, 1.0, 1.0 / negatives),
        )

    def only(self, kept: npt.NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.features[kept], self.outcome[kept], self.group[kept], self.in_tail[kept], self.weight[kept])

    def joined(self, other: "_Rows", weight: float) -> "_Rows":
        """These rows and those of `other`, which count `weight` each."""
        if not len(other.outcome) or weight == 0:
            return self
        return _Rows(
            pd.concat([self.features, other.features], ignore_index=True),
            np.concatenate([self.outcome, other.outcome]), np.concatenate([self.group, other.group]),
            np.concatenate([self.in_tail, other.in_tail]), np.concatenate([self.weight, weight * other.weight]),
        )

    def fit(self, settings: GbmSettings, rng: np.random.Generator, *, weighted: bool = True) -> Gbm:
        weight = self.weight if weighted else np.ones_like(self.weight)
        return Gbm(settings).fit(self.features, self.outcome, self.group, weight=weight, rng=rng)
