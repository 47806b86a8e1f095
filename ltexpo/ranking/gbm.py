"""Feature table with outcomes → boosted trees that order candidates, their P(outcome) and how sure it is."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ltexpo.config import Settings
from ltexpo.errors import ColumnError, ConfigError, TableError
from ltexpo.ranking.calibrate import Calibration, calibration_from, calibration_record, fit_calibration

_CONFIG = "config.json"
_BESIDE = 0.02
"""Added to a feature before its logarithm: scores that are scaled to a best of 1 are 0 where nothing was found."""


class GbmSettings(Settings):
    """Gradient-boosted trees."""

    objective: Literal["lambdarank", "binary", "poisson"] = "lambdarank"
    """lambdarank: order within a request, where only purchases are known; binary: probability, where impressions are;
    poisson: counts, such as tomorrow's purchases of an item."""
    bags: int = Field(5, ge=2)
    """Boosters; each leaves out one of so many folds of groups, and stops when it gets no better on it."""
    max_rounds: int = Field(400, ge=1)
    """Trees of one booster at most."""
    patience: int = Field(40, ge=1)
    """Stop after so many trees without a gain on the fold left out."""
    learning_rate: float = Field(0.05, gt=0, le=1)
    """Weight of each tree."""
    leaves: int = Field(15, ge=2)
    """Leaves of a tree."""
    min_rows: int = Field(60, ge=1)
    """Rows in a leaf at least."""
    l2: float = Field(10.0, ge=0)
    """Ridge on leaf values."""
    feature_share: float = Field(0.4, gt=0, le=1)
    """Share of features each tree may use."""
    row_share: float = Field(0.7, gt=0, le=1)
    """Share of rows each tree sees."""
    truncation: int = Field(20, ge=1)
    """lambdarank: pairs with an item in the first so many places count."""
    start_from: str | None = None
    """Feature that the trees begin with: log-odds a + b · log(feature + 0.02), fitted first, so that they learn only
    what it misses and stay near it where outcomes are few; null: they begin with nothing."""
    threads: int = Field(1, ge=1)
    """Threads of LightGBM; the model is the same for any number, more than the free cores are much slower."""


