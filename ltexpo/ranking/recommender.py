"""A fitted blend → candidates of any users, as a whole or one component at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from ltexpo.columns import Columns, Tier
from ltexpo.data.dataset import Dataset
from ltexpo.data.history import History
from ltexpo.data.ids import IdMap
from ltexpo.data.tables import read_frame
from ltexpo.errors import ColumnError, TableError
from ltexpo.progress import track
from ltexpo.ranking.blend import Blend
from ltexpo.ranking.calibrate_tiers import TierCalibration
from ltexpo.ranking.cold import ColdStart
from ltexpo.ranking.explore import with_tail
from ltexpo.ranking.settings import RecommendSettings
from ltexpo.sparse import Csr, csr

_USERS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class Recommended:
    """How candidates came about; prints as a small table."""

    report: dict[str, Any]
    """weights, validation (component → ndcg, recall, map), calibration, users, left_out: plain values, JSON-ready."""

    def __str__(self) -> str:
        report = self.report
        if "label_days" in report:
            days = ", ".join(report["label_days"])
            lines = [f"model: trees from {days}, networks from before; its README.md compares it with the blend"]
        else:
            table = pd.DataFrame(report["validation"]).T
            table.insert(0, "weight", pd.Series(report["weights"]))
            lines = [table.rename_axis(None).round(4).to_string(na_rep="") if len(table) else str(report["weights"])]
            lines.append(f"validation: {report['validation_period']}, {report['validation_users']:,} users")
        lines += [f"left out: {name} ({reason})" for name, reason in report["left_out"].items()]
        lines.append(f"score: {report['calibration']['means']}")
        lines.append(", ".join(f"{count:,} {what}" for what, count in report["counts"].items()))
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Recommendation(Recommended):
    """The candidates too."""

    candidates: pd.DataFrame
    """request_id (= user_id), user_id, item_id, score, rank: sorted by request_id, rank; rank follows the score."""

    def to_pandas(self) -> pd.DataFrame:
        """The candidates."""
        return self.candidates


@dataclass(frozen=True)
class Recommender:
    """A fitted blend that makes lists for any users, as a whole or one component at a time."""

    dataset: Dataset
    settings: RecommendSettings
    history: History
    blend: Blend
    calibration: TierCalibration
    tier: npt.NDArray[np.object_]
    """(I,) each item's tier, in code order."""
    report: dict[str, Any] = field(default_factory=dict)

    def recommend(self, user_ids: "pd.Index[Any] | None" = None, *, part: str | None = None) -> Recommendation:
        """Lists of `user_ids` (none: as the settings say), by the blend or by the one component named `part`."""
        wanted = IdMap.of(
            wanted_users(self.dataset, self.history, self.settings) if user_ids is None else user_ids
        ).ids
        codes = self.history.user_ids.codes_or_missing(wanted)
        starts = range(0, len(wanted), _USERS_AT_ONCE)
        blocks = list(track(self._blocks(wanted, codes, starts, part), "candidates", total=len(starts)))
        user = np.concatenate([block[0] for block in blocks])
        ids = pd.Series(wanted[user])
        lengths = np.bincount(user, minlength=len(wanted))
        candidates = pd.DataFrame({
            Columns.Request: ids,
            Columns.User: ids,
            Columns.Item: self.history.item_ids.decode(np.concatenate([block[1] for block in blocks])),
            Columns.Score: np.concatenate([block[2] for block in blocks]),
            Columns.Rank: np.concatenate([block[3] for block in blocks]),
        })
        counts = {
            **users_counted(self.dataset, self.settings, wanted, int((codes < 0).sum())),
            "candidates": len(candidates),
            f"lists shorter than {self.settings.k}": int((lengths < self.settings.k).sum()),
        }
        return Recommendation(candidates=candidates, report={**self.report, "counts": counts})

    def _blocks(
        self, wanted: "pd.Index[Any]", codes: npt.NDArray[np.int64], starts: range, part: str | None
    ) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        cold = ColdStart.of(self.history, self.dataset.users, self.settings)
        for start in starts:
            block = codes[start : start + _USERS_AT_ONCE]
            known = np.flatnonzero(block >= 0)
            skip = self.history.seen()[block[known]] if self.settings.exclude_seen else None
            lists = self._scores(block[known], skip, part)
            strangers = np.flatnonzero(block < 0)
            cold_lists = cold.lists(wanted[start + strangers], self._cold_weight(part))
            rows = np.argsort(np.concatenate([known, strangers]), kind="stable")
            both = csr(sparse.vstack([lists, cold_lists], format="csr")[rows])
            user, item, score = _entries(both)
            if part is None:
                score = self.calibration(score, self.tier[item])
            yield _ranked(user, item, score, start)

    def _scores(self, users: npt.NDArray[np.int64], skip: Csr | None, part: str | None) -> Csr:
        k = self.settings.k
        if part is None:
            if not self.settings.explore:
                return self.blend.score(users, k, skip=skip)
            parts = self.blend.parts(users, skip=skip)
            return with_tail(parts, self.blend.weights, self.tier != Tier.Head, k=k, share=self.settings.explore)
        return next(scorer for scorer in self.blend.scorers if scorer.name == part).score(users, k, skip=skip)

    def _cold_weight(self, part: str | None) -> float:
        return float(self.blend.weights["popularity"]) if part is None else 1.0


def wanted_users(dataset: Dataset, history: History, settings: RecommendSettings) -> "pd.Index[Any]":
    """Whom the settings ask lists for."""
    if settings.users_file is not None:
        return _listed_users(settings.users_file)
    if settings.users == "known":
        return history.user_ids.ids
    tables = [table for table in (dataset.events, dataset.users) if table is not None]
    return IdMap.of(pd.concat([table[Columns.User] for table in tables])).ids


def users_counted(
    dataset: Dataset, settings: RecommendSettings, asked: "pd.Index[Any]", strangers: int
) -> dict[str, int]:
    """Users `asked` for, `strangers` without interactions among them, and with a users_file those whom no table knows.
    """
    counts = {"users": len(asked), "users without history": strangers}
    if settings.users_file is not None:
        tables = [table for table in (dataset.events, dataset.users) if table is not None]
        known = np.logical_or.reduce([asked.isin(table[Columns.User]) for table in tables])
        counts["users of users_file whom no table knows"] = int((~known).sum())
    return counts


def _entries(scores: Csr) -> tuple[npt.NDArray[Any], ...]:
    """User row, item code and score of every stored entry."""
    user = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    return user, scores.indices, scores.data.astype(np.float64)


def _ranked(
    user: npt.NDArray[Any], item: npt.NDArray[Any], score: npt.NDArray[np.float64], first_user: int
) -> tuple[npt.NDArray[Any], ...]:
    """The same with each entry's rank, best first within a user; ties by item code."""
    order = np.lexsort((item, -score, user))
    rank = np.arange(len(user)) - np.searchsorted(user, user) + 1
    return user + first_user, item[order], score[order], rank.astype(np.int32)


def _listed_users(path: Path) -> "pd.Index[Any]":
    listed = read_frame(path)
    if Columns.User not in listed.columns:
        raise ColumnError(f"{path}: lacks '{Columns.User}'; found {', '.join(map(str, listed.columns))}.")
    ids: pd.Series[Any] = listed[Columns.User].dropna().astype(str)
    if ids.empty:
        raise TableError(f"{path}: holds no user. Give at least one user_id.")
    return IdMap.of(ids).ids
