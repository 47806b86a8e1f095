"""A list's attractions and uniforms → its clicks, under any of the five click models, inside a compiled loop.

The models are two families. In the first a slot is examined with a probability that depends on its rank and on the
last click above it; in the second the user walks down the list and may stop after every slot.

| kind | examination of slot j | source |
| --- | --- | --- |
| PBM | `examination[j, ·]`, whatever was clicked above | Richardson et al. 2007; Craswell et al. 2008 |
| UBM | `examination[j, l]`, l the rank of the last click above, 0 for none | Dupret & Piwowarski 2008 |
| CM | walk: never on after a click, always on after a skip | Craswell et al. 2008 |
| DCM | walk: on after a click with `after_click[j]`, always on after a skip | Guo, Liu & Wang 2009 |
| DBN | walk: on after a click unless satisfied, then with γ, after a skip with γ | Chapelle & Zhang 2009 |

An examined slot is clicked with its attraction. No generator is used here: the caller gives the uniforms.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from ltexpo.errors import ConfigError

Floats = npt.NDArray[np.float64]

PBM: Final = 0
UBM: Final = 1
CM: Final = 2
DCM: Final = 3
DBN: Final = 4
KINDS: Final = ("pbm", "ubm", "cm", "dcm", "dbn")
"""Names of the kinds; the code of a kind is its place."""


@dataclass(frozen=True)
class ClickParameters:
    """What a click model knows about slots; attraction and satisfaction belong to items and come from outside.

    Every array is there for every kind, so that one compiled loop serves all; those a kind has no use for are ignored.
    """

    kind: int
    """`PBM`, `UBM`, `CM`, `DCM` or `DBN`."""
    examination: Floats
    """(K, K) of PBM and UBM: [slot, rank of the last click above (0: none)]; only the lower triangle is read."""
    after_click: Floats
    """(K,) of the walks: P(examines the next slot | clicked this one, not satisfied by it)."""
    after_skip: Floats
    """(K,) of the walks: P(examines the next slot | examined and did not click this one)."""

    @property
    def k(self) -> int:
        """Slots that are described."""
        return len(self.after_click)

    @property
    def name(self) -> str:
        """The kind in letters."""
        return KINDS[self.kind]

    @classmethod
    def pbm(cls, examination: npt.ArrayLike) -> "ClickParameters":
        """Position-based: P(examined) by rank, (K,)."""
        curve = np.asarray(examination, dtype=np.float64)
        return cls._made(PBM, np.repeat(curve[:, None], len(curve), axis=1), np.ones(len(curve)), np.ones(len(curve)))

    @classmethod
    def ubm(cls, examination: npt.ArrayLike) -> "ClickParameters":
        """User browsing: P(examined) by slot and rank of the last click above (0: none), (K, K)."""
        table = np.asarray(examination, dtype=np.float64)
        return cls._made(UBM, table, np.ones(len(table)), np.ones(len(table)))

    @classmethod
    def cm(cls, k: int) -> "ClickParameters":
        """Cascade over `k` slots: on until the first click."""
        return cls._made(CM, np.ones((k, k)), np.zeros(k), np.ones(k))

    @classmethod
    def dcm(cls, after_click: npt.ArrayLike) -> "ClickParameters":
        """Dependent click: P(goes on | clicked) by rank, (K,)."""
        on = np.asarray(after_click, dtype=np.float64)
        return cls._made(DCM, np.ones((len(on), len(on))), on, np.ones(len(on)))

    @classmethod
    def dbn(cls, gamma: float, k: int) -> "ClickParameters":
        """Dynamic Bayesian network over `k` slots: γ, the P(goes on | not satisfied)."""
        return cls._made(DBN, np.ones((k, k)), np.full(k, float(gamma)), np.full(k, float(gamma)))

    @classmethod
    def _made(cls, kind: int, examination: Floats, after_click: Floats, after_skip: Floats) -> "ClickParameters":
        k = len(after_click)
        if k < 1:
            raise ConfigError(f"{KINDS[kind]}: describes no slot. Give at least one.")
        if examination.shape != (k, k):
            raise ConfigError(f"{KINDS[kind]}: examination has shape {examination.shape}, expected ({k}, {k}).")
        read = np.concatenate([examination[np.tril_indices(k)], after_click, after_skip])
        if not ((read >= 0) & (read <= 1)).all():
            raise ConfigError(f"{KINDS[kind]}: holds values outside 0 to 1. Give probabilities.")
        return cls(kind, examination, after_click, after_skip)


@njit(cache=True, nogil=True)
def draw_clicks(kind, examination, after_click, after_skip, attraction, satisfaction, uniforms, clicks):
    """Fill `clicks` (n,) with one draw for a list of n slots → the rank of the deepest examined slot, 0 for none.

    kind, examination (K, K), after_click (K,), after_skip (K,): of `ClickParameters`, K ≥ n (not checked).
    attraction: (n,) P(click | examined) of what stands in each slot.
    satisfaction: (n,) P(satisfied | clicked), which ends the walk of DBN; the other kinds do not read it.
    uniforms: (2n,) in [0, 1): uniforms[2j] decides whether slot j is examined, uniforms[2j + 1] whether it attracts, so
    two lists that are given the same uniforms share as much chance as they can (common random numbers).
    clicks: (n,) bool, overwritten.
    """
    n = attraction.size
    depth = 0
    if kind <= UBM:
        last = 0
        for j in range(n):
            looks = uniforms[2 * j] < examination[j, last]
            clicked = looks and uniforms[2 * j + 1] < attraction[j]
            clicks[j] = clicked
            if looks:
                depth = j + 1
            if clicked and kind == UBM:
                last = j + 1
        return depth
    on = 1.0
    for j in range(n):
        # The first slot is always examined, as a uniform is below 1.
        if uniforms[2 * j] >= on:
            for rest in range(j, n):
                clicks[rest] = False
            return depth
        depth = j + 1
        clicked = uniforms[2 * j + 1] < attraction[j]
        clicks[j] = clicked
        if not clicked:
            on = after_skip[j]
        elif kind == DBN:
            on = after_click[j] * (1.0 - satisfaction[j])
        else:
            on = after_click[j]
    return depth
