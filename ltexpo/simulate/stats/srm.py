"""Users counted in each arm + shares planned → whether the split can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln
from scipy.stats import chisquare

from ltexpo.errors import ConfigError, TableError

Array = npt.NDArray[np.float64]
THRESHOLD = 0.001
"""A split is called broken below this p-value: so low that a sound one is hardly ever accused."""


@dataclass(frozen=True)
class SampleRatio:
    """Whether the arms hold the users that the shares promise."""

    counts: dict[str, int]
    shares: dict[str, float]
    """Planned, adding up to 1."""
    p_value: float
    threshold: float

    @property
    def ok(self) -> bool:
        """False: the split is broken, and no effect of this test can be believed."""
        return self.p_value >= self.threshold

    def __str__(self) -> str:
        total = sum(self.counts.values())
        arms = ", ".join(
            f"{arm} {count:,} ({count / total:.2%}, planned {self.shares[arm]:.2%})"
            for arm, count in self.counts.items()
        )
        return f"sample ratio {'ok' if self.ok else 'BROKEN'}: {arms}; p = {self.p_value:.2g}"

    def to_pandas(self) -> pd.DataFrame:
        """One row per arm: arm, users, expected."""
        total = sum(self.counts.values())
        return pd.DataFrame({
            "arm": list(self.counts), "users": list(self.counts.values()),
            "expected": [self.shares[arm] * total for arm in self.counts],
        })


def sample_ratio(
    counts: Mapping[str, int], shares: Mapping[str, float] | None = None, *, threshold: float = THRESHOLD
) -> SampleRatio:
    """Pearson's chi-square of the arms' users against `shares` (equal ones if not given).

    Fabijan et al. (KDD 2019) on why a test with a sample-ratio mismatch must not be read. Raises `ConfigError` for
    shares that do not fit the arms, `TableError` for counts that are no numbers of users.
    """
    planned = _shares(counts, shares)
    if any(count < 0 for count in counts.values()) or not sum(counts.values()):
        raise TableError(f"the arms' users are {dict(counts)}. Count the users that were randomised into each arm.")
    observed = np.array(list(counts.values()), dtype=np.float64)
    expected = np.array([planned[arm] for arm in counts]) * observed.sum()
    p_value = float(chisquare(observed, expected).pvalue)
    return SampleRatio({arm: int(n) for arm, n in counts.items()}, planned, p_value, threshold)


def sample_ratio_sequence(
    counts: npt.ArrayLike, shares: npt.ArrayLike | None = None, *, concentration: float = 10_000.0
) -> Array:
    """Users in each arm up to each look, (looks, arms) cumulative → p-values (looks,) that stay valid at every look.

    The mixture test of Lindon & Malek (NeurIPS 2022): the inverse Bayes factor of a Dirichlet(concentration · shares)
    against the shares, smallest so far. The greater `concentration`, the smaller the mismatch it is meant for.
    """
    n = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    if (np.diff(n, axis=0) < 0).any() or (n < 0).any():
        raise TableError("counts by look must be cumulative: an arm's users never become fewer.")
    theta = np.full(n.shape[1], 1 / n.shape[1]) if shares is None else np.asarray(shares, dtype=np.float64)
    _shares({str(arm): 0 for arm in range(n.shape[1])}, {str(arm): share for arm, share in enumerate(theta)})
    alpha = concentration * theta
    log_factor = (
        gammaln(concentration) - gammaln(concentration + n.sum(axis=1))
        + (gammaln(alpha + n) - gammaln(alpha) - n * np.log(theta)).sum(axis=1)
    )
    smallest: Array = np.minimum.accumulate(np.minimum(np.exp(-log_factor), 1.0))
    return smallest


def _shares(counts: Mapping[str, int], shares: Mapping[str, float] | None) -> dict[str, float]:
    if len(counts) < 2:
        raise ConfigError(f"a sample-ratio check needs at least two arms; found {', '.join(counts) or 'none'}.")
    if shares is None:
        return {arm: 1 / len(counts) for arm in counts}
    if set(shares) != set(counts):
        raise ConfigError(f"shares are of {', '.join(shares)}, users of {', '.join(counts)}. Give every arm its share.")
    if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"shares must be above 0 and add up to 1; found {dict(shares)}.")
    return {arm: float(shares[arm]) for arm in counts}
