"""Lists and groups → lists that tax the clicks of rich groups at rate t (Tax-rank), by Frank–Wolfe."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.rerank.peers.frank_wolfe import State, Tilt, frank_wolfe
from ltexpo.rerank.peers.peer import Market, Slots, checked


@dataclass(frozen=True)
class TaxRank:
    """Maximises Σ_p d_p^t v_p^(1-t) / (1-t), the logarithm at t = 1; v clicks of a group, d its due share.

    Xu, Ye, Wang, Pang, Xu & Chua, *A taxation perspective for fair re-ranking*, SIGIR 2024 (2404.17826): the tax rate t
    moves from utilitarian (0) over Nash (1) towards max-min. The paper rewrites it as optimal transport with an entropy
    term and solves it by Sinkhorn; here the same concave program over candidate lists is solved by Frank–Wolfe, whose
    gradient multiplies a group's scores by (v_p / d_p)^-t. `epsilon` keeps a group without clicks finite.
    """

    epsilon: float = 1e-3
    n_steps: int = 60
    name: str = "tax_rank"
    paper: str = "Xu et al., SIGIR 2024"
    raises: Literal["groups"] = "groups"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = tax rate t."""
        rate = checked(strength, self.name)
        safe = np.where(market.due > 0, market.due, 1.0)

        def gradient(state: State, step: int) -> Tilt:
            total = max(float(state.clicks.sum()), 1e-300)
            wealth = np.maximum(state.clicks, 0.0) / (safe * total) + self.epsilon
            return Tilt(factor=np.where(market.due > 0, wealth**-rate, 1.0))

        return frank_wolfe(market, gradient, self.n_steps)
