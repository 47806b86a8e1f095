"""A fitted model + its lists → how often each slot is examined, with intervals, in the form that attention reads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit, stdtrit

from ltexpo.columns import Columns
from ltexpo.errors import ConfigError
from ltexpo.progress import track
from ltexpo.simulate.clicks.em import Floats
from ltexpo.simulate.clicks.model import SlotModel
from ltexpo.simulate.clicks.sessions import Sessions

ALL = "all"
"""The curve over all surfaces."""


@dataclass(frozen=True)
class Curves:
    """Examination by rank: over all lists, and by surface where there are several."""

    table: pd.DataFrame
    """surface, rank, examination (never rising), fitted (before it was made so), low, high (of fitted), lists."""
    model: str
    level: float
    groups: int
    """Groups of users that the intervals are jackknifed over."""
    notes: list[str] = field(default_factory=list)

    def of(self, surface: str = ALL) -> pd.DataFrame:
        """One curve: rank, examination, low, high, surface. A Parquet of it can stand at `attention` of a re-ranking.

        Raises `ConfigError` on an unknown surface.
        """
        here = self.table[self.table["surface"] == surface]
        if here.empty:
            known = ", ".join(self.table["surface"].unique())
            raise ConfigError(f"surface '{surface}' has no curve; known: {known}.")
        return here[[Columns.Rank, "examination", "low", "high", "surface"]].reset_index(drop=True)

    def to_pandas(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def facts(self) -> dict[str, Any]:
        """What a report says of the curves."""
        return {
            "model": self.model, "level": self.level, "jackknife_groups": self.groups,
            "intervals": self._intervals, "notes": self.notes,
            "curves": self.table.to_dict("records"),
        }

    @property
    def _intervals(self) -> str:
        return f"the model fitted again without each of {self.groups} groups of users, before any levelling"

    def __str__(self) -> str:
        lines = [f"{'surface':<14}{'rank':>5}{'examination':>13}   {self.level:.0%} interval: {self._intervals}"]
        for row in self.table.itertuples():
            lines.append(
                f"{row.surface:<14}{row.rank:>5}{row.examination:>13.4f}   {row.low:.4f} to {row.high:.4f}"
            )
        return "\n".join([*lines, *self.notes])


def examination(model: SlotModel, sessions: Sessions, *, groups: int = 20, level: float = 0.95) -> Curves:
    """Mean over `sessions` of P(slot examined) under `model`, which was fitted on them.

    For the position-based model these are its parameters, with rank 1 as 1; for the others they depend on what was
    shown and are those of the logged lists. Intervals are delete-a-group jackknives on log-odds (Kott 2001): users (or
    lists, without users) fall into `groups`, the model is fitted again without each, and Student's t has groups − 1
    degrees of freedom; what the model gets wrong about how a user's lists hang together is therefore in them.

    A curve that rises somewhere is replaced by the nearest one that does not (least squares weighted by lists: isotonic
    regression), as a re-ranking fills its slots by attention; `notes` says where. Raises `ConfigError`.
    """
    if groups < 2:
        raise ConfigError(f"groups is {groups}; a jackknife needs at least 2.")
    codes = pd.factorize(sessions.clusters)[0]
    groups = min(groups, int(codes.max()) + 1)
    if groups < 2:
        raise ConfigError("all lists are of one user, so there is no interval. Give a log of several users.")
    # Spread by a fixed shuffle, as users may be ordered by anything.
    group = np.random.default_rng(0).permutation(codes.max() + 1)[codes] % groups
    whole = _means(model, sessions)
    parts = []
    for left in track(range(groups), f"{model.name} fitted without each group", total=groups):
        kept = sessions.rows(group != left)
        again = type(model)(
            prior_strength=model.prior_strength, tolerance=model.tolerance / 10, max_rounds=model.max_rounds
        ).fit(kept, start=model, errors=False)
        parts.append(_means(again, kept))
    spread = np.stack([logit(np.clip(part, 1e-9, 1 - 1e-9)) for part in parts])
    center = logit(np.clip(whole, 1e-9, 1 - 1e-9))
    error = np.sqrt((groups - 1) / groups * np.square(spread - spread.mean(axis=0)).sum(axis=0))
    half = error * float(stdtrit(groups - 1, 0.5 + level / 2))
    lists = _lists(sessions)
    names = [ALL, *sessions.surfaces] if len(sessions.surfaces) > 1 else [ALL]
    tables, notes = [], []
    for row, name in enumerate(names):
        there = lists[row] > 0
        fitted = whole[row][there]
        curve = never_rising(fitted, lists[row][there])
        moved = np.flatnonzero(np.abs(curve - fitted) > 1e-12)
        if len(moved):
            notes.append(
                f"surface {name}: examination rose somewhere and was levelled at rank {', '.join(map(str, moved + 1))}"
                f" (by up to {np.abs(curve - fitted).max():.4f})"
            )
        sure = error[row][there] < 1e-12
        tables.append(pd.DataFrame({
            "surface": name, Columns.Rank: np.flatnonzero(there) + 1, "examination": curve,
            "low": np.where(sure, fitted, expit(center[row] - half[row])[there]),
            "high": np.where(sure, fitted, expit(center[row] + half[row])[there]),
            "fitted": fitted, "lists": lists[row][there].astype(np.int64),
        }))
    return Curves(pd.concat(tables, ignore_index=True), model.name, level, groups, notes)


def file_name(surface: str, taken: set[str]) -> str:
    """A Parquet's name for the curve of `surface`, of letters that any file system takes; not one of `taken`."""
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in surface)[:60]
    name, n = f"examination-{plain}.parquet", 2
    while name in taken:
        name, n = f"examination-{plain}-{n}.parquet", n + 1
    taken.add(name)
    return str(Path(name))


def _lists(sessions: Sessions) -> Floats:
    """(1 + S, K) lists that have each rank: all, then by surface."""
    shown = sessions.shown
    by = [shown[sessions.surface == code].sum(axis=0) for code in range(len(sessions.surfaces))]
    return np.stack([shown.sum(axis=0), *by]).astype(np.float64)


def _means(model: SlotModel, sessions: Sessions) -> Floats:
    """(1 + S, K) mean P(examined) of each rank: all, then by surface; 0 where there is no such slot."""
    chance = np.nan_to_num(model.examination_probabilities(sessions.items, surface=sessions.surface))
    n = len(sessions.surfaces)
    totals = np.stack([chance[sessions.surface == code].sum(axis=0) for code in range(n)])
    totals = np.concatenate([totals.sum(axis=0)[None], totals])
    return totals / np.maximum(_lists(sessions), 1.0)


def never_rising(values: Floats, weights: Floats) -> Floats:
    """The nearest curve to `values` (k,) that does not rise, in least squares by `weights` (k,), kept within 0 to 1."""
    levelled = isotonic_regression(values, weights=weights, increasing=False).x
    curve: Floats = np.where(np.abs(levelled - values) < 1e-12, values, levelled)
    return np.clip(curve, 0.0, 1.0)
