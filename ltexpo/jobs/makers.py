"""A dataset as it is known on some day → candidates of its users: by the blend, or by a model that goes on learning."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ltexpo.config import check_settings
from ltexpo.data.dataset import Dataset
from ltexpo.data.tables import read_frame
from ltexpo.errors import ConfigError
from ltexpo.jobs.vectors import ModelInputs
from ltexpo.ranking.recommend import RecommendSettings, fit_recommender

_OF_LISTS = {"k", "explore"}
"""Settings of lists; all others of a model were decided when it was trained."""


class Maker(Protocol):
    """Makes candidates anew whenever an arm is retrained."""

    def __call__(self, dataset: Dataset, now: str, users: "pd.Index[Any]") -> pd.DataFrame:
        """Candidates of `users`, learnt from the events of `dataset` before `now`."""


@dataclass(frozen=True)
class ByBlend:
    """The blend of baselines, fitted anew each time."""

    settings: RecommendSettings
    seed: int

    def __call__(self, dataset: Dataset, now: str, users: "pd.Index[Any]") -> pd.DataFrame:
        """See `Maker`."""
        settings = self.settings.model_copy(update={"until": now})
        return fit_recommender(dataset, settings, np.random.default_rng(self.seed)).recommend(users).candidates


class ByModel:
    """A trained model: with `learn` its networks go on learning and its trees are made anew each time (as 'ltexpo
    train --continue-from'), without it only reads what has happened since."""

    def __init__(
        self, given: ModelInputs, dataset: Dataset, lists: RecommendSettings, *, learn: bool, seed: int
    ) -> None:
        """Raises `ConfigError` for a folder without a model, other vectors than it learnt from, and settings of
        `lists` that were decided when it was trained."""
        from ltexpo.jobs.training import content_for  # brings the model's libraries
        from ltexpo.ranking.model import Model

        assert given.model is not None
        other = sorted(lists.model_fields_set - _OF_LISTS)
        if other:
            raise ConfigError(f"retrain.recommend.{other[0]} was decided when retrain.model was trained; leave it out.")
        self._model, self._learn, self._seed = Model.load(given.model), learn, seed
        self._content = content_for(Path(given.model), given.vectors, dataset)
        self._edges = None if given.edges is None else read_frame(given.edges)
        self._lists = {name: getattr(lists, name) for name in lists.model_fields_set}

    def __call__(self, dataset: Dataset, now: str, users: "pd.Index[Any]") -> pd.DataFrame:
        """See `Maker`."""
        before = self._model
        settings = check_settings(
            type(before.settings), {**before.settings.model_dump(), **self._lists, "until": now}, "retrain.model"
        )
        if self._learn:
            self._model = type(before)(settings).fit(
                dataset, self._content, edges=self._edges, reader=before.reader_, rng=self._seed
            )
        return self._model.recommend(
            dataset, self._content, user_ids=users, edges=self._edges, until=now
        ).candidates
