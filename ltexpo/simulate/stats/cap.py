"""Spend before the test → the cap above which a user's spend is not counted."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.errors import ConfigError, TableError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cap:
    """A limit fixed before exposure: values above it count as the limit (winsorising: Tukey 1962)."""

    limit: float
    quantile: float

    @classmethod
    def of(cls, before: npt.ArrayLike, *, quantile: float = 0.999) -> "Cap":
        """The quantile of all users' values before the test (n,), both arms together.

        A cap lets go of what a treatment does beyond it, for an error that a few users no longer make: say it with the
        metric's name. It must come from before, or it would hide what the treatment itself does to the tail.
        """
        values = np.asarray(before, dtype=np.float64)
        if not 0.5 < quantile < 1:
            raise ConfigError(f"quantile must lie between 0.5 and 1; found {quantile:g}.")
        if not len(values) or not np.isfinite(values).all():
            raise TableError(f"a cap needs finite values from before the test; found {len(values)} values.")
        return cls(float(np.quantile(values, quantile)), quantile)

    def apply(self, values: npt.ArrayLike) -> Array:
        """`values` (n,) with those above the limit set to it."""
        capped: Array = np.minimum(np.asarray(values, dtype=np.float64), self.limit)
        return capped

    def says(self, values: npt.ArrayLike) -> str:
        """How many users it touches and how much of the sum it takes."""
        x = np.asarray(values, dtype=np.float64)
        total = float(x.sum())
        share = float((x - self.apply(x)).sum()) / total if total else 0.0
        touched = int((x > self.limit).sum())
        return f"capped at {self.limit:,.4g}: {touched:,} of {len(x):,} users, {share:.1%} of the sum"
