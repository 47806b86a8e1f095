"""The dependent click model: after a click the user goes on with a probability of that rank."""

import numpy as np
import pandas as pd

from ltexpo.simulate.clicks.draw import DCM, ClickParameters
from ltexpo.simulate.clicks.em import Floats
from ltexpo.simulate.clicks.model import SlotModel, split_slots
from ltexpo.simulate.clicks.sessions import Sessions
from ltexpo.simulate.clicks.walk import WalkEvidence


class DependentClick(SlotModel):
    """After a skip always on, after a click at rank j on with λ_j (Guo, Liu & Wang 2009).

    The paper's closed form takes every last click for the end of the reading, which maximises only a bound and gives
    λ too low. It is where EM begins here; EM then maximises the likelihood itself. λ of the last rank never shows.
    """

    kind = DCM
    shape = "continuation after a click"

    def _evidence(self, sessions: Sessions) -> WalkEvidence:
        k, n_surfaces = sessions.k, len(sessions.surfaces)
        return WalkEvidence(
            DCM, sessions.items, sessions.clicks, sessions.surface, len(sessions.keys),
            np.zeros(n_surfaces * k, dtype=np.bool_), closed_form(sessions),
            lambda slots: split_slots(slots, n_surfaces, ClickParameters.dcm),
        )

    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        return pd.DataFrame({
            "surface": np.repeat(np.arange(n_surfaces), k), "rank": np.tile(np.arange(1, k + 1), n_surfaces),
            "after": 0,
        })


def closed_form(sessions: Sessions) -> Floats:
    """(S K,) share of the clicks at each rank that were not their list's last, by surface, smoothed by one at a half.

    Guo, Liu & Wang 2009.
    """
    clicks = sessions.clicks
    later = np.flip(np.cumsum(np.flip(clicks, axis=1), axis=1), axis=1) - clicks > 0
    shares = [
        ((clicks & later)[here].sum(axis=0) + 0.5) / (clicks[here].sum(axis=0) + 1.0)
        for here in (sessions.surface == code for code in range(len(sessions.surfaces)))
    ]
    return np.concatenate(shares)
