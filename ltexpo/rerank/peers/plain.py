"""Lists → their k best scores: what every other method gives up."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.rerank.peers.peer import Market, Slots, checked


@dataclass(frozen=True)
class Plain:
    """Plain top k by score; `strength` has no effect. Robertson, *The probability ranking principle*, 1977."""

    name: str = "plain"
    paper: str = "Robertson 1977"
    raises: Literal["nothing"] = "nothing"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0,)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`."""
        checked(strength, self.name)
        places = np.arange(market.k, dtype=np.int32)
        return np.where(places < market.filled[:, None], places, np.int32(-1))
