"""The dynamic Bayesian network: a click satisfies or not, and the user who is not satisfied may lose patience."""

import numpy as np
import pandas as pd

from ltexpo.simulate.clicks.draw import DBN, ClickParameters
from ltexpo.simulate.clicks.model import SlotModel, split_slots
from ltexpo.simulate.clicks.sessions import Sessions
from ltexpo.simulate.clicks.walk import WalkEvidence


class DynamicBayesian(SlotModel):
    """After a click the user is satisfied with s_key and stops; else goes on with γ, as after a skip.

    Chapelle & Zhang 2009. Satisfaction belongs to the key and has the same kind of prior as attraction; γ is one per
    surface. With few clicks per key γ comes out a little high (by 0.005 at ten clicks per key), as every key's own
    satisfaction is fitted beside it.
    """

    kind = DBN
    shape = "continuation (γ)"

    def _evidence(self, sessions: Sessions) -> WalkEvidence:
        k, n_surfaces = sessions.k, len(sessions.surfaces)
        return WalkEvidence(
            DBN, sessions.items, sessions.clicks, sessions.surface, len(sessions.keys),
            np.zeros(n_surfaces, dtype=np.bool_), np.full(n_surfaces, 0.9),
            lambda slots: split_slots(slots, n_surfaces, lambda part: ClickParameters.dbn(float(part[0]), k)),
        )

    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        return pd.DataFrame({"surface": np.arange(n_surfaces), "rank": 0, "after": 0})
