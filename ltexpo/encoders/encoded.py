"""What an encoder hands back: vectors, the state of each row, and what had to be computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt


class State(IntEnum):
    """How a row came out; the first two have a vector."""

    OK = 0
    TRUNCATED = 1
    """Text beyond the model's limit was cut off."""
    ABSENT = 2
    """Nothing was given: no value, or a blank one."""
    WORDLESS = 3
    """The text holds nothing that the encoder knows."""
    MISSING = 4
    """The path names no file."""
    UNREADABLE = 5
    """Not a picture that can be decoded."""
    OUTSIDE = 6
    """The path leaves the catalogue's folder; never opened."""


@dataclass(frozen=True)
class Encoded:
    """One row for each content that was given, in its order."""

    vectors: npt.NDArray[np.float32]
    """(n, d) float32, each row of length 1, or all zeros where `mask` is off."""
    states: npt.NDArray[np.uint8]
    """(n,) codes of `State`."""
    computed: int
    """Distinct contents that the model saw in this call; the others were equal to one of these, cached, or not to be
    read."""

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a row has a vector."""
        return has_vector(self.states)

    def counts(self) -> dict[str, int]:
        """Rows by state, states without rows left out."""
        codes, rows = np.unique(self.states, return_counts=True)
        return {State(code).name.lower(): int(count) for code, count in zip(codes, rows, strict=True)}

    def first_of_each(self, names: Sequence[str]) -> dict[str, str]:
        """State other than ok → the name of the first row in it; `names` has one name a row."""
        codes, rows = np.unique(self.states, return_index=True)
        return {State(code).name.lower(): names[row] for code, row in zip(codes, rows, strict=True) if code}


def has_vector(states: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of the `State` codes come with a vector."""
    return states <= State.TRUNCATED
