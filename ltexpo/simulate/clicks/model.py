"""Lists and clicks → a fitted click model: slot parameters, attractions, their errors, and what follows from them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from ltexpo.columns import Columns
from ltexpo.errors import ConfigError, TableError
from ltexpo.progress import logged
from ltexpo.simulate.clicks import kernels
from ltexpo.simulate.clicks.draw import DBN, KINDS, ClickParameters
from ltexpo.simulate.clicks.em import SLOT_PRIOR, Evidence, Floats, Maximum, Prior, Theta, maximise
from ltexpo.simulate.clicks.information import Errors, standard_errors
from ltexpo.simulate.clicks.sessions import Codes, Sessions

log = logging.getLogger("ltexpo")

Items = npt.NDArray[np.integer[Any]]
Clicks = npt.NDArray[np.bool_]

FLOOR = 1e-6
"""Probabilities are kept this far from 0 and 1 in a log-likelihood: the cascade model gives later clicks chance 0."""
_WEAK_STRENGTH = 0.5
"""Pseudo-impressions of a key while slot parameters are learnt."""
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


class SlotModel(ABC):
    """The five models: P(click) = P(slot examined | clicks above) · attraction of the key; they differ in the first.

    Fitted by maximum posterior: attraction (and DBN's satisfaction) of keys have a Beta prior of `prior_strength`
    pseudo-impressions at the mean of all keys, which keeps keys that were shown a few times from 0 and 1. With None,
    slot parameters are learnt under a prior of half a pseudo-impression, and then the keys under one whose strength
    follows from how much they differ beyond chance (empirical Bayes by moments). Slot parameters have one
    pseudo-observation at a half.

    tolerance: EM ends when three steps gain less log-posterior per impression. max_rounds: E-steps at most; a fit that
    needs more is said to be unconverged, in the log and in `converged_`.
    """

    kind: ClassVar[int]
    shape: ClassVar[str]
    """What the slot parameters are called."""

    def __init__(
        self, *, prior_strength: float | None = None, tolerance: float = 1e-10, max_rounds: int = 1_000
    ) -> None:
        if prior_strength is not None and not prior_strength > 0:
            raise ConfigError(f"prior_strength is {prior_strength}; give a number above 0, or None to learn it.")
        if not tolerance > 0 or max_rounds < 3:
            raise ConfigError(f"tolerance is {tolerance} and max_rounds {max_rounds}; they must be above 0 and 2.")
        self.prior_strength, self.tolerance, self.max_rounds = prior_strength, tolerance, max_rounds

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
    def _evidence(self, sessions: Sessions) -> Evidence:
        """What the lists say under this model."""

    @abstractmethod
    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        """One row per slot parameter: surface (code), rank, after (rank of the last click above)."""

    def _notes(self, sessions: Sessions, evidence: Evidence) -> list[str]:
        """What to say about a fit; may refuse."""
        return []

    def fit(self, sessions: Sessions, *, start: "SlotModel | None" = None, errors: bool = True) -> Self:
        """Learn from `sessions`.

        start: a fitted model of the same kind and keys to begin from, whose priors are kept. errors: without, the
        standard errors stay NaN, which saves most of the time of a fit on thousands of keys.

        Raises `TableError` when there are no clicks or only clicks, fewer than two lists, or when nothing tells
        attraction and examination apart; `ConfigError` when `start` does not fit the lists.
        """
        _refuse(sessions)
        if start is not None:
            _refuse_start(start, self, sessions)
        evidence = self._evidence(sessions)
        self.notes_ = self._notes(sessions, evidence)
        with logged(f"{self.name} fitted on {sessions.impressions:,} impressions"):
            best, priors = self._climb(sessions, evidence, start)
        self.priors_ = priors
        self.converged_, self.rounds_ = best.converged, best.rounds
        if not best.converged:
            self._say(f"EM had not converged after {best.rounds} rounds; raise max_rounds or tolerance")
        for note in self.notes_:
            log.warning("%s: %s.", self.name, note)
        self._take(sessions, evidence, best.theta, errors)
        return self

    def _climb(
        self, sessions: Sessions, evidence: Evidence, start: "SlotModel | None"
    ) -> tuple[Maximum, dict[str, Prior]]:
        shown = sessions.shown
        impressions = np.bincount(sessions.items[shown], minlength=evidence.n_keys).astype(np.float64)
        clicks = np.bincount(sessions.items[shown & sessions.clicks], minlength=evidence.n_keys).astype(np.float64)
        total = float(impressions.sum())
        strength = self.prior_strength or _WEAK_STRENGTH
        attraction, satisfaction = Prior(float(clicks.sum()) / total, strength), Prior(0.5, strength)
        theta = Theta(
            attraction.best((clicks, impressions)),
            np.full(evidence.n_keys if self.kind == DBN else 0, 0.5),
            evidence.start(),
        )
        rounds = 0

        def climb(tolerance: float, *, hold_slots: bool = False) -> Maximum:
            nonlocal theta, rounds
            best = maximise(
                evidence, theta, attraction, satisfaction, tolerance=tolerance * total,
                max_rounds=max(3, self.max_rounds - rounds), hold_slots=hold_slots,
            )
            theta, rounds = best.theta, rounds + best.rounds
            return best

        if start is not None:
            pleased = start.satisfaction_ if self.kind == DBN else theta.satisfaction
            theta = Theta(start.attraction_, pleased, start.slot_values_)
        # The prior's mean follows from the fit and the fit from the mean: coarse climbs, then a fine one.
        for tolerance in (1e-5, 1e-6) if start is None else ():
            climb(tolerance)
            attraction, satisfaction = (
                Prior(prior.mean, strength) for prior in self._priors(evidence, theta, attraction, satisfaction)
            )
        if start is not None:
            attraction = Prior(start.priors_["attraction"].mean, strength)
            satisfaction = Prior(start.priors_["satisfaction"].mean if self.kind == DBN else 0.5, strength)
        best = climb(self.tolerance)
        converged = best.converged
        if self.prior_strength is None:
            # Slots keep the values of the weak prior: pulling keys together would pull the slots too.
            attraction, satisfaction = self._priors(evidence, theta, attraction, satisfaction)
            best = climb(self.tolerance, hold_slots=True)
            converged = converged and best.converged
        priors = {"attraction": attraction} | ({"satisfaction": satisfaction} if self.kind == DBN else {})
        return Maximum(theta, best.log_posterior, rounds, converged), priors

    def _priors(
        self, evidence: Evidence, theta: Theta, attraction: Prior, satisfaction: Prior
    ) -> tuple[Prior, Prior]:
        """Priors by moments, from what the log itself says of each key at `theta`."""
        scores = evidence.scores(theta)
        known = np.asarray(scores.multiply(scores).sum(axis=0)).ravel()
        counts = evidence.expect(theta)
        n, n_sat = len(theta.attraction), len(theta.satisfaction)
        first, second = (
            prior.learnt(values, information, tried, _WEAK_STRENGTH) if len(values) else prior
            for prior, values, information, tried in (
                (attraction, theta.attraction, known[:n], counts.attraction[1]),
                (satisfaction, theta.satisfaction, known[n:n + n_sat], counts.satisfaction[1]),
            )
        )
        return first, second

    def _take(self, sessions: Sessions, evidence: Evidence, theta: Theta, errors: bool) -> None:
        """Keep what was found."""
        n, n_sat = len(theta.attraction), len(theta.satisfaction)
        self.attraction_ = theta.attraction
        self.satisfaction_ = theta.satisfaction if n_sat else np.zeros(n)
        self.surfaces_, self.keys_ = sessions.surfaces, sessions.keys
        self.parameters_ = evidence.parameters(theta.slots)
        self.slot_values_ = theta.slots
        found = self._errors(evidence, theta) if errors else Errors.unknown(n + n_sat, len(theta.slots))
        self.attraction_error_ = found.values[:n]
        self.satisfaction_error_ = found.values[n:n + n_sat] if n_sat else np.zeros(n)
        self.slot_errors_, self.slot_covariance_ = found.values[n + n_sat:].copy(), found.slots
        self.slot_errors_[evidence.fixed] = 0.0
        self.log_likelihood_ = float(
            self.log_likelihood(sessions.items, sessions.clicks, surface=sessions.surface).sum()
        )

    def _errors(self, evidence: Evidence, theta: Theta) -> Errors:
        """Of keys under the priors they were fitted with; of slots under the weak one, if that is what made them."""
        given = np.zeros(len(theta.attraction) + len(theta.satisfaction), dtype=np.bool_)
        known = np.concatenate([given, evidence.fixed | ~evidence.learnable()])
        scores = evidence.scores(theta)
        slots = SLOT_PRIOR.curvature(np.clip(theta.slots, 1e-9, 1 - 1e-9))

        def under(priors: dict[str, Prior]) -> Errors:
            curvature = [priors["attraction"].curvature(theta.attraction)]
            if self.kind == DBN:
                curvature.append(priors["satisfaction"].curvature(theta.satisfaction))
            return standard_errors(scores, np.concatenate([*curvature, slots]), known, len(theta.slots))

        found = under(self.priors_)
        if self.prior_strength is not None or known[len(given):].all():
            return found
        weak = under({name: Prior(prior.mean, _WEAK_STRENGTH) for name, prior in self.priors_.items()})
        n = len(given)
        return Errors(np.concatenate([found.values[:n], weak.values[n:]]), weak.slots)

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

    def _say(self, note: str) -> None:
        self.notes_.append(note)

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


def split_slots(
    slots: Floats, n_surfaces: int, make: Callable[[Floats], ClickParameters]
) -> tuple[ClickParameters, ...]:
    """Equal parts of `slots` (G,), one per surface, each made into parameters."""
    return tuple(make(part) for part in slots.reshape(n_surfaces, -1))


def _refuse(sessions: Sessions) -> None:
    if len(sessions) < 2:
        raise TableError(f"{len(sessions)} list is too few to learn a click model from. Give a log of many requests.")
    clicks, shown = int(sessions.clicks.sum()), sessions.impressions
    if clicks == 0:
        raise TableError(
            f"none of the {shown:,} impressions was clicked, so nothing is known about examination. Check that clicks "
            f"carry the {Columns.Request} and {Columns.Item} of their impression."
        )
    if clicks == shown:
        raise TableError(
            f"every one of the {shown:,} impressions was clicked, so nothing tells what was not examined. Log "
            "impressions that were not clicked too."
        )


def _refuse_start(start: SlotModel, model: SlotModel, sessions: Sessions) -> None:
    start._fitted()
    same = start.kind == model.kind and start.surfaces_ == sessions.surfaces and start.parameters_[0].k == sessions.k
    if not same or not start.keys_.equals(sessions.keys):
        raise ConfigError(
            f"start is a {start.name} of other slots, surfaces or keys than the lists. Make the lists like those that "
            "it was fitted on (Sessions.of(…, like=…))."
        )


def _interval(values: Floats, errors: Floats, level: float) -> tuple[Floats, Floats]:
    """Delta-method interval on log-odds, mapped back; the value itself where the error is 0."""
    inside = np.clip(values, 1e-12, 1 - 1e-12)
    odds = np.log(inside) - np.log1p(-inside)
    half = float(norm.ppf(0.5 + level / 2)) * errors / (inside * (1 - inside))
    low, high = (1 / (1 + np.exp(-np.clip(end, -700, 700))) for end in (odds - half, odds + half))
    fixed = errors == 0
    return np.where(fixed, values, low), np.where(fixed, values, high)
