"""A click model's parameters → chances, likelihoods and clicks of any lists, and tables of what was learnt."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from ltexpo.errors import ConfigError, TableError
from ltexpo.simulate.clicks import kernels
from ltexpo.simulate.clicks.draw import DBN, KINDS, ClickParameters
from ltexpo.simulate.clicks.em import Floats, Prior
from ltexpo.simulate.clicks.sessions import Codes, Sessions

Items = npt.NDArray[np.integer[Any]]
Clicks = npt.NDArray[np.bool_]

FLOOR = 1e-6
"""Probabilities are kept this far from 0 and 1 in a log-likelihood: the cascade model gives later clicks chance 0."""
_CHUNK = 1 << 18


class ClickModel(Protocol):
    """What every click model does. R lists of up to n slots; items (R, n) hold key codes, −1 below a list's end."""

    @property
    def name(self) -> str:
        """The model's short name."""

    def fit(self, sessions: Sessions) -> Self:
        """Learn from `sessions`; raises `TableError` where they cannot tell."""

    def click_probabilities(self, items: Items, *, surface: Codes | None = None) -> Floats:
        """(R, n) P(click in each slot), nothing known of other clicks; NaN where nothing stands."""

    def conditional(self, items: Items, clicks: Clicks, *, surface: Codes | None = None) -> Floats:
        """(R, n) P(click in each slot | the clicks above it); NaN where nothing stands."""

    def log_likelihood(self, items: Items, clicks: Clicks, *, surface: Codes | None = None) -> Floats:
        """(R,) log P(the clicks of each list)."""

    def simulate(self, items: Items, rng: int | np.random.Generator, *, surface: Codes | None = None) -> Clicks:
        """(R, n) clicks drawn for every list."""


