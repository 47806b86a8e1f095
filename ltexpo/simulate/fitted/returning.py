"""A log of visits and clicks → how much a satisfied user's visits multiply, each user compared with herself.

The simulator's assumption is that a user comes on a day with Poisson mean rate · exp(strength · satisfaction), where
satisfaction is an exponential mean of visits with a click. Active users click more and come more whether or not the
one causes the other, so users are never compared with one another: what is left is how a user's days after good visits
differ from her days after bad ones.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ltexpo.columns import Columns, EventKind
from ltexpo.errors import TableError
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.fitted.satisfaction import follow

Floats = npt.NDArray[np.float64]

LEAST_DAYS, LEAST_USERS = 7, 100
"""Below these there is nothing to compare: days of the log, and users with three visits or more on two days or more."""
MOST_USERS = 200_000
"""Of more users, so many are drawn."""
MOST_ERROR = 0.25
"""Of a strength with a larger standard error the assumption is kept: its interval is wider than 1."""
_ROUNDS, _STEPS, _WIDEST = 8, 50, 10.0


@dataclass(frozen=True)
class Returning:
    """What a log says of the strength with which satisfaction brings users back."""

    strength: float
    """Log of the factor on a user's visits a day for each unit of satisfaction."""
    error: float
    """Standard error, clustered by user."""
    low: float
    high: float
    level: float
    users: int
    visits: int
    days: int

    def to_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def fit_return_strength(events: pd.DataFrame, *, memory: float, level: float = 0.95) -> Returning:
    """From impressions with request_id (a request is a visit), their clicks and times; `memory` as in
    `BehaviourSettings.satisfaction_memory`.

    n_ut visits of user u on day t have mean r_u D_t exp(β s_ut) given all that came before. Then
    y_ut = n_ut exp(−β s_ut) / D_t has mean r_u on every day to come, whatever happened up to t, so that y_ut less its
    mean later is uncorrelated with what is known at t: with z_ut, how far the user's latest visits were above all hers
    up to then. This solves for β without r_u and, unlike a conditional likelihood, where visits also change later
    satisfaction (sequential moments: Chamberlain 1992; Wooldridge 1997). Days that bring everybody go with D_t.

    What else makes a user click and come more in the same days (a sale, a salary) is not told apart from satisfaction,
    and whoever leaves for good after bad visits counts as not coming. Raises `TableError` where the log is too short.
    """
    visits = _visits(events)
    first = visits["day"].min()
    days = int(visits["day"].max() - first) + 1
    if days < LEAST_DAYS:
        raise TableError(f"the log's visits span {days} days; {LEAST_DAYS} are needed to see users come back.")
    by_user = visits.groupby("user")["day"].agg(["size", "nunique"])
    telling = by_user.index[(by_user["size"] >= 3) & (by_user["nunique"] >= 2)]
    if len(telling) < LEAST_USERS:
        raise TableError(f"{len(telling)} users come three times or more; {LEAST_USERS} are needed to compare users "
                         "with themselves.")
    if not visits["clicked"].any() or visits["clicked"].all():
        raise TableError("all visits of the log are alike: none had a click, or all had one.")
    # Everybody who came at all is watched, not only those who came back: else coming back would be what selects.
    names = by_user.index
    if len(names) > MOST_USERS:
        names = names[np.sort(np.random.default_rng(0).permutation(len(names))[:MOST_USERS])]
        visits = visits[visits["user"].isin(names)]
    user = pd.factorize(visits["user"], sort=True)[0]
    n, s, z, watched = _panel(
        user.astype(np.int64), (visits["day"] - first).to_numpy(np.int64),
        visits["clicked"].to_numpy(np.bool_), int(user.max()) + 1, days, memory,
    )
    beta, error = _solve(n, s, z, watched)
    if not np.isfinite(error) or abs(beta) > _WIDEST:
        raise TableError("the log does not tell how satisfaction changes visits: users' good and bad visits do not "
                         "differ enough.")
    half = float(ndtri(0.5 + level / 2)) * error
    return Returning(beta, error, beta - half, beta + half, level, len(n), len(visits), days)


def return_strength_of(
    events: pd.DataFrame, behaviour: BehaviourSettings, *, level: float = 0.95
) -> tuple[BehaviourSettings, dict[str, Any]]:
    """`behaviour` with the strength that the log tells, or as it is where it does not, and what to say of it.

    The facts hold "learnt", "strength" (that is used), where something was learnt the fields of `Returning` as
    "found", and "reason" where it is not used.
    """
    assumed = behaviour.return_strength
    if "return_strength" in behaviour.model_fields_set:
        return behaviour, {"learnt": False, "strength": assumed, "reason": "behaviour.return_strength was given"}
    try:
        found = fit_return_strength(events, memory=behaviour.satisfaction_memory, level=level)
    except TableError as error:
        return behaviour, {"learnt": False, "strength": assumed, "reason": str(error).rstrip(".")}
    told = {"found": found.to_dict()}
    if found.error > MOST_ERROR:
        reason = (f"the log leaves {found.low:.2f} to {found.high:.2f} possible, which is too much to be of use: its "
                  f"{found.users:,} users came too rarely in {found.days} days")
        return behaviour, {"learnt": False, "strength": assumed, "reason": reason, **told}
    # The model knows no users whom satisfaction drives away.
    strength = min(max(found.strength, 0.0), 10.0)
    return behaviour.model_copy(update={"return_strength": strength}), {"learnt": True, "strength": strength, **told}


