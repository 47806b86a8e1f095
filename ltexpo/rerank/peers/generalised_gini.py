"""Lists and groups with a due share → lists of greatest clicks + λ × generalised Gini welfare of exposure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.rerank.peers.frank_wolfe import State, Tilt, frank_wolfe
from ltexpo.rerank.peers.peer import Market, Slots, checked
from ltexpo.rerank.permutohedron import on_permutohedron


@dataclass(frozen=True)
class GeneralisedGini:
    """Maximises clicks + λ E Σ_j w_j x_(j) / P, x = exposure ÷ due, from least to greatest, w falling with mean 1.

    Do & Usunier, *Optimizing generalized Gini indices for fairness in rankings*, SIGIR 2022 (2204.06521), here with the
    weights of the Gini index, w_j ∝ 2 (P - j) + 1. The welfare is not smooth; Frank–Wolfe follows its Moreau envelope,
    whose gradient is the projection of -x / β_t on the permutahedron of w (isotonic regression), β_t = β / √t. λ is the
    boost in score units that a group of middle rank gets, at most twice that for the poorest.
    """

    smoothing: float = 1.0
    n_steps: int = 60
    name: str = "generalised_gini"
    paper: str = "Do & Usunier, SIGIR 2022"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1.0, 2.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ."""
        weight = checked(strength, self.name)
        active = market.due > 0
        n = int(active.sum())
        falling = (2.0 * (n - np.arange(n)) - 1.0) / max(n, 1)
        due = market.due[active] * max(market.total_exposure, 1e-300)

        def gradient(state: State, step: int) -> Tilt:
            boost = np.zeros(market.n_groups)
            lag = -state.exposure[active] / due
            boost[active] = weight * on_permutohedron(lag * np.sqrt(step) / self.smoothing, falling)
            return Tilt(boost=boost)

        return frank_wolfe(market, gradient, self.n_steps)
