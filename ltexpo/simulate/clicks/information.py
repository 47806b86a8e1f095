"""Score contributions at the maximum → standard errors of every parameter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

from ltexpo.simulate.clicks.em import Floats

_DENSE = 3_000
"""Parameters up to which the information is inverted whole."""


@dataclass(frozen=True)
class Errors:
    """Standard errors, NaN where nothing could be learnt, and the covariance of the slot parameters."""

    values: Floats
    """(P,)"""
    slots: Floats
    """(G, G)"""

    @classmethod
    def unknown(cls, n_items: int, n_slots: int) -> "Errors":
        """Errors that were not asked for."""
        return cls(np.full(n_items + n_slots, np.nan), np.full((n_slots, n_slots), np.nan))


def standard_errors(
    scores: sparse.csr_array, curvature: Floats, known: npt.NDArray[np.bool_], n_slots: int
) -> Errors:
    """Roots of the inverse information, which is the sum of outer products of the scores plus the prior's curvature.

    scores: (rows, P), independent rows, the last `n_slots` columns of slot parameters. curvature: (P,).
    known: (P,) parameters that are given or cannot be learnt; they count as fixed and get no error.

    The outer-product form is that of Berndt, Hall, Hall & Hausman (1974); it is exact for counts of Bernoulli draws.
    Up to 3,000 parameters the matrix is inverted whole. Above, slot parameters are still exact (by conjugate
    gradients); for a key's own parameters the correlation with those of other keys is left out.
    """
    free = np.flatnonzero(~known)
    taken = sparse.csr_array(scores[:, free])
    prior = curvature[free]
    size, n_free_slots = len(free), int((~known[len(known) - n_slots:]).sum())
    n_items = size - n_free_slots
    if size <= _DENSE:
        inverse = _inverse((taken.T @ taken).toarray() + np.diag(prior))
        variance, slots = np.diag(inverse), inverse[n_items:, n_items:]
    else:
        items, cells = sparse.csr_array(taken[:, :n_items]), sparse.csr_array(taken[:, n_items:])
        diagonal = np.asarray(items.multiply(items).sum(axis=0)).ravel() + prior[:n_items]
        cross = (items.T @ cells).toarray()
        solved = np.column_stack([
            _solve(items, prior[:n_items], diagonal, cross[:, g]) for g in range(n_free_slots)
        ]) if n_free_slots else np.zeros((n_items, 0))
        slots = _inverse((cells.T @ cells).toarray() + np.diag(prior[n_items:]) - cross.T @ solved)
        variance = np.concatenate([
            1 / diagonal + np.einsum("ig,gh,ih->i", solved, slots, solved), np.diag(slots)
        ])
    values = np.full(len(known), np.nan)
    values[free] = np.sqrt(np.where(variance > 0, variance, np.nan))
    covariance = np.full((n_slots, n_slots), np.nan)
    place = free[n_items:] - (len(known) - n_slots)
    covariance[np.ix_(place, place)] = slots
    return Errors(values, covariance)


def _inverse(matrix: Floats) -> Floats:
    try:
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        inverse = np.full(matrix.shape, np.nan)
    return inverse


def _solve(items: sparse.csr_array, prior: Floats, diagonal: Floats, right: Floats) -> Floats:
    size = len(prior)
    information = LinearOperator((size, size), matvec=lambda v: items.T @ (items @ v) + prior * v, dtype=np.float64)
    scaled = LinearOperator((size, size), matvec=lambda v: v / diagonal, dtype=np.float64)
    solution, _ = cg(information, right, rtol=1e-6, maxiter=500, M=scaled)
    return np.asarray(solution, dtype=np.float64)
