"""Dataset → every user's candidates, scored with P(click | examined)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.history import History
from ltexpo.data.split import as_utc
from ltexpo.errors import ConfigError, SplitError
from ltexpo.ranking.blend import POPULARITY_FLOOR, Blend, choose_weights
from ltexpo.ranking.calibrate import Calibration
from ltexpo.ranking.calibrate_tiers import TierCalibration, same_for_all
from ltexpo.ranking.components import choose_components, components_named
from ltexpo.ranking.holdout import hold_out
from ltexpo.ranking.recommender import Recommendation, Recommender
from ltexpo.ranking.scorer import Scorer
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.ranking.trial import Trial

__all__ = ["RecommendSettings", "Recommendation", "Recommender", "fit_recommender", "recommend"]


def recommend(
    dataset: Dataset, settings: RecommendSettings, rng: int | np.random.Generator = 0
) -> Recommendation:
    """Candidates of every user that `settings` asks for, one request a user.

    Raises `TableError`, `SplitError`, `ColumnError` or `ConfigError`.
    """
    return fit_recommender(dataset, settings, rng).recommend()


def fit_recommender(
    dataset: Dataset, settings: RecommendSettings, rng: int | np.random.Generator = 0
) -> Recommender:
    """Choose weights and calibrate on the validation period, then fit every component on all training events."""
    events = training_events(dataset, settings)
    chosen = choose_blend(dataset.items, events, settings, np.random.default_rng(rng))
    history = History.of(dataset.items, events, event_weights=settings.event_weights)
    items = history.in_code_order(dataset.items)
    blend = chosen.blend().fit(history, items)
    tier = settings.tail.assign(items, events)[Columns.Tier].to_numpy(dtype=object)
    return Recommender(dataset, settings, history, blend, chosen.calibration, tier, chosen.report)


@dataclass(frozen=True)
class ChosenBlend:
    """Which components take part, how much each weighs, and what its scores mean."""

    settings: RecommendSettings
    names: tuple[str, ...]
    weights: dict[str, float]
    calibration: TierCalibration
    report: dict[str, Any]
    """weights, validation (component → ndcg, recall, map), calibration, left_out: plain values, JSON-ready."""

    def blend(self) -> Blend:
        """A new one, not fitted."""
        return make_blend(self.settings, self.names, self.weights)


def make_blend(
    settings: RecommendSettings, names: Iterable[str], weights: Mapping[str, float], also: Sequence[Scorer] = (),
) -> Blend:
    """A blend of the components `names`, not fitted; `also` are others of weight 0, whose scores are only looked at."""
    scorers = [*components_named(settings, names), *also]
    return Blend(scorers, {**weights, **{scorer.name: 0.0 for scorer in also}}, pool=max(settings.pool, settings.k))


def choose_blend(
    items: pd.DataFrame, events: pd.DataFrame, settings: RecommendSettings, rng: np.random.Generator
) -> ChosenBlend:
    """Components that suit the training `events`; weights and calibration from their last part."""
    acted = events[events[Columns.Event].map(settings.event_weights).fillna(0.0) > 0]
    names, left_out = choose_components(
        settings, taken_items=acted[Columns.Item].nunique(), exclude_seen=settings.exclude_seen
    )
    weights = None if settings.weights is None else _given_weights(settings.weights, names)
    try:
        holdout = hold_out(events, settings.event_weights, days=settings.validation_days, rng=rng)
    except SplitError:
        if weights is None or settings.validation_days is not None:
            raise
        holdout = None
    report: dict[str, Any] = {"validation": {}, "validation_period": "none", "validation_users": 0}
    calibration = None
    if holdout is not None:
        trial = Trial.of(items, settings, holdout, make_blend(settings, names, dict.fromkeys(names, 0.0)), rng)
        validation = trial.validation(settings.validation_k)
        weights = weights or choose_weights(validation)
        judged = {name: validation.judge_part(name) for name in names}
        judged["blend"] = validation.judge([weights[name] for name in names])
        k = settings.validation_k
        report["validation"] = {
            name: {f"ndcg@{k}": ndcg, f"recall@{k}": recall, f"map@{k}": precision}
            for name, (ndcg, recall, precision) in judged.items()
        }
        report |= {"validation_period": holdout.note, "validation_users": len(trial.users)}
        calibration = trial.calibration(weights, attention=settings.attention)
    if weights is None:
        raise ConfigError("weights are neither given nor can be chosen. Give 'weights'.")
    if calibration is None:
        calibration = _uncalibrated()
    report = {"weights": weights, **report, "left_out": left_out, "calibration": calibration.report()}
    return ChosenBlend(settings, tuple(names), weights, calibration, report)


def _uncalibrated() -> TierCalibration:
    return same_for_all(Calibration(
        np.array([0.5]), np.array([0.5]), "order only: too few clicks or interactions to tell a probability", 0, 0
    ))


def training_events(dataset: Dataset, settings: RecommendSettings) -> pd.DataFrame:
    """Events before `settings.until`; raises `SplitError` when there is none."""
    events = dataset.require_events("'recommend'")
    if settings.until is None:
        return events
    moment = as_utc(settings.until)
    train = events[events[Columns.Timestamp] < moment]
    if train.empty:
        first = events[Columns.Timestamp].min()
        raise SplitError(f"no event before until = {moment:%Y-%m-%d %H:%M}; the first is at {first:%Y-%m-%d %H:%M}.")
    return train


def _given_weights(weights: dict[str, float], names: list[str]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise ConfigError(f"weights names '{unknown[0]}', which takes no part. Taking part: {', '.join(names)}.")
    negative = [name for name, weight in weights.items() if not weight >= 0 or weight == float("inf")]
    if negative:
        raise ConfigError(f"weights.{negative[0]} is {weights[negative[0]]}; give a finite number of 0 or more.")
    total = sum(weights.values())
    if total <= 0:
        raise ConfigError("weights are all 0. Give at least one component a weight.")
    shared = {name: weights.get(name, 0.0) / total for name in names}
    shared["popularity"] = max(shared["popularity"], POPULARITY_FLOOR)
    whole = sum(shared.values())
    return {name: weight / whole for name, weight in shared.items()}
