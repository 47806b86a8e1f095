"""Lists and clicks → a fitted click model: slot parameters, attractions and their errors."""

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import numpy as np

from ltexpo.columns import Columns
from ltexpo.errors import ConfigError, TableError
from ltexpo.progress import logged
from ltexpo.simulate.clicks.draw import DBN, ClickParameters
from ltexpo.simulate.clicks.em import SLOT_PRIOR, Evidence, Floats, Maximum, Prior, Theta, maximise
from ltexpo.simulate.clicks.fitted_model import FittedModel
from ltexpo.simulate.clicks.information import Errors, standard_errors
from ltexpo.simulate.clicks.sessions import Sessions

log = logging.getLogger("ltexpo")

_WEAK_STRENGTH = 0.5
"""Pseudo-impressions of a key while slot parameters are learnt."""


class SlotModel(FittedModel):
    """The five models: P(click) = P(slot examined | clicks above) · attraction of the key; they differ in the first.

    Fitted by maximum posterior: attraction (and DBN's satisfaction) of keys have a Beta prior of `prior_strength`
    pseudo-impressions at the mean of all keys, which keeps keys that were shown a few times from 0 and 1. With None,
    slot parameters are learnt under a prior of half a pseudo-impression, and then the keys under one whose strength
    follows from how much they differ beyond chance (empirical Bayes by moments). Slot parameters have one
    pseudo-observation at a half.

    tolerance: EM ends when three steps gain less log-posterior per impression. max_rounds: E-steps at most; a fit that
    needs more is said to be unconverged, in the log and in `converged_`.
    """

    def __init__(
        self, *, prior_strength: float | None = None, tolerance: float = 1e-10, max_rounds: int = 1_000
    ) -> None:
        if prior_strength is not None and not prior_strength > 0:
            raise ConfigError(f"prior_strength is {prior_strength}; give a number above 0, or None to learn it.")
        if not tolerance > 0 or max_rounds < 3:
            raise ConfigError(f"tolerance is {tolerance} and max_rounds {max_rounds}; they must be above 0 and 2.")
        self.prior_strength, self.tolerance, self.max_rounds = prior_strength, tolerance, max_rounds

    @abstractmethod
    def _evidence(self, sessions: Sessions) -> Evidence:
        """What the lists say under this model."""

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

    def _say(self, note: str) -> None:
        self.notes_.append(note)


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
