"""Two arms' shown items → the effect on catalogue coverage, with an error that counts how items share users."""

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from ltexpo.simulate.stats.effect import Effect, Spread, effect
from ltexpo.simulate.stats.permuted import compare_permuted
from ltexpo.simulate.stats.shown import Shown, matched

Array = npt.NDArray[np.float64]
_TAPER = 12
"""Items shown to more users than this tell nothing of what was nearly not shown."""


def compare_coverage(
    metric: str,
    treatment: Shown,
    control: Shown,
    *,
    least: float | None = None,
    paired: bool = False,
    runs: int = 200,
    level: float = 0.95,
    rng: int | np.random.Generator = 0,
) -> Effect:
    """The effect on the share of the catalogue that was shown to anyone, or with an exposure of at least `least`.

    Coverage is no ratio of sums: it hangs on items that one user more or less decides. Shown to anyone: each arm's
    variance by `unseen_variance`, right under an effect of any size. With `least`, or where hardly an item was nearly
    unseen: by `compare_permuted`. More users see more, so arms of different size are thinned to the smaller one.
    """
    generator = np.random.default_rng(rng)
    if least is None:
        arms = matched(treatment, control, paired=paired, rng=generator)
        spread = _spread(arms[0], arms[1], paired)
        if spread is not None:
            values = [float((arm.exposure() > 0).mean()) for arm in arms[:2]]
            counts = (len(treatment.users), len(control.users))
            method = "user sets of rarely shown items" + (", paired users" if paired else "")
            return effect(metric, values[0], values[1], spread, counts=counts, level=level, method=method, note=arms[2])

    def covered(exposure: Array) -> Array:
        shown: Array = ((exposure > 0) if least is None else (exposure >= least * (1 - 1e-9))).mean(axis=1)
        return shown

    return compare_permuted(
        metric, covered, treatment, control, paired=paired, runs=runs, level=level, rng=generator
    )


def unseen_variance(count: npt.NDArray[np.int64], users: npt.NDArray[np.int64], n: int) -> tuple[float, float]:
    """The variance of the number of items shown to anyone among n users, and the noise (deviation) of that estimate.

    Group the items by the exact set of users that they were shown to: group A has m_A items and |A| users. Then

        Σ_A (−1)^(|A| + 1) m_A² − (Σ_{|A| = 1} m_A)² / n

    is unbiased but for small terms. Two items shown to a, b and c users (the first alone, the second alone, both),
    Poisson with means α, β and γ, are unseen with the covariance e^(−α − β − γ) (1 − e^(−γ)). Its unbiased estimate is
    (−1)^(c + 1) where a = b = 0 < c and 0 elsewhere: the way in which Good & Toulmin (1956) foresee the species that as
    many users again would find. The last term is what a fixed number of users varies less than a Poisson one. The signs
    of large groups cancel on average and only bring noise, so they are tapered by a binomial (Efron & Thisted 1976).

    `count` (groups,) is m_A (or, for twins, the items of the treatment less those of the control), `users` (groups,)
    is |A|.
    """
    sign = np.where(users % 2 == 1, 1.0, -1.0) * binom.sf(users - 1, _TAPER, 0.5)
    squares = sign * np.square(count.astype(np.float64))
    single = float(count[users == 1].sum())
    return float(squares.sum()) - single**2 / n, float(np.sqrt(np.square(squares).sum()))


def _spread(treatment: Shown, control: Shown, paired: bool) -> Spread | None:
    """None when too few items were nearly unseen to tell a variance from."""
    n = len(treatment.users)
    # Sums of random 64-bit numbers of the users name a set of users; that two sets collide is out of the question.
    names = np.random.default_rng(0).integers(0, 2**64, n, dtype=np.uint64)
    treated, controlled = _user_sets(treatment, names), _user_sets(control, names)
    found = [_of_sets((treated, None), n), _of_sets((None, controlled), n)]
    variance, noise = found[0][0] + found[1][0], float(np.hypot(found[0][1], found[1][1]))
    if paired:
        variance, noise = _of_sets((treated, controlled), n)
    freedom = 2 * (variance / noise) ** 2 if noise > 0 else 0.0
    if variance <= 0 or freedom < 8 or min(found[0][0], found[1][0]) <= 0:
        return None
    scale = treatment.items**2
    own = [part[0] / scale for part in found]
    return Spread(own[0], own[1], (own[0] + own[1] - variance / scale) / 2 if paired else 0.0, freedom)


Sets = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]


def _user_sets(arm: Shown, names: npt.NDArray[np.uint64]) -> Sets:
    """Of each item that was shown: the name of its set of users, and how many they are."""
    sizes = np.bincount(arm.item, minlength=arm.items)
    sums = np.zeros(arm.items, dtype=np.uint64)
    np.add.at(sums, arm.item, names[arm.user])
    shown = sizes > 0
    return sums[shown], sizes[shown].astype(np.int64)


def _of_sets(arms: tuple[Sets | None, Sets | None], n: int) -> tuple[float, float]:
    names, sizes, signs = [], [], []
    for sets, sign in zip(arms, (1, -1), strict=True):
        if sets is not None:
            names.append(sets[0])
            sizes.append(sets[1])
            signs.append(np.full(len(sets[0]), sign))
    distinct, first, group = np.unique(np.concatenate(names), return_index=True, return_inverse=True)
    count = np.bincount(group, weights=np.concatenate(signs), minlength=len(distinct)).astype(np.int64)
    return unseen_variance(count, np.concatenate(sizes)[first], n)