def _visits(events: pd.DataFrame) -> pd.DataFrame:
    """user, day (number), clicked of every request, by user and time."""
    shown = events[events[Columns.Event] == EventKind.Impression]
    if shown.empty or Columns.Request not in shown.columns or shown[Columns.Request].isna().any():
        raise TableError("the log does not say which impressions were one visit. Log impressions with request_id.")
    found = shown.groupby(Columns.Request, sort=False).agg(
        user=(Columns.User, "first"), time=(Columns.Timestamp, "min")
    )
    clicked = events.loc[events[Columns.Event] == EventKind.Click, Columns.Request]
    found["clicked"] = found.index.isin(clicked)
    found["day"] = (found["time"].dt.floor("D") - pd.Timestamp(0, tz="UTC")).dt.days
    return found.sort_values(["user", "time"], kind="stable", ignore_index=True)


def _panel(
    user: npt.NDArray[np.int64], day: npt.NDArray[np.int64], clicked: npt.NDArray[np.bool_], users: int, days: int,
    memory: float,
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """(U, D) visits of each day; at its start satisfaction and how far it is above what is usual for the user, as far
    as is known by then; watched: after the first day."""
    n, s, z = np.zeros((users, days)), np.zeros((users, days)), np.zeros((users, days))
    usual = float(clicked.mean())
    clicks = np.bincount(user, weights=clicked, minlength=users)
    count = np.bincount(user, minlength=users).astype(np.float64)
    # Two visits of one user both have a click oftener than two of two users: users differ by that much.
    pairs = float((count * (count - 1)).sum())
    between = float((clicks * (clicks - 1)).sum()) / pairs - usual**2
    strength = max(usual * (1 - usual) / between - 1, 0.1) if between > 0 else 1e6
    follow(user, day, clicked, memory, usual, strength, n, s, z)
    came = np.full(users, days, dtype=np.int64)
    np.minimum.at(came, user, day)
    return n, s, z, np.arange(days) > came[:, None]


def _solve(n: Floats, s: Floats, z: Floats, watched: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """β and its standard error; NaN where nothing tells."""
    beta, day = 0.0, np.ones(n.shape[1])
    for _ in range(_ROUNDS):
        day = _days(n, np.exp(beta * s), watched, day)
        before = beta
        for _ in range(_STEPS):
            moments, slope = _moments(beta, n / day, s, z, watched)
            if slope == 0:
                return float("nan"), float("nan")
            step = float(np.clip(moments.sum() / slope, -1, 1))
            beta -= step
            if abs(step) < 1e-10:
                break
        if not abs(beta) <= _WIDEST:
            return float("nan"), float("nan")
        if abs(beta - before) < 1e-8:
            break
    moments, slope = _moments(beta, n / day, s, z, watched)
    return beta, float(np.sqrt(np.square(moments).sum()) / abs(slope))


def _moments(beta: float, n: Floats, s: Floats, z: Floats, watched: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """(U,) Σ_t z_t (y_t − mean of later y) with y = n exp(−β s), and the derivative of their sum by β."""
    y = np.where(watched, n * np.exp(-beta * s), 0.0)
    # Watched days run to the log's end, so day t has D − 1 − t later ones.
    later = np.arange(n.shape[1])[::-1].astype(np.float64)
    weight = np.where(watched & (later > 0), z, 0.0)

    def ahead(values: Floats) -> Floats:
        total = np.cumsum(values[:, ::-1], axis=1)[:, ::-1] - values
        return total / np.maximum(later, 1)

    moments: Floats = (weight * (y - ahead(y))).sum(axis=1)
    return moments, float((weight * (ahead(s * y) - s * y)).sum())


def _days(n: Floats, lift: Floats, watched: npt.NDArray[np.bool_], day: Floats) -> Floats:
    """(D,) factors of the days, mean 1: users and days by turns, as margins of a table (iterative fitting)."""
    expected = np.where(watched, lift, 0.0)
    came = np.where(watched, n, 0.0)
    by_user, by_day = came.sum(axis=1), came.sum(axis=0)
    for _ in range(20):
        rate = by_user / np.maximum(expected @ day, 1e-12)
        day = by_day / np.maximum(rate @ expected, 1e-12)
        day = np.where(by_day > 0, day, 1.0)
        day = day / day.mean()
    return day
