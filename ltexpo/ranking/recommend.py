"""Dataset → every user's candidates, scored with P(click | examined)."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, field_validator
from scipy import sparse

from ltexpo.columns import Columns, EventKind
from ltexpo.data.dataset import Dataset
from ltexpo.data.ids import IdMap
from ltexpo.data.split import as_utc
from ltexpo.data.tables import read_frame
from ltexpo.errors import ColumnError, ConfigError, SplitError, TableError
from ltexpo.metrics.attention import attention_weights
from ltexpo.progress import track
from ltexpo.ranking.blend import POPULARITY_FLOOR, Blend, Validation, choose_weights, mixed, scaled_to_best
from ltexpo.ranking.calibrate import Calibration, fit_calibration
from ltexpo.ranking.components import ComponentSettings, choose_components
from ltexpo.ranking.history import EVENT_WEIGHTS, History
from ltexpo.ranking.holdout import Holdout, hold_out
from ltexpo.ranking.popularity import recent_share
from ltexpo.ranking.sparse import Csr, csr, top_rows

log = logging.getLogger("ltexpo")

_USERS_AT_ONCE = 2048
_MIN_EVENTS = 50
"""Fewer clicks or interactions than this cannot tell a probability."""


class RecommendSettings(ComponentSettings):
    """How candidates are made."""

    k: int = Field(100, ge=1)
    """Candidates per user."""
    until: str | dt.datetime | dt.date | None = None
    """Learn from events before this moment only; null: from all."""
    users: Literal["all", "known"] = "all"
    """all: everyone in users or events; known: those with an interaction to learn from."""
    users_file: Path | None = None
    """Parquet file with a user_id column: make candidates for these users only; null: as 'users' says."""
    exclude_seen: bool = False
    """Leave out what the user already interacted with."""
    event_weights: dict[str, float] = Field(dict(EVENT_WEIGHTS))
    """How much each kind of interaction (click, cart, purchase, rating) counts; 0 or absent: not at all."""
    pool: int = Field(300, ge=1)
    """This many items of each component enter the blend (at least k)."""
    weights: dict[str, float] | None = None
    """Weight of each component in the blend, not negative; null: chosen on the validation period."""
    validation_days: int | None = Field(None, ge=1)
    """Days at the end of training to choose weights and calibrate on; null: the fewest in which 200 users come back."""
    validation_users: int = Field(2000, ge=1)
    """At most this many users are drawn for it."""
    validation_k: int = Field(12, ge=1)
    """Weights are chosen for the quality of this many first candidates."""
    attention: str | tuple[float, ...] = "log2"
    """Probability that each rank of a logged impression was examined: log2, uniform, or one number per rank."""

    @field_validator("event_weights")
    @classmethod
    def _known_kinds(cls, weights: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(weights) - set(EventKind.Interactions))
        if unknown:
            raise ValueError(f"'{unknown[0]}' is not one of {', '.join(EventKind.Interactions)}")
        if not all(0 <= weight < float("inf") for weight in weights.values()) or sum(weights.values()) <= 0:
            raise ValueError("weights are finite, not negative, and not all 0")
        return weights


@dataclass(frozen=True)
class Recommendation:
    """Candidates and how they came about; prints as a small table."""

    candidates: pd.DataFrame
    """request_id (= user_id), user_id, item_id, score, rank: sorted by request_id, rank."""
    report: dict[str, Any]
    """weights, validation (component → ndcg, recall, map), calibration, users, left_out: plain values, JSON-ready."""

    def to_pandas(self) -> pd.DataFrame:
        """The candidates."""
        return self.candidates

    def __str__(self) -> str:
        report = self.report
        table = pd.DataFrame(report["validation"]).T
        table.insert(0, "weight", pd.Series(report["weights"]))
        lines = [table.rename_axis(None).round(4).to_string(na_rep="") if len(table) else str(report["weights"])]
        lines.append(f"validation: {report['validation_period']}, {report['validation_users']:,} users")
        lines += [f"left out: {name} ({reason})" for name, reason in report["left_out"].items()]
        lines.append(f"score: {report['calibration']['means']}")
        lines.append(", ".join(f"{count:,} {what}" for what, count in report["counts"].items()))
        return "\n".join(lines)


def recommend(
    dataset: Dataset, settings: RecommendSettings, rng: int | np.random.Generator = 0
) -> Recommendation:
    """Candidates of every user that `settings` asks for, one request a user.

    Raises `TableError`, `SplitError`, `ColumnError` or `ConfigError`.
    """
    return fit_recommender(dataset, settings, rng).recommend()


def fit_recommender(
    dataset: Dataset, settings: RecommendSettings, rng: int | np.random.Generator = 0
) -> "Recommender":
    """Choose weights and calibrate on the validation period, then fit every component on all training events."""
    rng = np.random.default_rng(rng)
    events = _training_events(dataset, settings)
    history = _history(dataset, settings, events)
    items = _in_code_order(dataset.items, history)
    scorers, left_out = choose_components(
        settings, taken_items=len(np.unique(history.item)), exclude_seen=settings.exclude_seen
    )
    names = [scorer.name for scorer in scorers]
    weights = None if settings.weights is None else _given_weights(settings.weights, names)
    pool = max(settings.pool, settings.k)

    try:
        holdout = hold_out(events, settings.event_weights, days=settings.validation_days, rng=rng)
    except SplitError:
        if weights is None or settings.validation_days is not None:
            raise
        holdout = None
    report: dict[str, Any] = {"validation": {}, "validation_period": "none", "validation_users": 0}
    calibration = None
    if holdout is not None:
        trial = _Trial.of(dataset, settings, holdout, Blend(scorers, dict.fromkeys(names, 0.0), pool=pool), rng)
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
    blend = Blend(scorers, weights, pool=pool).fit(history, items)
    return Recommender(dataset, settings, history, blend, calibration, {
        "weights": weights, **report, "left_out": left_out,
        "calibration": {
            "means": calibration.means, "pairs": calibration.pairs, "events": calibration.events,
            "score": calibration.score.tolist(), "probability": calibration.probability.tolist(),
        },
    })


@dataclass(frozen=True)
class Recommender:
    """A fitted blend that makes lists for any users, as a whole or one component at a time."""

    dataset: Dataset
    settings: RecommendSettings
    history: History
    blend: Blend
    calibration: Calibration
    report: dict[str, Any] = field(default_factory=dict)

    def recommend(self, user_ids: "pd.Index[Any] | None" = None, *, part: str | None = None) -> Recommendation:
        """Lists of `user_ids` (none: as the settings say), by the blend or by the one component named `part`."""
        wanted = IdMap.of(self._users() if user_ids is None else user_ids).ids
        codes = self.history.user_ids.codes_or_missing(wanted)
        starts = range(0, len(wanted), _USERS_AT_ONCE)
        blocks = list(track(self._blocks(wanted, codes, starts, part), "candidates", total=len(starts)))
        user = np.concatenate([block[0] for block in blocks])
        ids = pd.Series(wanted[user])
        lengths = np.bincount(user, minlength=len(wanted))
        scores = np.concatenate([block[2] for block in blocks])
        candidates = pd.DataFrame({
            Columns.Request: ids,
            Columns.User: ids,
            Columns.Item: self.history.item_ids.decode(np.concatenate([block[1] for block in blocks])),
            Columns.Score: scores if part is not None else self.calibration(scores),
            Columns.Rank: np.concatenate([block[3] for block in blocks]),
        })
        counts = {
            "users": len(wanted), "candidates": len(candidates), "users without history": int((codes < 0).sum()),
            f"lists shorter than {self.settings.k}": int((lengths < self.settings.k).sum()),
        }
        return Recommendation(candidates, {**self.report, "counts": counts})

    def _users(self) -> "pd.Index[Any]":
        if self.settings.users_file is not None:
            return _listed_users(self.settings.users_file)
        if self.settings.users == "known":
            return self.history.user_ids.ids
        tables = [table for table in (self.dataset.events, self.dataset.users) if table is not None]
        return IdMap.of(pd.concat([table[Columns.User] for table in tables])).ids

    def _blocks(
        self, wanted: "pd.Index[Any]", codes: npt.NDArray[np.int64], starts: range, part: str | None
    ) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        cold = _Cold.of(self)
        for start in starts:
            block = codes[start : start + _USERS_AT_ONCE]
            known = np.flatnonzero(block >= 0)
            skip = _seen(self.history)[block[known]] if self.settings.exclude_seen else None
            lists = self._scores(block[known], skip, part)
            strangers = np.flatnonzero(block < 0)
            cold_lists = cold.lists(wanted[start + strangers], self._cold_weight(part))
            rows = np.argsort(np.concatenate([known, strangers]), kind="stable")
            both = csr(sparse.vstack([lists, cold_lists], format="csr")[rows])
            yield _ranked(both, start)

    def _scores(self, users: npt.NDArray[np.int64], skip: Csr | None, part: str | None) -> Csr:
        k = self.settings.k
        if part is None:
            return self.blend.score(users, k, skip=skip)
        return next(scorer for scorer in self.blend.scorers if scorer.name == part).score(users, k, skip=skip)

    def _cold_weight(self, part: str | None) -> float:
        return float(self.blend.weights["popularity"]) if part is None else 1.0


@dataclass(frozen=True)
class _Cold:
    """Popular lists for users without history, by segment where users have one."""

    segment_of: "pd.Series[Any]"
    """user_id → row of `best`; the last row is everybody."""
    best: Csr
    """(segments + 1, I), the best item of each row scored 1."""

    @classmethod
    def of(cls, recommender: Recommender) -> "_Cold":
        history, settings, users = recommender.history, recommender.settings, recommender.dataset.users
        everybody = recent_share(history, settings.popularity.half_life)
        shares = []
        segment_of = pd.Series(dtype=np.int64)
        if users is not None and Columns.Segment in users.columns:
            codes, names = pd.factorize(users[Columns.Segment], sort=True)
            segment_of = pd.Series(codes, index=users[Columns.User])
            segment_of[segment_of < 0] = len(names)
            of_user = segment_of.reindex(history.user_ids.ids).fillna(len(names)).to_numpy(dtype=np.int64)
            for segment in range(len(names)):
                of_segment = history.rows(of_user[history.user] == segment)
                size = len(of_segment.item)
                local = recent_share(of_segment, settings.popularity.half_life) if size else everybody
                # A small segment says little: everybody's share counts like 100 interactions of its own.
                shares.append((size * local + 100 * everybody) / (size + 100))
        shares.append(everybody)
        best = [top_rows(csr(share[None, :], dtype=np.float32), settings.k) for share in shares]
        return cls(segment_of, scaled_to_best(sparse.vstack(best, format="csr")))

    def lists(self, user_ids: "pd.Index[Any]", weight: float) -> Csr:
        """CSR (B, I): what the popularity part of the blend alone would give."""
        last = self.best.shape[0] - 1
        rows = self.segment_of.reindex(user_ids).fillna(last).to_numpy(dtype=np.int64)
        return csr(self.best[rows] * np.float32(weight))


@dataclass(frozen=True)
class _Trial:
    """A blend fitted on the earlier part of training, and what the later part says about it."""

    settings: RecommendSettings
    blend: Blend
    history: History
    later: pd.DataFrame
    """Later events of users with a history in the earlier part."""
    users: npt.NDArray[np.int64]
    """(B,) codes of the drawn users who act in the later part."""
    parts: dict[str, Csr]
    taken: Csr
    rng: np.random.Generator

    @classmethod
    def of(
        cls, dataset: Dataset, settings: RecommendSettings, holdout: Holdout, blend: Blend, rng: np.random.Generator
    ) -> "_Trial":
        history = _history(dataset, settings, holdout.earlier)
        blend = blend.fit(history, _in_code_order(dataset.items, history))
        later = holdout.later[holdout.later[Columns.User].isin(history.user_ids.ids)]
        acted = later[later[Columns.Event].map(settings.event_weights).fillna(0.0) > 0]
        user, item = history.user_ids.codes(acted[Columns.User]), history.item_ids.codes(acted[Columns.Item])
        users = _drawn(np.unique(user), settings.validation_users, rng)
        skip = _seen(history)[users] if settings.exclude_seen else None
        inside = np.isin(user, users)
        taken = csr(
            (np.ones(int(inside.sum()), dtype=np.float32), (np.searchsorted(users, user[inside]), item[inside])),
            shape=(len(users), history.n_items),
        )
        if skip is not None:
            taken = taken - taken.multiply(skip > 0)
            taken.eliminate_zeros()
        return cls(settings, blend, history, later, users, blend.parts(users, skip=skip), taken, rng)

    def validation(self, k: int) -> Validation:
        return Validation(self.parts, self.taken, k=k)

    def calibration(self, weights: dict[str, float], *, attention: str | tuple[float, ...]) -> Calibration | None:
        """From impressions where enough of them met a candidate, else from interactions; None when neither tells."""
        return self._from_impressions(weights, attention) or self._from_interactions(weights)

    def _from_impressions(
        self, weights: dict[str, float], attention: str | tuple[float, ...]
    ) -> Calibration | None:
        later = self.later
        if Columns.Rank not in later.columns or Columns.Request not in later.columns:
            return None
        shown = later[(later[Columns.Event] == EventKind.Impression) & later[Columns.Rank].notna()]
        shown = shown.drop_duplicates([Columns.Request, Columns.Item])
        if shown.empty:
            return None
        users = _drawn(
            np.unique(self.history.user_ids.codes(shown[Columns.User])), self.settings.validation_users, self.rng
        )
        code = self.history.user_ids.codes(shown[Columns.User])
        shown, code = shown[np.isin(code, users)], code[np.isin(code, users)]
        skip = _seen(self.history)[users] if self.settings.exclude_seen else None
        scores = mixed(self.blend.parts(users, skip=skip), weights)
        item = self.history.item_ids.codes(shown[Columns.Item])
        score = np.asarray(scores[np.searchsorted(users, code), item]).ravel()
        pair = [Columns.Request, Columns.Item]
        clicks = later.loc[later[Columns.Event] == EventKind.Click, pair]
        clicked = pd.MultiIndex.from_frame(shown[pair]).isin(pd.MultiIndex.from_frame(clicks))
        rank = shown[Columns.Rank].to_numpy(dtype=np.int64)
        met = score > 0
        if clicked[met].sum() < _MIN_EVENTS:
            return None
        curve = attention_weights(attention, int(rank.max()))
        return fit_calibration(
            score[met], clicked[met], attention=np.maximum(curve[rank[met] - 1], 1e-6),
            means="P(click | examined), from logged impressions under the position-based model",
        )

    def _from_interactions(self, weights: dict[str, float]) -> Calibration | None:
        scores = top_rows(mixed(self.parts, weights), self.settings.k)
        rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
        taken = np.asarray(self.taken[rows, scores.indices]).ravel() > 0
        if taken.sum() < _MIN_EVENTS:
            return None
        return fit_calibration(
            scores.data, taken,
            means="P(the user takes the item in the validation period | the user comes back): no usable impressions",
        )


def _uncalibrated() -> Calibration:
    return Calibration(
        np.array([0.5]), np.array([0.5]), "order only: too few clicks or interactions to tell a probability", 0, 0
    )


def _training_events(dataset: Dataset, settings: RecommendSettings) -> pd.DataFrame:
    events = dataset.require_events("'recommend'")
    if settings.until is None:
        return events
    moment = as_utc(settings.until)
    train = events[events[Columns.Timestamp] < moment]
    if train.empty:
        first = events[Columns.Timestamp].min()
        raise SplitError(f"no event before until = {moment:%Y-%m-%d %H:%M}; the first is at {first:%Y-%m-%d %H:%M}.")
    return train


def _history(dataset: Dataset, settings: RecommendSettings, events: pd.DataFrame) -> History:
    return History.of(dataset.items, events, event_weights=settings.event_weights)


def _in_code_order(items: pd.DataFrame, history: History) -> pd.DataFrame:
    codes = history.item_ids.codes(items[Columns.Item])
    return items.iloc[np.argsort(codes, kind="stable")].reset_index(drop=True)


def _seen(history: History) -> Csr:
    return history.matrix(np.ones(len(history.item)))


def _drawn(codes: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return codes if len(codes) <= n else np.sort(rng.choice(codes, n, replace=False))


def _ranked(scores: Csr, first_user: int) -> tuple[npt.NDArray[Any], ...]:
    """User row, item code, score and rank of every stored entry, best first; ties by item code."""
    lengths = np.diff(scores.indptr)
    user = np.repeat(np.arange(scores.shape[0]), lengths)
    order = np.lexsort((scores.indices, -scores.data, user))
    rank = np.arange(len(user)) - np.repeat(scores.indptr[:-1], lengths) + 1
    return user + first_user, scores.indices[order], scores.data[order].astype(np.float64), rank.astype(np.int32)


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


def _listed_users(path: Path) -> "pd.Index[Any]":
    listed = read_frame(path)
    if Columns.User not in listed.columns:
        raise ColumnError(f"{path}: lacks '{Columns.User}'; found {', '.join(map(str, listed.columns))}.")
    ids: pd.Series[Any] = listed[Columns.User].dropna().astype(str)
    if ids.empty:
        raise TableError(f"{path}: holds no user. Give at least one user_id.")
    return IdMap.of(ids).ids