class FittedModel(ABC):
    """What the five models know once they are fitted, and what follows from it; see `SlotModel`."""

    kind: ClassVar[int]
    shape: ClassVar[str]
    """What the slot parameters are called."""

    parameters_: tuple[ClickParameters, ...]
    """Slot parameters of each surface."""
    surfaces_: tuple[str, ...]
    keys_: pd.DataFrame
    attraction_: Floats
    """(I,) P(click | examined) of each key."""
    satisfaction_: Floats
    """(I,) P(satisfied | clicked) of DBN; 0 of the others."""
    attraction_error_: Floats
    """(I,) standard errors; the prior counts as data, so a key that was never shown has the prior's spread."""
    satisfaction_error_: Floats
    priors_: dict[str, Prior]
    converged_: bool
    rounds_: int
    log_likelihood_: float
    """Of the lists that were fitted on."""
    slot_values_: Floats
    """(G,) slot parameters in the order of `estimates`."""
    slot_errors_: Floats
    """(G,)"""
    slot_covariance_: Floats
    """(G, G); NaN where a parameter is fixed or cannot be learnt."""
    notes_: list[str]
    """What a reader of the fit must know."""

    @property
    def name(self) -> str:
        """The model's short name."""
        return KINDS[self.kind]

    @abstractmethod
    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        """One row per slot parameter: surface (code), rank, after (rank of the last click above)."""

    def estimates(self, *, level: float = 0.95) -> pd.DataFrame:
        """Slot parameters: parameter, surface, rank, after, value, error, low, high; intervals are made on log-odds.

        A parameter that is fixed has error 0; one that the log cannot tell has none, and no interval.
        """
        self._fitted()
        labels = self._labels(len(self.surfaces_), self.parameters_[0].k)
        low, high = _interval(self.slot_values_, self.slot_errors_, level)
        names = np.asarray(self.surfaces_, dtype=object)[labels["surface"].to_numpy(dtype=np.int64)]
        return labels.assign(
            parameter=self.shape, surface=names, value=self.slot_values_, error=self.slot_errors_, low=low, high=high
        )[["parameter", "surface", "rank", "after", "value", "error", "low", "high"]]

    def to_pandas(self) -> pd.DataFrame:
        """The slot parameters: see `estimates`."""
        return self.estimates()

    def key_estimates(self) -> pd.DataFrame:
        """Keys: their columns, attraction and its error, and DBN's satisfaction and its error."""
        self._fitted()
        table = self.keys_.assign(attraction=self.attraction_, attraction_error=self.attraction_error_)
        if self.kind == DBN:
            table = table.assign(satisfaction=self.satisfaction_, satisfaction_error=self.satisfaction_error_)
        return table

    def click_probabilities(self, items: Items, *, surface: Codes | None = None) -> Floats:
        """(R, n) P(click in each slot), nothing known of other clicks; NaN where nothing stands.

        Keys with codes beyond those fitted have the prior's mean attraction.
        """
        attraction = self._arrays()[-2]
        codes = self._codes(items)
        clicked: Floats = self.examination_probabilities(items, surface=surface) * attraction[codes]
        return clicked

    def examination_probabilities(self, items: Items, *, surface: Codes | None = None) -> Floats:
        """(R, n) P(each slot is examined), nothing known of clicks; NaN where nothing stands."""
        codes = self._codes(items)
        out = np.empty(codes.shape)
        kernels.marginal(self.kind, *self._arrays(), self._surface(surface, codes), codes, out)
        return out

    def conditional(self, items: Items, clicks: Clicks, *, surface: Codes | None = None) -> Floats:
        """(R, n) P(click in each slot | the clicks above it); NaN where nothing stands."""
        codes = self._codes(items)
        if np.shape(clicks) != codes.shape:
            raise TableError(f"clicks has shape {np.shape(clicks)}, items {codes.shape}. Give one per slot.")
        out = np.empty(codes.shape)
        kernels.conditional(
            self.kind, *self._arrays(), self._surface(surface, codes), codes, np.asarray(clicks, np.bool_), out
        )
        return out

    def log_likelihood(self, items: Items, clicks: Clicks, *, surface: Codes | None = None) -> Floats:
        """(R,) log P(the clicks of each list), every probability kept `FLOOR` from 0 and 1."""
        chance = np.clip(self.conditional(items, clicks, surface=surface), FLOOR, 1 - FLOOR)
        total: Floats = np.nansum(np.where(clicks, np.log(chance), np.log1p(-chance)), axis=1)
        return total

    def simulate(self, items: Items, rng: int | np.random.Generator, *, surface: Codes | None = None) -> Clicks:
        """(R, n) clicks drawn for every list; the same `rng` gives the same clicks."""
        generator = np.random.default_rng(rng)
        codes = self._codes(items)
        surfaces, arrays = self._surface(surface, codes), self._arrays()
        clicks = np.zeros(codes.shape, dtype=np.bool_)
        for first in range(0, len(codes), _CHUNK):
            part = slice(first, first + _CHUNK)
            uniforms = generator.random((len(codes[part]), 2 * codes.shape[1]))
            kernels.simulate(self.kind, *arrays, surfaces[part], codes[part], uniforms, clicks[part])
        return clicks

    def facts(self) -> dict[str, Any]:
        """What a report says of the fit."""
        self._fitted()
        return {
            "model": self.name, "converged": self.converged_, "rounds": self.rounds_,
            "log_likelihood": self.log_likelihood_, "slot_parameters": len(self.slot_values_),
            "keys": len(self.attraction_),
            "priors": {
                name: {"mean": prior.mean, "pseudo_impressions": prior.strength} for name, prior in self.priors_.items()
            },
            # Bounds are left to the curves, so that no number has two: see `examination`.
            "notes": self.notes_, "errors": "of single lists, taken as independent, if the model is right",
            "parameters": self.estimates().drop(columns=["low", "high"]).to_dict("records"),
        }

    def __str__(self) -> str:
        if not hasattr(self, "parameters_"):
            return f"{self.name}, not fitted"
        lines = [f"{self.name}: {'converged' if self.converged_ else 'NOT converged'} in {self.rounds_} rounds"]
        for row in self.estimates().to_dict("records"):
            after = f" after a click at {row['after']}" if row["after"] else ""
            place = f"{row['surface']}, " if len(self.surfaces_) > 1 else ""
            rank = f"rank {row['rank']}" if row["rank"] else "all ranks"
            lines.append(
                f"  {self.shape}, {place}{rank}{after}: {row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
            )
        return "\n".join([*lines, *self.notes_])

    def _fitted(self) -> None:
        if not hasattr(self, "parameters_"):
            raise ConfigError(f"{self.name} is not fitted. Call fit first.")

    def _arrays(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Slot parameters, and of keys attraction and satisfaction with a last entry for unknown keys."""
        self._fitted()
        made = self.parameters_
        satisfaction = self.priors_["satisfaction"].mean if self.kind == DBN else 0.0
        return (
            np.stack([part.examination for part in made]), np.stack([part.after_click for part in made]),
            np.stack([part.after_skip for part in made]),
            np.append(self.attraction_, self.priors_["attraction"].mean), np.append(self.satisfaction_, satisfaction),
        )

    def _codes(self, items: Items) -> npt.NDArray[np.int64]:
        self._fitted()
        codes = np.asarray(items)
        k = self.parameters_[0].k
        if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
            raise TableError(f"items has shape {codes.shape} of {codes.dtype}; give (R, n) codes, one row per list.")
        if codes.shape[1] > k:
            raise TableError(f"the lists have {codes.shape[1]} slots, {self.name} was fitted on {k}. Cut them to {k}.")
        return np.minimum(codes.astype(np.int64), len(self.attraction_))

    def _surface(self, surface: Codes | None, codes: npt.NDArray[np.int64]) -> Codes:
        if surface is None:
            if len(self.surfaces_) > 1:
                raise TableError(f"{self.name} has surfaces {', '.join(self.surfaces_)}. Give the code of each list's.")
            return np.zeros(len(codes), dtype=np.int64)
        given = np.asarray(surface, dtype=np.int64)
        if given.shape != (len(codes),) or ((given < 0) | (given >= len(self.surfaces_))).any():
            raise TableError(f"surface must hold {len(codes)} codes from 0 to {len(self.surfaces_) - 1}.")
        return given


def _interval(values: Floats, errors: Floats, level: float) -> tuple[Floats, Floats]:
    """Delta-method interval on log-odds, mapped back; the value itself where the error is 0."""
    inside = np.clip(values, 1e-12, 1 - 1e-12)
    odds = np.log(inside) - np.log1p(-inside)
    half = float(norm.ppf(0.5 + level / 2)) * errors / (inside * (1 - inside))
    low, high = (1 / (1 + np.exp(-np.clip(end, -700, 700))) for end in (odds - half, odds + half))
    fixed = errors == 0
    return np.where(fixed, values, low), np.where(fixed, values, high)