class Gbm:
    """LightGBM (Ke et al. 2017; lambdarank: Burges 2010) bagged over folds of groups.

    Fitted: `boosters_`, `features_` (names in order), `calibration_` (None for poisson), `folds_` (group → the booster
    that did not see it; not saved).
    """

    def __init__(self, settings: GbmSettings | None = None) -> None:
        self.settings = settings or GbmSettings()

    def fit(
        self, features: pd.DataFrame, outcome: npt.ArrayLike, group: npt.ArrayLike, *,
        weight: npt.ArrayLike | None = None, calibrate: npt.ArrayLike | None = None, means: str = "P(outcome)",
        rounds: int | None = None, rng: int | np.random.Generator = 0,
    ) -> Self:
        """Learn from `features` (n, F); `outcome` (n,): 0 or 1, or counts for poisson.

        `group` (n,) names what belongs together and is never split between folds: the request of lambdarank, which
        orders within it; for binary and poisson the user, or the family of items. `weight` (n,) is how many rows each
        stands for (one, or more where negatives were drawn); `calibrate` (n,) marks the rows that probabilities are
        fitted on, none: all; `rounds`: trees of each booster, none: as many as are best for the groups that it left
        out. Raises `TableError` when outcomes are all alike or there are fewer groups than bags.
        """
        settings, rng = self.settings, np.random.default_rng(rng)
        label = np.asarray(outcome, dtype=np.float64)
        codes, names = pd.factorize(np.asarray(group), sort=True)
        mass = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=np.float64)
        _check(features, label, mass, len(names), settings)
        # Groups with outcomes are dealt evenly, or a fold could have nothing to stop on.
        active = np.bincount(codes, weights=label, minlength=len(names)) > 0
        order = np.lexsort((rng.random(len(names)), ~active))
        fold_of = np.empty(len(names), dtype=np.int64)
        fold_of[order] = np.arange(len(names)) % settings.bags
        rows = np.argsort(codes, kind="stable")
        seed = int(rng.integers(2**31))

        self.folds_ = pd.Series(fold_of, index=names)
        self.features_ = [str(name) for name in features.columns]
        table = features.to_numpy(dtype=np.float32)
        self.boosters_: list[Any] = []
        self.starts_: list[tuple[float, float]] = []
        out_of_fold = np.empty(len(label))
        for fold in range(settings.bags):
            out = fold_of[codes] == fold
            train, held = rows[~out[rows]], rows[out[rows]]
            self.starts_.append(self._fit_start(table[train], label[train], mass[train]))
            start = self._start(table, fold)
            booster = _boost(
                table, label, mass, codes, train, held, start, self.features_, settings, seed + fold, rounds
            )
            self.boosters_.append(booster)
            out_of_fold[held] = self._raw(table[held], fold)
        self.calibration_: Calibration | None = None
        if settings.objective != "poisson":
            used = np.ones(len(label), bool) if calibrate is None else np.asarray(calibrate, dtype=bool)
            self.calibration_ = fit_calibration(
                expit(out_of_fold[used]), label[used], counts=mass[used], means=means
            )
        return self

    def raw(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Mean of the boosters' scores (n,): log-odds, log-counts, or for lambdarank a number that only orders."""
        return np.asarray(self.raw_each(features).mean(axis=0))

    def score(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """P(outcome) of each row (n,), or the expected count for poisson; follows `raw` in order."""
        raw = self.raw(features)
        return np.exp(raw) if self.calibration_ is None else self.calibration_(expit(raw))

    def raw_each(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """`raw` of each booster (bags, n)."""
        table = self._table(features)
        return np.stack([self._raw(table, bag) for bag in range(len(self.boosters_))])

    def score_unseen(self, features: pd.DataFrame, group: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """`score` (n,) from `raw_unseen`: for features of training rows that another model is to learn from."""
        raw = self.raw_unseen(features, group)
        return np.exp(raw) if self.calibration_ is None else self.calibration_(expit(raw))

    def raw_unseen(self, features: pd.DataFrame, group: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """`raw` (n,) by the booster that did not learn from the row's group, or by all where none did.

        Raises `ConfigError` on a loaded model.
        """
        if not hasattr(self, "folds_"):
            raise ConfigError("a loaded ranker does not know which groups it learnt from. Use the one that was fitted.")
        fold = self.folds_.reindex(np.asarray(group)).fillna(-1).to_numpy(dtype=np.int64)
        table = self._table(features)
        raw = np.empty(len(fold))
        for bag in range(len(self.boosters_)):
            rows = fold == bag
            if rows.any():
                raw[rows] = self._raw(table[rows], bag)
        strange = fold < 0
        if strange.any():
            raw[strange] = self.raw(features[strange])
        return raw

    def contributions(
        self, features: pd.DataFrame, parts: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """What each feature adds to `raw` (n rows), and `baseline`: rows sum to `raw` (TreeSHAP, Lundberg et al. 2020).

        `parts` maps a feature to the part it is summed under, such as text or behaviour; others keep their name.
        """
        table = self._table(features)
        total = np.mean([
            booster.predict(table, pred_contrib=True, num_threads=self.settings.threads) for booster in self.boosters_
        ], axis=0)
        frame = pd.DataFrame(total, columns=[*self.features_, "baseline"])
        if self.settings.start_from is not None:
            level = float(np.mean([start for start, _ in self.starts_]))
            begun = np.mean([self._start(table, bag) for bag in range(len(self.boosters_))], axis=0)
            frame[self.settings.start_from] += begun - level
            frame["baseline"] += level
        return frame.T.groupby(lambda name: (parts or {}).get(name, name), sort=False).sum().T

    def importance(self) -> "pd.Series[float]":
        """Share of the total gain of each feature, largest first."""
        gain = np.sum([booster.feature_importance("gain") for booster in self.boosters_], axis=0)
        share = pd.Series(gain / max(gain.sum(), 1e-12), index=self.features_)
        return share.sort_values(ascending=False, kind="stable")

    def save(self, folder: Path) -> None:
        """Write config.json and one LightGBM text per booster into `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        calibration = None if self.calibration_ is None else calibration_record(self.calibration_)
        config = {"settings": self.settings.model_dump(), "features": self.features_, "calibration": calibration,
                  "starts": self.starts_}
        (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        for path, booster in zip(self._paths(folder), self.boosters_, strict=True):
            booster.save_model(path)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; scores are the same bytes."""
        import lightgbm

        if not (folder / _CONFIG).exists():
            raise ConfigError(f"{folder}: holds no {_CONFIG}. Give the folder of a saved ranker.")
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        model = cls(GbmSettings(**config["settings"]))
        model.features_, model.starts_ = config["features"], [tuple(start) for start in config["starts"]]
        given = config["calibration"]
        model.calibration_ = None if given is None else calibration_from(given)
        model.boosters_ = [lightgbm.Booster(model_str=_whole(path)) for path in model._paths(folder)]
        if any(booster.num_feature() != len(model.features_) for booster in model.boosters_):
            raise ConfigError(f"{folder}: its trees and its {_CONFIG} are of different models. Train it again.")
        return model

    def _raw(self, table: npt.NDArray[np.float32], bag: int) -> npt.NDArray[np.float64]:
        booster = self.boosters_[bag]
        found = booster.predict(table, raw_score=True, num_threads=self.settings.threads)
        return np.asarray(found + self._start(table, bag))

    def _start(self, table: npt.NDArray[np.float32], bag: int) -> npt.NDArray[np.float64]:
        """What booster `bag` begins with (n,)."""
        if self.settings.start_from is None:
            return np.zeros(len(table))
        level, slope = self.starts_[bag]
        return np.asarray(level + slope * _logged(table[:, self.features_.index(self.settings.start_from)]))

    def _fit_start(
        self, table: npt.NDArray[np.float32], label: npt.NDArray[np.float64], mass: npt.NDArray[np.float64]
    ) -> tuple[float, float]:
        name = self.settings.start_from
        if name is None:
            return 0.0, 0.0
        if name not in self.features_:
            raise ColumnError(f"start_from is '{name}'; features are {', '.join(self.features_)}.")
        given = _logged(table[:, self.features_.index(name)])[:, None]
        fitted = LogisticRegression(C=1e3).fit(given, label, sample_weight=mass)
        return float(fitted.intercept_[0]), float(fitted.coef_[0, 0])

    def _paths(self, folder: Path) -> Iterator[Path]:
        return (folder / f"booster_{bag}.txt" for bag in range(self.settings.bags))

    def _table(self, features: pd.DataFrame) -> npt.NDArray[np.float32]:
        missing = [name for name in self.features_ if name not in features.columns]
        if missing:
            raise ColumnError(
                f"features lacks '{missing[0]}'; found {', '.join(map(str, features.columns))}. "
                "The items, users or vectors lack something that the model was trained on."
            )
        return features[self.features_].to_numpy(dtype=np.float32)


def _whole(path: Path) -> str:
    """The text of a booster; LightGBM ends the process when it is handed a part of one."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if "\nend of parameters" not in text:
        raise ConfigError(f"{path}: is no whole booster. Train the model again.")
    return text


def _logged(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(values.astype(np.float64), 0) + _BESIDE))


def _boost(
    table: npt.NDArray[np.float32], label: npt.NDArray[np.float64], mass: npt.NDArray[np.float64],
    codes: npt.NDArray[np.int64], train: npt.NDArray[np.int64], held: npt.NDArray[np.int64],
    start: npt.NDArray[np.float64], names: list[str], settings: GbmSettings, seed: int, rounds: int | None,
) -> Any:
    """One booster on the rows `train`, as long as it should be for the rows `held`, or of `rounds` trees; both are
    sorted by group."""
    import lightgbm

    ranking = settings.objective == "lambdarank"

    def data(rows: npt.NDArray[np.int64], reference: Any = None) -> Any:
        sizes = np.unique(codes[rows], return_counts=True)[1] if ranking else None
        return lightgbm.Dataset(
            table[rows], label[rows], weight=mass[rows], group=sizes, feature_name=names, reference=reference,
            init_score=None if settings.start_from is None else start[rows],
            params={"verbose": -1, "num_threads": settings.threads},
        )

    training = data(train)
    parameters: dict[str, Any] = {
        "objective": settings.objective, "learning_rate": settings.learning_rate, "num_leaves": settings.leaves,
        "min_data_in_leaf": settings.min_rows, "lambda_l2": settings.l2, "feature_fraction": settings.feature_share,
        "bagging_fraction": settings.row_share, "bagging_freq": 1, "seed": seed, "num_threads": settings.threads,
        "deterministic": True, "force_row_wise": True, "verbose": -1,
    }
    if ranking:
        parameters |= {
            "lambdarank_truncation_level": settings.truncation, "metric": "ndcg", "eval_at": [settings.truncation],
        }
    if rounds is not None:
        booster = lightgbm.train(parameters, training, rounds)
    else:
        stop = lightgbm.early_stopping(settings.patience, verbose=False)
        booster = lightgbm.train(
            parameters, training, settings.max_rounds, valid_sets=[data(held, training)], callbacks=[stop]
        )
    # Only what predicts is kept: the training data would stay in memory with the booster.
    text = booster.model_to_string(num_iteration=rounds or booster.best_iteration)
    return lightgbm.Booster(model_str=text)


def _check(
    features: pd.DataFrame, label: npt.NDArray[np.float64], mass: npt.NDArray[np.float64], groups: int,
    settings: GbmSettings,
) -> None:
    if len(features) != len(label) or len(mass) != len(label):
        raise TableError(f"features has {len(features):,} rows, outcome {len(label):,}, weight {len(mass):,}; "
                         "give one of each per row.")
    if groups < settings.bags:
        raise TableError(
            f"rows come from {groups} users (or days), fewer than bags = {settings.bags}. Give more, or lower bags."
        )
    if label.min() == label.max():
        raise TableError(f"outcome is {label[0]:g} in every row, so nothing can be learnt. Give both outcomes.")
    if label.min() < 0 or (settings.objective != "poisson" and not np.isin(label, (0.0, 1.0)).all()):
        raise TableError(f"outcome runs from {label.min():g} to {label.max():g}; {settings.objective} needs "
                         + ("counts of 0 or more." if settings.objective == "poisson" else "0 or 1."))
