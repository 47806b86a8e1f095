"""The user browsing model: a slot is examined by its rank and by how far up the last click was."""

import numpy as np
import pandas as pd

from ltexpo.simulate.clicks.cells import CellEvidence
from ltexpo.simulate.clicks.draw import UBM, ClickParameters
from ltexpo.simulate.clicks.em import Evidence, Floats
from ltexpo.simulate.clicks.model import SlotModel, split_slots
from ltexpo.simulate.clicks.pbm import moved_notes
from ltexpo.simulate.clicks.sessions import Sessions


class UserBrowsing(SlotModel):
    """P(click at rank j | last click above at rank l) = γ_{j,l} · a_key, l = 0 for none (Dupret & Piwowarski 2008).

    K (K + 1) / 2 examination parameters per surface. As in the position-based model only ratios show: γ_{1,0} is 1.
    """

    kind = UBM
    shape = "examination"

    def _evidence(self, sessions: Sessions) -> CellEvidence:
        k, n_surfaces = sessions.k, len(sessions.surfaces)
        rank = np.arange(1, k + 1)
        clicked = np.where(sessions.clicks, rank, 0)
        last = np.zeros_like(clicked)
        last[:, 1:] = np.maximum.accumulate(clicked, axis=1)[:, :-1]
        cells = k * (k + 1) // 2
        cell = sessions.surface[:, None] * cells + (rank - 1) * rank // 2 + last
        fixed = np.tile(np.arange(cells) == 0, n_surfaces)
        return CellEvidence.of(
            sessions, cell, fixed, np.tile(np.tril_indices(k)[0], n_surfaces),
            lambda slots: split_slots(slots, n_surfaces, lambda part: _triangle(part, k))
        )

    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        slot, last = np.tril_indices(k)
        return pd.DataFrame({
            "surface": np.repeat(np.arange(n_surfaces), len(slot)), "rank": np.tile(slot + 1, n_surfaces),
            "after": np.tile(last, n_surfaces),
        })

    def _notes(self, sessions: Sessions, evidence: Evidence) -> list[str]:
        return moved_notes(sessions, evidence, self._labels(len(sessions.surfaces), sessions.k))


def _triangle(values: Floats, k: int) -> ClickParameters:
    table = np.zeros((k, k))
    table[np.tril_indices(k)] = values
    return ClickParameters.ubm(table)
