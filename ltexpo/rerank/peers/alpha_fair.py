"""Lists and groups with a due share → lists of greatest clicks + λ × α-fair welfare of exposure, by Frank–Wolfe."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.rerank.peers.frank_wolfe import State, Tilt, frank_wolfe
from ltexpo.rerank.peers.peer import Market, Slots, checked


@dataclass(frozen=True)
class AlphaFair:
    """Maximises Σ_r ψ_β(clicks of r) + λ E Σ_p d_p ψ_α(v_p / (d_p E) + ε), v exposure, d due shares, E their total.

    Do, Corbett-Davies, Atif & Usunier, *Two-sided fairness in rankings via Lorenz dominance*, NeurIPS 2021
    (2110.15781): ψ_α(x) = x^α / α, log x for α = 0, -x^α for α < 0 (up to a positive factor); α ≤ 1, less is fairer.
    `user_alpha` β = 1 counts clicks, as the other methods do. The scaling makes λ the boost, in score units, of a
    group at exactly its due; the paper has one utility an item and weights (1 - λ, λ). The answer of Frank–Wolfe is
    randomised; see `frank_wolfe` for how integral lists are drawn from it.
    """

    alpha: float = 0.0
    user_alpha: float = 1.0
    epsilon: float = 1e-3
    n_steps: int = 60
    name: str = "alpha_fair"
    paper: str = "Do et al., NeurIPS 2021"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (
        0.0, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0,
    )  # fmt: skip

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ."""
        weight = checked(strength, self.name)
        due = market.due * market.total_exposure
        safe = np.where(due > 0, due, 1.0)

        def gradient(state: State, step: int) -> Tilt:
            boost = np.where(due > 0, weight * (state.exposure / safe + self.epsilon) ** (self.alpha - 1.0), 0.0)
            if self.user_alpha == 1.0:
                return Tilt(boost=boost)
            served = np.maximum(state.list_clicks, 0.0) + self.epsilon
            return Tilt(boost=boost, list_factor=served ** (self.user_alpha - 1.0))

        return frank_wolfe(market, gradient, self.n_steps)
