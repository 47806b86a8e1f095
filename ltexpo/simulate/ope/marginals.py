"""A policy that fills slots one by one without repeating an item → P(item at rank), by Monte Carlo."""

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_STEPS = 200_000_000
"""Work allowed, in rows looked at; the draws are as many as fit."""
_FEWEST, _MOST = 16, 20_000


def marginals(
    starts: Integers, items: Integers, probabilities: Floats, n_ranks: int, rng: np.random.Generator
) -> Floats:
    """(N,) P(item at rank), for rows as `TargetPolicy` holds them.

    Lists are drawn from the top and the chance that each row then has at its rank is averaged (Rao–Blackwell), which is
    unbiased for any number of draws, so that estimators which weight by it stay so. Certain lists come out exactly.
    """
    draws = 1 if (probabilities == 1).all() else int(np.clip(_STEPS // (len(items) * n_ranks), _FEWEST, _MOST))
    averaged: Floats = _averaged(starts, items, probabilities, n_ranks, draws, rng)
    return averaged


@numba.njit(cache=True)
def _averaged(
    starts: Integers, items: Integers, probabilities: Floats, n_ranks: int, draws: int, rng: np.random.Generator
) -> Floats:
    total = np.zeros(len(items))
    above = np.empty(n_ranks, dtype=np.int64)
    for group in range((len(starts) - 1) // n_ranks):
        for _ in range(draws):
            for rank in range(n_ranks):
                first, last = starts[group * n_ranks + rank], starts[group * n_ranks + rank + 1]
                left = 0.0
                for row in range(first, last):
                    left += probabilities[row] * (not _stands(items[row], above, rank))
                if left <= 1e-9:
                    break
                wanted, reached, chosen = rng.random() * left, 0.0, -1
                for row in range(first, last):
                    if not _stands(items[row], above, rank):
                        total[row] += probabilities[row] / left
                        if reached <= wanted:
                            chosen = row
                        reached += probabilities[row]
                above[rank] = items[chosen]
    return total / draws


@numba.njit(cache=True)
def _stands(item: int, above: Integers, rank: int) -> bool:
    found = False
    for higher in range(rank):
        found = found or above[higher] == item
    return found
