"""Per-user totals of two arms → each metric's effect with user-clustered intervals."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Totals = npt.NDArray[np.float64]


def ratio_effects(
    users: pd.DataFrame, metrics: Mapping[str, tuple[str, str]], treated: npt.NDArray[np.bool_], *, level: float = 0.95
) -> pd.DataFrame:
    """One row per metric: control, treatment, difference with interval, relative difference with interval, p_value.

    `users` holds one row per user with the totals that `metrics` names as (numerator, denominator); users are the
    randomised units, so a ratio of sums has the delta-method variance over users (Deng et al., KDD 2018), and the two
    arms are independent. The relative interval is the delta method's on log(treatment / control), mapped back.
    """
    rows = []
    z = float(stats.norm.ppf(0.5 + level / 2))
    for metric, (numerator, denominator) in metrics.items():
        values, totals = users[numerator].to_numpy(np.float64), users[denominator].to_numpy(np.float64)
        control, control_se = ratio(values[~treated], totals[~treated])
        treatment, treatment_se = ratio(values[treated], totals[treated])
        difference, error = treatment - control, float(np.hypot(control_se, treatment_se))
        row = {
            "metric": metric, "control": control, "treatment": treatment,
            "difference": difference, "low": difference - z * error, "high": difference + z * error,
            "relative": np.nan, "relative_low": np.nan, "relative_high": np.nan,
            # Without any variation there is nothing to test: equal arms are certain to be equal.
            "p_value": 2 * float(stats.norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0),
        }
        if control > 0 and treatment > 0:
            log_ratio = np.log(treatment / control)
            log_error = float(np.hypot(control_se / control, treatment_se / treatment))
            row["relative"] = treatment / control - 1
            row["relative_low"] = np.exp(log_ratio - z * log_error) - 1
            row["relative_high"] = np.exp(log_ratio + z * log_error) - 1
        rows.append(row)
    return pd.DataFrame(rows)


def ratio(numerator: Totals, denominator: Totals) -> tuple[float, float]:
    """Σ numerator / Σ denominator over clusters (n,) and its delta-method standard error; NaN without denominator."""
    n, total = len(numerator), float(denominator.sum())
    if n < 2 or total == 0:
        return float("nan"), float("nan")
    value = float(numerator.sum()) / total
    residual = numerator - value * denominator
    error = float(np.sqrt(n / (n - 1) * np.square(residual).sum())) / total
    return value, error
