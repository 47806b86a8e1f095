"""Events before a test → how often each user comes, steadied where little is known."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.split import as_utc
from ltexpo.errors import TableError

Floats = npt.NDArray[np.float64]


def visit_rates(users: "pd.Index[str]", events: pd.DataFrame, *, until: str | None) -> Floats:
    """(U,) days with an event, per day, of each of `users` in order, from the log before `until` (None: all of it).

    A user is watched from the day after her first event on: that there is a first says nothing of how often she comes.
    Days with an event are taken for Poisson and rates for Gamma-distributed between users, with parameters by moments
    (empirical Bayes: Robbins 1956); a user's rate is the posterior mean, that of a stranger the mean of all.
    """
    if until is not None:
        events = events[events[Columns.Timestamp] < as_utc(until)]
    day = events[Columns.Timestamp].dt.floor("D")
    by_user = pd.DataFrame({"user": events[Columns.User], "day": day}).drop_duplicates().groupby("user")["day"]
    came = (by_user.size() - 1).reindex(users).fillna(0.0).to_numpy(np.float64)
    watched = (day.max() - by_user.min()).dt.days.reindex(users).fillna(0.0).to_numpy(np.float64)
    if not came.sum():
        raise TableError(
            "nobody in the log comes back on another day, so it does not tell how often users come. Set "
            "behaviour.visits_per_day."
        )
    mean = came.sum() / watched.sum()
    # Var(count) = mean · watched + variance · watched², so the variance between users is what is left.
    between = float(((came - mean * watched) ** 2 - mean * watched).sum() / (watched**2).sum())
    if between <= 0:  # no more than chance between them
        return np.full(len(users), mean)
    shape = mean**2 / between
    rates: Floats = (came + shape) / (watched + shape / mean)
    return rates
