"""Who takes part: U users with their usual visit rate, budget and day of arrival."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from scipy.special import ndtri

from ltexpo.simulate.behaviour import uniforms as draw
from ltexpo.simulate.behaviour.settings import BehaviourSettings

Floats = npt.NDArray[np.float64]

_WITHOUT_LOG = 0.5
"""Visits a day."""
_ALWAYS = -(2**31)
"""The first day of those who were there before."""


@dataclass(frozen=True)
class People:
    """The same in every arm."""

    rate: Floats
    """(U,) visits a day while satisfied as usual."""
    budget: Floats
    """(U,) what is left to spend in 30 days; infinite without a budget."""
    arrives: npt.NDArray[np.int64]
    """(U,) first day of the test for those who come during it; far before it for the others."""

    def __len__(self) -> int:
        return len(self.rate)

    @classmethod
    def draw(
        cls, n: int, settings: BehaviourSettings, seed: int, *, days: int, activity: Floats | None = None
    ) -> "People":
        """`n` users; `activity` (n,) are their visits a day where a log tells (see `visit_rates`)."""
        if activity is None:
            spread = settings.activity_spread
            activity = _WITHOUT_LOG * np.exp(spread * _normal(seed, n, draw.RATE) - spread**2 / 2)
        rate = activity
        if settings.visits_per_day is not None:
            rate = settings.visits_per_day * activity / activity.mean()
        budget = np.full(n, np.inf)
        if settings.budget is not None:
            spread = settings.budget_spread
            budget = settings.budget * np.exp(spread * _normal(seed, n, draw.BUDGET) - spread**2 / 2)
        # One uniform decides both whether a user is new and, among the new, on which day she arrives.
        place = uniforms_of(seed, n, draw.ARRIVAL)
        new = place < settings.new_users
        day = np.floor(place / settings.new_users * days) if settings.new_users else np.zeros(n)
        return cls(rate, budget, np.where(new, day, _ALWAYS).astype(np.int64))


def uniforms_of(seed: int, n: int, what: int) -> Floats:
    """(n,) one uniform of each user for `what` (see `uniforms`)."""
    out = np.empty(n)
    _uniforms(np.uint64(seed), what, out)
    return out


def _normal(seed: int, n: int, what: int) -> Floats:
    # Half a step keeps the quantile finite at 0.
    return np.asarray(ndtri(uniforms_of(seed, n, what) + 2.0**-54), dtype=np.float64)


@njit(parallel=True, cache=True)
def _uniforms(seed, what, out):
    for user in prange(len(out)):
        out[user] = draw.uniform(draw.mix(draw.mix(seed, what), -1), user)
