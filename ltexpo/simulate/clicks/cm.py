"""The cascade model: the user reads from the top and leaves at the first click."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.simulate.clicks.draw import CM, ClickParameters
from ltexpo.simulate.clicks.em import Evidence, Floats
from ltexpo.simulate.clicks.model import SlotModel
from ltexpo.simulate.clicks.sessions import Sessions
from ltexpo.simulate.clicks.walk import WalkEvidence


class Cascade(SlotModel):
    """All slots down to the first click are examined, none below (Craswell et al. 2008).

    In closed form: attraction = clicks / impressions among slots down to the first click, smoothed by the prior.
    Clicks below the first have chance 0; the fit does not read them, and a likelihood counts them at `FLOOR`.
    """

    kind = CM
    shape = "examination"

    def _evidence(self, sessions: Sessions) -> WalkEvidence:
        clicks = sessions.clicks.astype(np.int64)
        items = np.where(clicks.cumsum(axis=1) == clicks, sessions.items, -1).astype(np.int32)
        none: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        k, n_surfaces = sessions.k, len(sessions.surfaces)

        def make(_: Floats) -> tuple[ClickParameters, ...]:
            return (ClickParameters.cm(k),) * n_surfaces

        return WalkEvidence(
            CM, items, sessions.clicks, sessions.surface, len(sessions.keys), none, np.zeros(0), make
        )

    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        return pd.DataFrame({"surface": [], "rank": [], "after": []}, dtype=np.int64)

    def _notes(self, sessions: Sessions, evidence: Evidence) -> list[str]:
        later = int((sessions.clicks.sum(axis=1) > 1).sum())
        if not later:
            return []
        return [f"{later:,} of {len(sessions):,} lists have clicks below the first, which the cascade model rules out"]
