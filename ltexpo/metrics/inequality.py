"""Exposure of items or groups (n,) → how unequally it is spread."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import InputError

Array = npt.NDArray[np.float64]


def gini(exposure: npt.ArrayLike) -> float:
    """Gini coefficient of `exposure` (n,): 0 when all are equal, (n − 1) / n when one has everything.

    Σ_i (2i − n − 1) x_(i) / (n Σ x), x ascending: twice the area between the Lorenz curve and the diagonal (Gini 1912).
    Pass every item of the catalogue, those never shown as 0. NaN when nothing was shown.
    """
    x = _sorted(exposure)
    n, total = len(x), float(x.sum())
    if total == 0:
        return float("nan")
    value = float(((2 * np.arange(1, n + 1) - n - 1) * x).sum()) / (n * total)
    return max(value, 0.0)  # rounding can leave −1e-17 where all are equal


def lorenz(exposure: npt.ArrayLike, *, points: int | None = 200) -> pd.DataFrame:
    """Lorenz curve of `exposure` (n,): columns item_share, exposure_share from (0, 0) to (1, 1), least exposed first.

    At most `points` + 1 rows, all of them exact (none: n + 1 rows). Where the top items hold nearly everything the
    curve bends at its end, so half of the points lie evenly over items and half evenly over exposure. Lorenz (1905).
    """
    x = _sorted(exposure)
    n = len(x)
    cumulative = np.concatenate([[0.0], np.cumsum(x)])
    if cumulative[-1] == 0:
        raise InputError("the Lorenz curve needs some exposure; every item has 0.")
    share = cumulative / cumulative[-1]
    kept = np.arange(n + 1)
    if points is not None and n > points:
        half = points // 2
        evenly = np.round(np.linspace(0, n, half + 1)).astype(np.int64)
        by_exposure = np.searchsorted(share, np.linspace(0, 1, points - half + 1)[1:-1])
        kept = np.unique(np.concatenate([evenly, np.minimum(by_exposure, n)]))
    return pd.DataFrame({"item_share": kept / n, "exposure_share": share[kept]})


def entropy(exposure: npt.ArrayLike, *, normalised: bool = False) -> float:
    """−Σ p ln p of the shares of `exposure` (n,), in nats (Shannon 1948); `normalised` divides by ln n, so 1 is equal.

    NaN when nothing was shown, and for a normalised entropy of a single item.
    """
    x = _sorted(exposure)
    total = float(x.sum())
    if total == 0:
        return float("nan")
    p = x[x > 0] / total
    value = max(float(-(p * np.log(p)).sum()), 0.0)
    if not normalised:
        return value
    return value / float(np.log(len(x))) if len(x) > 1 else float("nan")


def min_share(exposure: npt.ArrayLike) -> float:
    """The smallest of the shares of `exposure` (n,), the max-min objective (Rawls 1971); NaN when nothing was shown."""
    return worst_share(exposure, fraction=0.0)


def worst_share(exposure: npt.ArrayLike, *, fraction: float = 0.5) -> float:
    """Share of all exposure that the worst-off ⌊fraction · n⌋ groups hold together, at least one group.

    With `fraction` 0.5 this is MMF@50% of the provider-fairness literature (Xu et al., P-MMF, WWW 2023); equal groups
    reach about `fraction`. NaN when nothing was shown.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"fraction is {fraction}, expected 0 to 1.")
    x = _sorted(exposure)
    total = float(x.sum())
    return float(x[: max(int(fraction * len(x)), 1)].sum()) / total if total > 0 else float("nan")


def _sorted(exposure: npt.ArrayLike) -> Array:
    x = np.sort(np.asarray(exposure, dtype=np.float64))
    if x.ndim != 1 or len(x) == 0:
        raise InputError(f"exposure has shape {x.shape}, expected one number per item.")
    if not (np.isfinite(x).all() and x[0] >= 0):
        raise InputError("exposure holds negative or infinite values. Give sums of attention.")
    return x
