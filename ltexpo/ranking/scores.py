"""What the boosters of a ranker say of each candidate → its score and how sure that is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """n candidates."""

    score: Floats
    """(n,) probability."""
    std: Floats
    """(n,) standard error: how much the score hangs on which users were there to learn from."""
    spread: Floats | None = None
    """(n,) standard deviation of the true chance of each single candidate around its score, never below `std`: of all
    candidates that look alike to the model, the score is the mean; None where logs do not tell."""

    def rows(self, kept: npt.NDArray[np.int64]) -> "Scores":
        """Those of the candidates `kept`."""
        return Scores(self.score[kept], self.std[kept], None if self.spread is None else self.spread[kept])

    @classmethod
    def of(cls, calibrated: Callable[[Floats], Floats], raw: Floats) -> "Scores":
        """`raw` (B, n): log-odds by each of B boosters, of which each left out one of B folds of users.

        The score is the probability at their mean. The standard error is that of the delete-a-group jackknife (Kott
        2001): √((B − 1) / B · Σ_b (p_b − p̄)²), since two boosters share most of their users.
        """
        each = np.stack([calibrated(one) for one in raw])
        bags = len(raw)
        return cls(calibrated(raw.mean(axis=0)), np.asarray(np.sqrt(bags - 1) * each.std(axis=0)))
