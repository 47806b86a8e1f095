"""Lists and popularity → top k of score - λ × log popularity."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.rerank.peers.greedy import tilted_slots
from ltexpo.rerank.peers.peer import Market, Slots, checked


@dataclass(frozen=True)
class PopularityPenalty:
    """A penalty that grows with log popularity, scaled to 1 for the most popular item.

    The usual correction in practice. Steck (*Item popularity and recommendation accuracy*, RecSys 2011) weights by
    popularity^-β; on log scores that is this form, on probabilities it is a choice. Σ a × penalty never rises with
    strength, since each list is optimal for its own λ.
    """

    name: str = "popularity_penalty"
    paper: str = "after Steck, RecSys 2011"
    raises: Literal["protected"] = "protected"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ in score units."""
        weight = checked(strength, self.name)
        popularity = np.log1p(market.popularity)
        most = float(popularity.max(initial=0.0))
        return tilted_slots(market, boost=-weight * popularity / (most if most > 0 else 1.0))
