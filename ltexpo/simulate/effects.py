"""Per-user totals of two arms → each metric's effect with user-clustered intervals."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ltexpo.metrics.intervals import Ratio, difference, estimate


def ratio_effects(
    users: pd.DataFrame, metrics: Mapping[str, tuple[str, str]], treated: npt.NDArray[np.bool_], *, level: float = 0.95
) -> pd.DataFrame:
    """One row per metric: control, treatment, difference with interval, relative difference with interval, p_value.

    `users` holds one row per user with the totals that `metrics` names as (numerator, denominator). Users are the
    randomised units, so a ratio of sums has the delta-method variance over users (Deng, Knoblich & Lu, KDD 2018), and
    the two arms are independent. The relative interval is the delta method's on log(treatment / control), mapped
    back; it is NaN when an arm's value is 0.
    """
    user = np.arange(len(users))
    rows = []
    for metric, (numerator, denominator) in metrics.items():
        values, totals = users[numerator].to_numpy(np.float64), users[denominator].to_numpy(np.float64)
        arms = [Ratio.of(values[arm], totals[arm], user[arm]) for arm in (~treated, treated)]
        control, treatment = (estimate(arm, level=level) for arm in arms)
        change = difference(arms[1], arms[0], level=level)
        relative = _relative(control.value, treatment.value, control.error, treatment.error, level)
        rows.append({
            "metric": metric, "control": control.value, "treatment": treatment.value,
            "difference": change.value, "low": change.low, "high": change.high,
            "relative": relative[0], "relative_low": relative[1], "relative_high": relative[2],
            "p_value": _p_value(change.value, change.error, len(users) - 1),
        })
    return pd.DataFrame(rows)


def _relative(
    control: float, treatment: float, control_error: float, treatment_error: float, level: float
) -> tuple[float, float, float]:
    if not (control > 0 and treatment > 0):
        return float("nan"), float("nan"), float("nan")
    center = np.log(treatment / control)
    half = float(stats.norm.ppf(0.5 + level / 2)) * np.hypot(control_error / control, treatment_error / treatment)
    return treatment / control - 1, float(np.expm1(center - half)), float(np.expm1(center + half))


def _p_value(change: float, error: float, freedom: int) -> float:
    if error > 0:
        return 2 * float(stats.t.sf(abs(change) / error, freedom))
    # Without any variation there is nothing to test: equal arms are certain to be equal.
    return float(change == 0)
