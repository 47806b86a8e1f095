"""Rows shown at ranks + whether they were clicked → P(click | examined) and P(examined), a ridge logistic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, logit

from ltexpo.sparse import Csr

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Logistic:
    """P(click | examined) = σ(Σ_b blocks_b · weights_b), and P(examined) by rank."""

    weights: list[Floats]
    examination: Floats
    """(K,) P(examined) by rank, 1 at the first."""

    def predict(self, blocks: Sequence[Csr], *, offset: float = 0.0) -> Floats:
        """(n,) P(click | examined), with log-odds moved by `offset`."""
        logits = np.full(blocks[0].shape[0], offset)
        for block, weight in zip(blocks, self.weights, strict=True):
            logits += block @ weight
        probability: Floats = expit(logits)
        return probability


def fit_logistic(
    blocks: Sequence[Csr], clicked: npt.NDArray[np.bool_], penalties: Sequence[float],
    *, rank: npt.NDArray[np.int64] | None = None, depth: int = 1, examined: Floats | None = None,
    center: Floats | None = None,
) -> Logistic:
    """Maximise Σ_n log P(c_n) − ½ Σ_b penalties_b ‖weights_b − center_b‖², P(c_n = 1) = examination_rank(n) · σ(z_n).

    blocks: sparse (n, D_b), the first a column of ones. clicked: (n,). rank: (n,) from 1 to `depth`; without it all
    was examined, or with the chance `examined` (n,) where that is known. Examination and attraction are fitted
    together (position-based model: Richardson et al. 2007); the first rank is always examined, as only the product of
    the two is seen. A ridge is the Gaussian prior of a random effect, `center` (Σ_b D_b,) its mean: 0 where not
    given.
    """
    features = sparse.hstack(blocks, format="csr")
    transposed = features.T.tocsr()
    ridge = np.concatenate([np.full(block.shape[1], penalty) for block, penalty in zip(blocks, penalties, strict=True)])
    n_weights = features.shape[1]
    chance = np.ones(len(clicked)) if examined is None else examined
    middle = np.zeros(n_weights) if center is None else center
    place = np.zeros(len(clicked), dtype=np.int64) if rank is None else rank - 1

    def examination(found: Floats) -> Floats:
        return np.concatenate([[1.0], expit(found[n_weights:])])

    def loss(found: Floats) -> tuple[float, Floats]:
        weights, curve = found[:n_weights], examination(found)
        p, e = expit(features @ weights), curve[place] * chance
        hit, missed = np.maximum(e * p, 1e-300), np.maximum(1 - e * p, 1e-300)
        value = -np.where(clicked, np.log(hit), np.log(missed)).sum()
        value += 0.5 * (ridge * (weights - middle) ** 2).sum()
        to_logit = np.where(clicked, 1 - p, -e * p * (1 - p) / missed)
        fall = 1 - curve[place]
        to_curve = np.where(clicked, fall, -p * e * fall / missed)
        by_rank = np.bincount(place, weights=to_curve, minlength=depth)[1:]
        return float(value), np.r_[ridge * (weights - middle) - transposed @ to_logit, -by_rank]

    # From the mean at the first rank and the fall of clicks with rank few steps lead to the optimum.
    rows = np.maximum(np.bincount(place, minlength=depth), 1)
    rates = (np.bincount(place, weights=clicked, minlength=depth) + 0.5) / (rows + 1)
    start = np.zeros(n_weights + depth - 1)
    start[0] = logit(rates[0])
    start[n_weights:] = logit(np.clip(rates[1:] / rates[0], 0.05, 0.95))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-10}).x
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    return Logistic(np.split(found[:n_weights], ends), examination(found))
