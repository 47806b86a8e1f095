"""Expected counts at any parameters → the parameters of highest posterior, by accelerated EM."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import expit

from ltexpo.simulate.clicks.draw import ClickParameters

Floats = npt.NDArray[np.float64]

_EDGE = 1e-9
"""Probabilities are kept this far from 0 and 1, where log-odds end."""
_WEAK = 1.0
"""Pseudo-observations, at a half, of every slot parameter: a cell of the log without data keeps a defined value."""


@dataclass(frozen=True)
class Theta:
    """All parameters of a click model."""

    attraction: Floats
    """(I,)"""
    satisfaction: Floats
    """(I,), or (0,) for models without."""
    slots: Floats
    """(G,) the examination parameters, in the order of the evidence's cells."""


@dataclass(frozen=True)
class Counts:
    """The E-step: expected trials and successes behind every parameter, and the log-likelihood where it was taken."""

    attraction: tuple[Floats, Floats]
    """Successes and trials, (I,) each."""
    satisfaction: tuple[Floats, Floats]
    slots: tuple[Floats, Floats]
    log_likelihood: float


class Evidence(Protocol):
    """What a log says under one click model."""

    @property
    def n_keys(self) -> int:
        """I."""

    @property
    def fixed(self) -> npt.NDArray[np.bool_]:
        """(G,) slot parameters that stay at their start."""

    def start(self) -> Floats:
        """(G,) where EM begins."""

    def expect(self, theta: Theta) -> Counts:
        """The E-step at `theta`."""

    def scores(self, theta: Theta) -> sparse.csr_array:
        """Rows of score contributions, (rows, I [+ I] + G), whose outer products sum to the information."""

    def parameters(self, slots: Floats) -> tuple[ClickParameters, ...]:
        """One set per surface."""

    def learnable(self) -> npt.NDArray[np.bool_]:
        """(G,) slot parameters that this log can tell apart from the attraction of keys."""


@dataclass(frozen=True)
class Prior:
    """Beta pseudo-counts of a kind of item parameter: `strength` trials, of which the share `mean` succeeded."""

    mean: float
    strength: float

    @classmethod
    def from_counts(cls, successes: Floats, trials: Floats, least: float) -> "Prior":
        """Mean and strength by moments: how much items differ beyond chance (Kleinman 1973), strength ≥ `least`.

        Items are not held to be more alike than the log can show (one standard error of what chance alone gives). With
        fewer than three items that were tried, how they differ is not known and the strength is `least`.
        """
        tried = trials > 1e-6
        success, trial = successes[tried], trials[tried]
        total = trial.sum()
        mean = float(np.clip(success.sum() / total, 1e-6, 1 - 1e-6)) if total > 0 else 0.5
        if tried.sum() < 3:
            return cls(mean, least)
        spread = float((trial * np.square(success / trial - mean)).sum()) / (mean * (1 - mean))
        free = tried.sum() - 1
        known = total - float(np.square(trial).sum()) / total - free
        if known <= 0:
            return cls(mean, least)
        alike = max(spread - free, np.sqrt(2 * free)) / known
        strength = float(max(1 / min(alike, 1.0) - 1, least))
        # items that differ are each an observation of the mean, however often they were tried
        weight = trial / (trial + strength)
        middle = float(np.clip((weight * success / trial).sum() / weight.sum(), 1e-6, 1 - 1e-6))
        return cls(middle, strength)

    def learnt(self, values: Floats, information: Floats, tried: Floats, least: float) -> "Prior":
        """The prior that the log shows, after a fit under this one gave `values`, (I,).

        information: (I,) the log's own about each value, worth values · (1 − values) · information Bernoulli trials.
        tried: (I,) expected trials, many of which are hidden; they say how those worth are spread over the items, as
        the information itself grows with the value and would favour high ones. What this prior had pulled a value
        towards its mean is taken back.
        """
        worth = float((values * (1 - values) * information).sum())
        trials = tried * (worth / tried.sum()) if tried.sum() > 0 else tried
        return self.from_counts(trials * values + self.strength * (values - self.mean), trials, least)

    def best(self, counts: tuple[Floats, Floats]) -> Floats:
        """The M-step."""
        successes, trials = counts
        return (successes + self.strength * self.mean) / (trials + self.strength)

    def log(self, values: Floats) -> float:
        """Log-density at `values`, up to a constant."""
        odds = self.mean * np.log(values) + (1 - self.mean) * np.log1p(-values)
        return self.strength * float(odds.sum())

    def curvature(self, values: Floats) -> Floats:
        """Minus the second derivative of `log` by each value."""
        curve: Floats = self.strength * (self.mean / values**2 + (1 - self.mean) / (1 - values) ** 2)
        return curve


