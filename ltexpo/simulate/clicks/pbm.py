"""The position-based model: a slot is examined by its rank alone."""

import numpy as np
import pandas as pd

from ltexpo.errors import TableError
from ltexpo.simulate.clicks.cells import CellEvidence
from ltexpo.simulate.clicks.draw import PBM, ClickParameters
from ltexpo.simulate.clicks.em import Evidence
from ltexpo.simulate.clicks.model import SlotModel, split_slots
from ltexpo.simulate.clicks.sessions import Sessions


class PositionBased(SlotModel):
    """P(click at rank j) = γ_j · a_key (Richardson, Dominowska & Ragno 2007; Craswell et al. 2008).

    Only products γ · a show in a log, so examination is known up to a factor: rank 1 of every surface counts as always
    examined, and attraction is P(click | shown at rank 1). Keys must have been seen at several ranks, or nothing tells
    a good slot from good keys; a log where none was is refused.
    """

    kind = PBM
    shape = "examination"

    def _evidence(self, sessions: Sessions) -> CellEvidence:
        k, n_surfaces = sessions.k, len(sessions.surfaces)
        cell = sessions.surface[:, None] * k + np.arange(k)
        fixed = np.tile(np.arange(k) == 0, n_surfaces)
        return CellEvidence.of(
            sessions, cell, fixed, np.tile(np.arange(k), n_surfaces),
            lambda slots: split_slots(slots, n_surfaces, ClickParameters.pbm)
        )

    def _labels(self, n_surfaces: int, k: int) -> pd.DataFrame:
        return pd.DataFrame({
            "surface": np.repeat(np.arange(n_surfaces), k), "rank": np.tile(np.arange(1, k + 1), n_surfaces),
            "after": 0,
        })

    def _notes(self, sessions: Sessions, evidence: Evidence) -> list[str]:
        return moved_notes(sessions, evidence, self._labels(len(sessions.surfaces), sessions.k))


def moved_notes(sessions: Sessions, evidence: Evidence, labels: pd.DataFrame) -> list[str]:
    """What to say when few keys were seen at several ranks; raises `TableError` when none was."""
    assert isinstance(evidence, CellEvidence)
    if sessions.k == 1:
        return []
    moved = evidence.moved()
    if moved == 0:
        raise TableError(
            "every item is always at the same rank, so examination and attraction cannot be told apart. Shuffle a "
            "small share of the lists, or take the cascade, dependent click or DBN model, which do not need it."
        )
    notes = []
    if moved < 0.05:
        notes.append(f"only {moved:.1%} of the impressions are of items seen at several ranks; the curve rests on them")
    seen = np.bincount(evidence.cell, minlength=len(evidence.fixed)) > 0
    loose = labels[seen & ~evidence.learnable()]
    if len(loose):
        ranks = ", ".join(map(str, sorted(set(loose["rank"]))[:10]))
        notes.append(f"no item links rank {ranks} with rank 1, so examination there is a guess and has no interval")
    return notes
