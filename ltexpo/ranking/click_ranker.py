"""Logged impressions + features → P(click | examined) of any candidate.

A product that was not clicked may not have been looked at. Under the position-based model (Richardson et al. 2007)
it was, with probability a (1 − γ) / (1 − a γ), for a slot looked at with probability a and a click rate γ of what is
looked at: so much does such a row weigh, and a click weighs 1 (one step of EM; Wang et al. 2018). The same model
calibrates.

Trees follow the clicks on the products that they learn from, and most new products that are asked about are not among
these. So the map of new products is fitted on scores by trees that did not learn from the product: else the best of
them would be promised what only luck made of their like.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from ltexpo.columns import Tier
from ltexpo.errors import ConfigError, TableError
from ltexpo.ranking.calibrate_shown import calibrate_shown
from ltexpo.ranking.calibrate_tiers import tiers_from, tiers_record
from ltexpo.ranking.features import Candidates
from ltexpo.ranking.gbm import Gbm, GbmSettings
from ltexpo.ranking.product_spread import Singles, product_excess
from ltexpo.ranking.rolling import LabelDay, by_day
from ltexpo.ranking.scores import Scores
from ltexpo.ranking.shown import Shown
from ltexpo.ranking.spread import Repeats, Spread, fit_spread

_CONFIG, _TREES = "config.json", "click"
_FEW_ROWS = 5


class ShownTrees(GbmSettings):
    """The trees that learn from impressions."""

    objective: Literal["binary"] = "binary"
    """Probability."""


class ClickRanker:
    """See above.

    Fitted: `click_` (`Gbm`), `calibration_` (by tier), `unseen_` (not saved: for each label day the scores (n,) of its
    rows by boosters that did not learn from their users, of new products by some that did not learn from these, and by
    maps that did not learn from the users), `spread_` (see `spread`; None with too few clicks on
    products that were shown to a user again).
    """

    spread_: Spread | None

    def __init__(self, settings: GbmSettings | None = None) -> None:
        self.settings = settings or ShownTrees()

    def fit(
        self, days: Sequence[LabelDay], as_new: Sequence[LabelDay] = (), *, rng: int | np.random.Generator = 0
    ) -> Self:
        """Learn from days whose candidates are what was shown (see `rolling.roll`); users are never split.

        `as_new`: what was shown of products whose past was taken away. The trees alone learn from it; scores are
        calibrated on what was.
        """
        every = [*days, *as_new]
        shown, learnt = _joined(days), _joined(every)
        features = pd.concat([day.candidates.features for day in every], ignore_index=True)
        group = np.concatenate([day.group for day in every])
        tier = np.concatenate([day.tier[day.candidates.item] for day in days])
        a = learnt.examined
        rate = shown.clicked.sum() / shown.examined.sum()
        weight = np.where(learnt.clicked, 1.0, a * (1 - rate) / (1 - a * rate))
        n = len(shown.item)
        weight[n:] *= _products_alike(learnt.item[n:])
        self.click_ = Gbm(self.settings).fit(features, learnt.clicked.astype(np.int8), group, weight=weight, rng=rng)
        strange = self._strange(features, learnt, weight, n, rng)
        features, group = features[:n], group[:n]
        known = expit(self.click_.raw_unseen(features, group))
        score = np.where(tier == Tier.New, strange, known)
        found = calibrate_shown(score, shown, tier, usable=np.ones(len(score), dtype=bool), know_tiers=True)
        if found is None:
            raise TableError("impressions hold too few clicks to calibrate on. Raise rolling.days or min_clicks.")
        self.calibration_ = found
        self.unseen_ = by_day(self._unseen(score, shown, tier, group), days)
        logged = all(day.looks is not None for day in days)
        self.spread_ = fit_spread(Repeats.of(days, self.unseen_)) if logged else None
        if self.spread_ is not None:
            singles = Singles.of(days, np.concatenate(self.unseen_), self.calibration_(strange, tier))
            excess = product_excess(singles, dict(self.spread_.tiers), self.spread_.tau)
            self.spread_ = replace(self.spread_, excess=excess)
        return self

    def score(self, candidates: Candidates, tier: npt.NDArray[np.object_]) -> Scores:
        """P(click | examined) of each candidate (n,); `tier` (I,) of the products."""
        each = self.click_.raw_each(candidates.features)
        own = tier[candidates.item]
        scores = Scores.of(lambda raw: self.calibration_(expit(raw), own), each)
        if self.spread_ is None:
            return scores
        return replace(scores, spread=np.maximum(self.spread_.std(scores.score, own), scores.std))

    def _strange(
        self, features: pd.DataFrame, learnt: Shown, weight: npt.NDArray[np.float64], n: int,
        rng: int | np.random.Generator,
    ) -> npt.NDArray[np.float64]:
        """Scores of the first `n` rows by trees that did not learn from their products; by all where there are too few
        products to leave some out."""
        if len(np.unique(learnt.item)) < self.settings.bags:
            return expit(self.click_.raw(features[:n]))
        # As many trees as the others have: what they make of a product that they know, these make of one like it.
        rounds = max(1, round(float(np.mean([booster.num_trees() for booster in self.click_.boosters_]))))
        trees = Gbm(self.settings).fit(
            features, learnt.clicked.astype(np.int8), learnt.item, weight=weight, rounds=rounds, rng=rng
        )
        return expit(trees.raw_unseen(features[:n], learnt.item[:n]))

    def _unseen(
        self, score: npt.NDArray[np.float64], shown: Shown, tier: npt.NDArray[np.object_],
        group: npt.NDArray[np.object_],
    ) -> npt.NDArray[np.float64]:
        """(n,) probabilities by maps fitted without the fold of each row's user."""
        fold = self.click_.folds_.reindex(group).to_numpy()
        out = np.empty(len(score))
        for one in np.unique(fold):
            held = fold == one
            rows = shown.rows(~held)
            rest = calibrate_shown(
                score[~held], rows, tier[~held], usable=np.ones(len(rows.user), dtype=bool), know_tiers=True
            )
            # Where the other folds hold too few clicks to fit a map, the one fitted on all stands in.
            out[held] = (rest or self.calibration_)(score[held], tier[held])
        return out

    @property
    def means(self) -> str:
        """What a score stands for."""
        return self.calibration_.means

    @property
    def boosters(self) -> Mapping[str, Gbm]:
        """Its boosted models by name."""
        return {"click": self.click_}

    def contributions(
        self, candidates: Candidates, tier: npt.NDArray[np.object_], parts: Mapping[str, str]
    ) -> pd.DataFrame:
        """What each part adds to the log-odds of each candidate before calibration: see `Gbm.contributions`."""
        return self.click_.contributions(candidates.features, parts)

    def save(self, folder: Path) -> None:
        """Write config.json and the folder click/ into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "calibration": tiers_record(self.calibration_),
            "spread": None if self.spread_ is None else self.spread_.record(),
        }
        (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        self.click_.save(folder / _TREES)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; scores are the same bytes."""
        if not (folder / _CONFIG).exists():
            raise ConfigError(f"{folder}: holds no {_CONFIG}. Give the folder of a saved ranker.")
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        click = Gbm.load(folder / _TREES)
        ranker = cls(click.settings)
        ranker.click_, ranker.calibration_ = click, tiers_from(config["calibration"])
        given = config["spread"]
        ranker.spread_ = None if given is None else Spread(**given)
        return ranker


def _products_alike(item: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weights (n,) of mean 1 by which every product counts the same, however often it was shown: what is new was not
    chosen for being popular. Products of fewer than `_FEW_ROWS` rows count less, or single rows would say too much."""
    weight = 1 / np.maximum(np.bincount(item), _FEW_ROWS)[item]
    return np.asarray(weight / weight.mean()) if len(weight) else weight


def _joined(days: Sequence[LabelDay]) -> Shown:
    """All rows of the days as impressions."""
    examined = [day.examined for day in days if day.examined is not None]
    if not days or len(examined) < len(days):
        raise TableError("a ranker of clicks needs days on which impressions were logged.")
    propensity = [day.propensity for day in days if day.propensity is not None]
    return Shown(
        np.concatenate([day.candidates.user for day in days]), np.concatenate([day.candidates.item for day in days]),
        np.concatenate([day.outcome for day in days]) > 0, np.concatenate(examined),
        np.concatenate(propensity) if len(propensity) == len(days) else None,
    )
