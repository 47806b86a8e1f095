"""Events before a test → how often each user comes, steadied where little is known."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.split import as_utc

Floats = npt.NDArray[np.float64]


def visit_rates(users: "pd.Index[str]", events: pd.DataFrame, *, until: str | None) -> Floats:
    """(U,) days with an event per day of the log before `until` (None: all of it), for `users` in order.

    Rates are Gamma-distributed between users and days with an event Poisson: the rate of one user is the posterior
    mean, with the Gamma's parameters by moments (empirical Bayes: Robbins 1956). Who was never seen is taken for one of
    those who came once, not for one who never comes.
    """
    if until is not None:
        events = events[events[Columns.Timestamp] < as_utc(until)]
    day = events[Columns.Timestamp].dt.floor("D")
    length = max((day.max() - day.min()).days + 1, 1)
    active = day.groupby(events[Columns.User]).nunique()
    count = active.reindex(users).fillna(1.0).to_numpy(np.float64)
    mean, variance = float(count.mean()), float(count.var())
    if variance <= mean:  # no more than chance between them
        return np.full(len(users), mean / length)
    shape = mean**2 / (variance - mean)
    rates: Floats = (count + shape) / (1 + shape / mean) / length
    return rates