SLOT_PRIOR = Prior(0.5, _WEAK)


@dataclass(frozen=True)
class Maximum:
    """Where EM ended."""

    theta: Theta
    log_posterior: float
    rounds: int
    """E-steps taken."""
    converged: bool


def maximise(
    evidence: Evidence, start: Theta, attraction: Prior, satisfaction: Prior, *, tolerance: float, max_rounds: int,
    hold_slots: bool = False,
) -> Maximum:
    """EM (Dempster, Laird & Rubin 1977), accelerated by SQUAREM S3 on log-odds (Varadhan & Roland 2008).

    An extrapolation is kept only where it raises the posterior above EM's own step, so the posterior never falls.
    Ends when three E-steps together gain less than `tolerance`, or after `max_rounds`. hold_slots: slot parameters stay
    where they start.
    """
    n, m = len(start.attraction), len(start.satisfaction)
    free = np.zeros_like(evidence.fixed) if hold_slots else ~evidence.fixed

    def unpack(x: Floats) -> Theta:
        values = np.clip(expit(x), _EDGE, 1 - _EDGE)
        slots = start.slots.copy()
        slots[free] = values[n + m:]
        return Theta(values[:n], values[n:n + m], slots)

    def pack(theta: Theta) -> Floats:
        values = np.clip(np.concatenate([theta.attraction, theta.satisfaction, theta.slots[free]]), _EDGE, 1 - _EDGE)
        odds: Floats = np.log(values) - np.log1p(-values)
        return odds

    def step(x: Floats) -> tuple[Floats, float]:
        theta = unpack(x)
        counts = evidence.expect(theta)
        value = counts.log_likelihood + attraction.log(theta.attraction) + SLOT_PRIOR.log(theta.slots[free])
        if m:
            value += satisfaction.log(theta.satisfaction)
        best = Theta(
            attraction.best(counts.attraction), satisfaction.best(counts.satisfaction) if m else theta.satisfaction,
            SLOT_PRIOR.best(counts.slots),
        )
        return pack(best), value

    return _squarem(step, pack(start), unpack, tolerance, max_rounds)


def _squarem(
    step: Callable[[Floats], tuple[Floats, float]], x: Floats, unpack: Callable[[Floats], Theta], tolerance: float,
    max_rounds: int,
) -> Maximum:
    x1, value = step(x)
    rounds = 1
    while True:
        x2, value1 = step(x1)
        rounds += 1
        change, bend = x1 - x, (x2 - x1) - (x1 - x)
        length = np.sqrt(np.square(bend).sum())
        stride = max(np.sqrt(np.square(change).sum()) / length, 1.0) if length > 0 else 1.0
        # Where the stretch overshoots, a shorter one is tried before EM's own step is taken.
        for factor in (stride, (stride + 1) / 2, 1.0):
            trial = x + 2 * factor * change + factor**2 * bend
            if factor == 1.0:
                trial = x2
            next_x, next_value = step(trial)
            rounds += 1
            if next_value >= value1 or factor == 1.0:
                break
        gain = next_value - value
        x, x1, value = trial, next_x, next_value
        if gain < tolerance:
            return Maximum(unpack(x), value, rounds, True)
        if rounds >= max_rounds:
            return Maximum(unpack(x), value, rounds, False)
