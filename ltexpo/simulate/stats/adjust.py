"""Two arms + what was known of the users before → the same effect with a smaller error."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import TableError
from ltexpo.metrics.intervals import Ratio
from ltexpo.simulate.stats.effect import Effect, Spread, compare, effect

Array = npt.NDArray[np.float64]


def cuped(
    metric: str,
    treatment: Ratio,
    control: Ratio,
    treatment_before: npt.ArrayLike,
    control_before: npt.ArrayLike,
    *,
    level: float = 0.95,
) -> Effect:
    """The effect on a mean or ratio less what covariates from before the test predict (CUPED: Deng et al., WSDM 2013).

    The covariates (n,) or (n, p), one row a user as in the ratios, are subtracted from the linearised ratio (Deng,
    Knoblich & Lu 2018) with the coefficients that make the difference's variance least. They must be known before the
    first exposure. For a ratio metric take the ratio before (`linearised`), for CUPAC the prediction of `cupac`.
    """
    plain = compare(metric, treatment, control, level=level)
    arms = [
        (_residuals(metric, ratio), _covariates(metric, before, len(ratio.numerator)))
        for ratio, before in ((treatment, treatment_before), (control, control_before))
    ]
    if arms[0][1].shape[1] != arms[1][1].shape[1]:
        raise TableError(
            f"metric '{metric}': the arms have {arms[0][1].shape[1]} and {arms[1][1].shape[1]} covariates. Give both "
            "the same."
        )
    if not np.isfinite(plain.error) or plain.error == 0:
        return plain
    n = [len(residual) for residual, _ in arms]
    means = [x.mean(axis=0) for _, x in arms]
    centered = [x - mean for (_, x), mean in zip(arms, means, strict=True)]
    # Rows are weighted by 1 / n so that least squares minimises the variance of the difference of means.
    theta = np.linalg.lstsq(
        np.concatenate([x / size for x, size in zip(centered, n, strict=True)]),
        np.concatenate([residual / size for (residual, _), size in zip(arms, n, strict=True)]),
    )[0]
    shift = float((means[0] - means[1]) @ theta)
    share = n[0] / sum(n)
    # Each arm is brought to the covariates' mean over both, so a user moves both arms' values.
    explained = [x @ theta for x in centered]
    spread = joint_spread(
        ((arms[0][0] - (1 - share) * explained[0]) / n[0], share * explained[0] / n[0]),
        ((1 - share) * explained[1] / n[1], (arms[1][0] - share * explained[1]) / n[1]),
    )
    ratio_of_variances = max(spread.treatment + spread.control - 2 * spread.covariance, 0.0) / plain.error**2
    return effect(
        metric, treatment.value - (1 - share) * shift, control.value + share * shift, spread,
        counts=(n[0], n[1]), level=level, method=f"delta method, CUPED (variance × {ratio_of_variances:.3f})",
    )


def linearised(treatment_before: Ratio, control_before: Ratio) -> tuple[Array, Array]:
    """The covariates (n,) of a ratio metric: each user's numerator − R · denominator before, R that of both arms.

    A user who was not there before has 0 for both, and so a covariate of 0: the average user's.
    """
    arms = (treatment_before, control_before)
    total = sum(float(arm.denominator.sum()) for arm in arms)
    if total == 0:
        raise TableError("nobody has a denominator before the test, so that there is no ratio to adjust by.")
    ratio = sum(float(arm.numerator.sum()) for arm in arms) / total
    return (
        treatment_before.numerator - ratio * treatment_before.denominator,
        control_before.numerator - ratio * control_before.denominator,
    )


def post_stratify(
    metric: str,
    treatment: Ratio,
    control: Ratio,
    treatment_strata: npt.ArrayLike,
    control_strata: npt.ArrayLike,
    *,
    level: float = 0.95,
) -> Effect:
    """The effect with both arms weighted to the strata of all users (Miratrix, Sekhon & Yu 2013); one row a user.

    Strata (n,) must be fixed before exposure. The variance counts that the strata's shares are those of a sample.
    Strata with fewer than two users in an arm are joined, and the note says how many.
    """
    plain = compare(metric, treatment, control, level=level)
    ratios = (treatment, control)
    labels = [np.asarray(strata).astype(str) for strata in (treatment_strata, control_strata)]
    for ratio, own in zip(ratios, labels, strict=True):
        _residuals(metric, ratio)
        if len(own) != len(ratio.numerator):
            raise TableError(f"metric '{metric}': {len(own)} strata for {len(ratio.numerator)} users. Each needs one.")
    if not np.isfinite(plain.error) or plain.error == 0:
        return plain
    codes, names, joined = _joined_strata(labels)
    sizes = [np.bincount(own, minlength=names) for own in codes]
    everyone = sizes[0] + sizes[1]
    share = everyone / everyone.sum()
    values, residuals, within = [], [], []
    for ratio, own, size in zip(ratios, codes, sizes, strict=True):
        weight = (share / size)[own]
        denominator = float(weight @ ratio.denominator)
        values.append(float(weight @ ratio.numerator) / denominator)
        residuals.append((ratio.numerator - values[-1] * ratio.denominator) / denominator)
        within.append(np.bincount(own, weights=residuals[-1], minlength=names) / size)
    influences = []
    for arm, (own, size) in enumerate(zip(codes, sizes, strict=True)):
        # A user tells of the own arm within the stratum, and of both arms by making the stratum larger.
        parts = [mean[own] / everyone.sum() for mean in within]
        # The small-sample factor is the stratum's own, not the arm's that `joint_spread` gives.
        scale = np.sqrt(size / np.maximum(size - 1, 1) * (len(own) - 1) / len(own))[own]
        parts[arm] = parts[arm] + scale * (share / size)[own] * (residuals[arm] - within[arm][own])
        influences.append((parts[0], parts[1]))
    spread = joint_spread(influences[0], influences[1])
    note = f"{joined} strata with fewer than two users in an arm were joined" if joined else ""
    return effect(
        metric, values[0], values[1], spread, counts=(len(codes[0]), len(codes[1])), level=level,
        method=f"delta method, {names} strata", note=note,
    )


def joint_spread(treated: tuple[Array, Array], controlled: tuple[Array, Array]) -> Spread:
    """What the users of each arm move the treatment's and the control's value by → the spread; freedom by Welch."""
    matrices, terms = [], 0.0
    for arm in (treated, controlled):
        n = len(arm[0])
        moves = np.stack(arm) - np.stack(arm).mean(axis=1, keepdims=True)
        matrices.append(n / (n - 1) * (moves @ moves.T))
        terms += float(matrices[-1][0, 0] + matrices[-1][1, 1] - 2 * matrices[-1][0, 1]) ** 2 / (n - 1)
    total = matrices[0] + matrices[1]
    variance = float(total[0, 0] + total[1, 1] - 2 * total[0, 1])
    freedom = variance**2 / terms if terms > 0 else float(len(treated[0]) + len(controlled[0]) - 2)
    return Spread(float(total[0, 0]), float(total[1, 1]), float(total[0, 1]), freedom)


def _residuals(metric: str, ratio: Ratio) -> Array:
    """(n,) numerator − ratio · denominator over the mean denominator."""
    if len(pd.unique(ratio.clusters)) < len(ratio.clusters):
        raise TableError(f"metric '{metric}': users have several rows. Add each user's rows up before adjusting.")
    residuals: Array = ratio.influence() * len(ratio.numerator)
    return residuals


def _covariates(metric: str, before: npt.ArrayLike, n: int) -> Array:
    x = np.asarray(before, dtype=np.float64)
    if x.ndim not in (1, 2) or len(x) != n:
        raise TableError(f"metric '{metric}': covariates of shape {x.shape} for {n} users. Give every user one row.")
    if not np.isfinite(x).all():
        raise TableError(
            f"metric '{metric}': {int((~np.isfinite(x)).sum())} covariates are not finite. Say 0 for users who were "
            "not there before, and let a second covariate say so."
        )
    return x.reshape(n, -1)


def _joined_strata(labels: list[npt.NDArray[Any]]) -> tuple[list[npt.NDArray[np.int64]], int, int]:
    """Codes of each arm, the number of strata, and how many small ones were joined."""
    codes, names = pd.factorize(np.concatenate(labels), sort=True)
    n = len(labels[0])
    sizes = [np.bincount(own, minlength=len(names)) for own in (codes[:n], codes[n:])]
    small = np.minimum(sizes[0], sizes[1]) < 2
    joined = int(small.sum())
    if joined:
        rest = [int(size[small].sum()) for size in sizes]
        if min(rest) < 2 and joined < len(names):
            # What was joined is still too small: the smallest of the others takes it in.
            both = np.where(small, np.iinfo(np.int64).max, sizes[0] + sizes[1])
            small[int(both.argmin())] = True
        new = np.where(small, 0, np.cumsum(~small))
        codes = pd.factorize(new[codes], sort=True)[0]
    count = int(codes.max()) + 1
    return [codes[:n].astype(np.int64), codes[n:].astype(np.int64)], count, joined
