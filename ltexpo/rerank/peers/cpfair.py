"""Lists, two item groups and two user groups → lists by the CP-FairRank greedy."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ltexpo.rerank.peers.greedy import tilted_slots
from ltexpo.rerank.peers.peer import Market, Slots, checked


@dataclass(frozen=True)
class CPFair:
    """Maximum of Σ S W - λ1 (clicks of favoured - of other users) - λ2 (exposure of head - of protected items).

    Naghiaei, Rahmani & Deldjoo, *CPFair: personalized consumer and producer fairness re-ranking for recommender
    systems*, SIGIR 2022. With the favoured side of both gaps known, as in the authors' program, the objective is a sum
    over users and items and the greedy (sort each list by its terms) is optimal: protected items gain λ2, others lose
    λ2, and the scores of lists of the user group that is served worse count (1 + λ1), the others' (1 - λ1). The paper
    measures users' gain with labels, which a re-ranker does not have: the score stands in. Both gaps are taken per
    slot, which absorbs group sizes into λ. FairDiverse's port (λ × (1 - share of the group so far), any number of
    groups, users ignored) is another method.
    """

    user_weight: float = 0.0
    name: str = "cpfair"
    paper: str = "Naghiaei et al., SIGIR 2022"
    raises: Literal["protected"] = "protected"
    plain_at_zero: bool = True
    strengths: tuple[float, ...] = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0)

    def rerank(self, market: Market, strength: float) -> Slots:
        """See `Peer.rerank`; `strength` = λ2, `user_weight` = λ1 (without effect when no user group is given)."""
        weight = checked(strength, self.name)
        own = checked(self.user_weight, "cpfair's users", most=0.99)
        boost = np.where(market.protected, weight, -weight)
        if market.user_group is None or own == 0.0:
            return tilted_slots(market, boost=boost)
        return tilted_slots(market, boost=boost, list_factor=np.where(market.user_group == 1, 1.0 + own, 1.0 - own))
