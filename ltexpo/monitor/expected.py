"""A count on earlier days → where it is expected today, by the same weekday."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """A count's middle and the interval in which today's lies with the stated chance."""

    middle: float
    low: float
    high: float


def expected_count(
    counts: npt.ArrayLike, weekdays: npt.ArrayLike, weekday: int, *, chance: float
) -> Expected:
    """Counts of reference days (n,) and their weekdays (n,) → what today, a `weekday`, holds but for `chance`.

    The prediction interval of a new observation (Student's t) on the scale 2 √(count + 3/8), where a Poisson count has
    the variance 1 (Anscombe 1948), which is also the least that is taken. The middle is the mean of the same weekday
    and the noise that around each weekday's own mean; where this weekday has fewer than two days, or fewer than seven
    degrees of freedom are left, all days count alike.
    """
    y = 2 * np.sqrt(np.asarray(counts, dtype=np.float64) + 3 / 8)
    days = np.asarray(weekdays, dtype=np.int64)
    per_day = np.bincount(days, minlength=7)
    free = len(y) - int((per_day > 0).sum())
    if per_day[weekday] >= 2 and free >= 7:
        means = np.bincount(days, weights=y, minlength=7) / np.maximum(per_day, 1)
        noise, middle, n = y - means[days], float(means[weekday]), int(per_day[weekday])
    else:
        noise, middle, n, free = y - y.mean(), float(y.mean()), len(y), len(y) - 1
    variance = max(float(np.square(noise).sum()) / free, 1.0)
    half = float(stdtrit(free, 1 - chance / 2)) * float(np.sqrt(variance * (1 + 1 / n)))
    return Expected(_count(middle), _count(middle - half), _count(middle + half))


def _count(root: float) -> float:
    return float(max((max(root, 0.0) / 2) ** 2 - 3 / 8, 0.0))
