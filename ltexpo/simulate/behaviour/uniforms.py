"""A seed and where we are (user, day, visit, what for) → a uniform number, the same in every arm and on any core.

Common random numbers (Glasserman & Yao 1992): a draw depends on what it decides, not on how many draws came before, so
two arms that show a user the same item in the same visit see the same outcome, and only what differs differs. The
mixing function is SplitMix64 (Steele, Lea & Flood 2014).
"""

import numba
import numpy as np

VISITS, REQUEST, EXAMINE, CLICK, BUY, LEAVE, RATE, BUDGET, ARRIVAL, ARM = range(1, 11)
"""What a draw decides."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@numba.njit(inline="always")
def mix(state, word):
    """A new 64-bit state from `state` and one more `word` of where we are."""
    z = (state ^ np.uint64(word)) + _GOLDEN
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@numba.njit(inline="always")
def uniform(state, word):
    """A number in [0, 1) of 53 random bits."""
    return np.float64(mix(state, word) >> _11) * (1.0 / 9007199254740992.0)


@numba.njit(inline="always")
def poisson(u, mean):
    """The smallest n with P(Poisson(mean) ≤ n) > u: inversion, so that more visits are due where `mean` is larger."""
    probability = np.exp(-mean)
    total, n = probability, 0
    while u >= total and n < 1000:
        n += 1
        probability *= mean / n
        total += probability
    return n
