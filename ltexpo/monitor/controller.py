"""A day's deviations and prices + what was decided before → tomorrow's prices, each with its reason.

Other than `ltexpo.rerank.controller`, which steers lists within a day, this moves prices once a day by what was really
shown, and all it remembers is the table of its decisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.data.schema import wrong_type
from ltexpo.errors import ColumnError
from ltexpo.monitor.published import GOAL_KEY, goal_words
from ltexpo.monitor.settings import ControllerSettings

Array = npt.NDArray[np.float64]

DECISION_COLUMNS = [
    "day", *GOAL_KEY, "price_before", "price_after", "target", "achieved", "deviation", "error", "action", "reason",
    "good",
]
STEP, KEEP, HOLD, ROLLBACK = "step", "keep", "hold", "rollback"
"""A price moved; was judged and need not move, or cannot; was not judged, so it stays; went back to an earlier one."""
_SAME = 1e-9
"""Prices that differ by less than so many spreads are the same."""


@dataclass(frozen=True)
class Breach:
    """A guardrail that is broken today."""

    since: str
    """First day of the proof."""
    words: str
    standing: bool = False
    """It was broken on the day before, too."""


def decide(
    goals: pd.DataFrame,
    prices: pd.DataFrame | None,
    past: pd.DataFrame,
    settings: ControllerSettings,
    *,
    day: str,
    spread: float,
    solved: bool = False,
    missing: str | None = None,
    breach: Breach | None = None,
    strangers: bool = False,
) -> pd.DataFrame:
    """One row a goal, `DECISION_COLUMNS`: yesterday's prices in force, tomorrow's, and why.

    `goals`: group, value, kind, sign (+1 at least, −1 at most), target, achieved, error (shares of exposure; NaN:
    not known). `prices`: those in force on the day (None: unreadable). `past`: earlier decisions, of any days.
    `spread`: what a boost has to bridge, in score units. `solved`: the prices came with a proof, so they may jump.
    `missing`: why the day's exposure cannot be relied on. `strangers`: the prices are of other goals.

    A deviation is (target − achieved) / target, less what its standard error explains. Prices follow it by the dual
    step λ + step · spread · e (Balseiro, Lu & Mirrokni 2020, arXiv 2007.00514), or by a PID in its velocity form,
    λ + spread (ki e + kp (e − e₁) + kd (e − 2 e₁ + e₂)), whose integral is the price itself and so cannot wind up
    (Åström & Hägglund 2006, "Advanced PID Control"); at most `most_step` spreads a day, inside the box of allowed
    prices. A price file that is wrong, or a breach after prices changed, takes back the prices of the last good day.
    """
    n = len(goals)
    sign = goals["sign"].to_numpy(np.float64)
    keys = goal_keys(goals)
    scale = spread if np.isfinite(spread) and spread > 0 else _scale_of(prices, past)
    low = np.where(sign > 0, 0.0, -settings.most_price * scale)
    high = np.where(sign > 0, settings.most_price * scale, 0.0)
    served, wrong = _served(prices, keys, sign)
    if strangers:
        wrong = "the prices are of another set of goals"
    known_days = past[past["day"].astype(str) < day]
    good = known_days[known_days["good"].astype(bool)]
    if wrong is None and not solved:
        wrong = _jumped(served, keys, known_days, settings, scale, low, high)
    if wrong is None:  # a price that was solved with a proof may lie further out
        low, high = np.minimum(low, served), np.maximum(high, served)
    deviation, error = _deviations(goals, settings)

    after, action = served.copy(), np.full(n, HOLD, dtype=object)
    reasons: npt.NDArray[np.object_] = np.full(n, "", dtype=object)
    if wrong is not None:
        back, when = _last_good(good, keys)
        after[:], action[:] = back, ROLLBACK
        told = "no good day is known, so to 0" if when is None else f"back to those of {when}"
        reasons[:] = f"wrong price file: {wrong}; {told}"
    elif breach is not None:
        if breach.standing:
            back, when = _decided(known_days, keys)
        else:
            back, when = _last_good(good[good["day"].astype(str) < breach.since], keys)
        if when is not None and np.abs(back - served).max(initial=0.0) > _SAME * scale:
            after[:], action[:] = back, ROLLBACK
            reasons[:] = f"{breach.words}, and prices had changed: back to those of {when}"
        else:
            reasons[:] = f"{breach.words}: held, as " + (
                "no earlier prices are known" if when is None else f"the prices are those of {when}"
            )
    elif missing is not None:
        reasons[:] = missing
    else:
        move = _move(deviation, keys, known_days, settings, day) * scale
        most = settings.most_step * scale
        wanted = served + np.clip(move, -most, most)
        boxed = np.clip(wanted, low, high)
        steps = np.isfinite(deviation)
        after = np.where(steps, boxed, served)
        action[steps] = np.where(np.abs(after - served) > _SAME * scale, STEP, KEEP)[steps]
        for g in range(n):
            reasons[g] = _step_reason(_relative(goals)[g], deviation[g], move[g], most, served[g], wanted[g], boxed[g])
    return pd.DataFrame({
        "day": day, **{name: goals[name].to_numpy(object) for name in GOAL_KEY}, "price_before": served,
        "price_after": after, "target": goals["target"].to_numpy(np.float64),
        "achieved": goals["achieved"].to_numpy(np.float64), "deviation": _relative(goals), "error": error,
        "action": action, "reason": reasons,
        "good": np.full(n, wrong is None and breach is None and missing is None),
    })[DECISION_COLUMNS]


def empty_decisions() -> pd.DataFrame:
    """No decision yet."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in DECISION_COLUMNS})


def goal_keys(goals: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    """What a goal is known by from day to day: group, value, kind, and its place among those alike."""
    seen: dict[tuple[str, str, str], int] = {}
    keys = []
    for group, value, kind in goals[GOAL_KEY].itertuples(index=False):
        name = (str(group), "" if value is None or value != value else str(value), str(kind))
        keys.append((*name, seen.setdefault(name, 0)))
        seen[name] += 1
    return keys


def check_price_columns(prices: pd.DataFrame) -> None:
    """Raise `ColumnError` on a table that is not one of prices, or whose prices are no numbers."""
    missing = [column for column in (*GOAL_KEY, "price") if column not in prices.columns]
    if missing:
        raise ColumnError(f"prices lacks '{missing[0]}'; found {', '.join(map(str, prices.columns))}.")
    if len(prices) and not pd.api.types.is_numeric_dtype(prices["price"]):
        raise wrong_type(prices["price"], "price", "numbers", where="prices")


def _served(
    prices: pd.DataFrame | None, keys: Sequence[tuple[str, str, str, int]], sign: Array
) -> tuple[Array, str | None]:
    """The prices in force (G,), and what is wrong with them."""
    if prices is None:
        return np.full(len(keys), np.nan), "it is missing or cannot be read"
    held = dict(zip(goal_keys(prices), prices["price"].to_numpy(np.float64), strict=True))
    served = np.array([held.get(key, np.nan) for key in keys], dtype=np.float64)
    lost = sum(key not in held for key in keys)
    if lost:
        return served, f"it lacks {lost} of {len(keys)} goals"
    if not np.isfinite(served).all():
        return served, f"{int((~np.isfinite(served)).sum())} prices are not finite"
    against = served * sign < 0
    if against.any():
        return served, f"{int(against.sum())} prices are of the wrong sign"
    return served, None


def _jumped(
    served: Array, keys: Sequence[tuple[str, str, str, int]], past: pd.DataFrame, settings: ControllerSettings,
    scale: float, low: Array, high: Array,
) -> str | None:
    """Whether a price lies where none was decided."""
    outside = (served < low - _SAME * scale) | (served > high + _SAME * scale)
    if outside.any():
        return f"{int(outside.sum())} prices lie beyond {settings.most_price:g} spreads of the scores"
    decided, when = _decided(past, keys, unknown=np.nan)
    far = np.abs(served - decided)
    if when is None or not (far > settings.most_jump * settings.most_step * scale).any():
        return None
    g = int(np.argmax(np.nan_to_num(far)))
    return f"{goal_words(*keys[g][:3])} is {served[g]:.4g}, where {decided[g]:.4g} was decided on {when}"


def _last_good(good: pd.DataFrame, keys: Sequence[tuple[str, str, str, int]]) -> tuple[Array, str | None]:
    """Prices in force on the last good day (G,), and that day; 0 for what had none."""
    if good.empty:
        return np.zeros(len(keys)), None
    when = str(good["day"].astype(str).max())
    last = good[good["day"].astype(str) == when]
    held = dict(zip(goal_keys(last), last["price_before"].to_numpy(np.float64), strict=True))
    return np.array([held.get(key, 0.0) for key in keys], dtype=np.float64), when


def _decided(
    past: pd.DataFrame, keys: Sequence[tuple[str, str, str, int]], *, unknown: float = 0.0
) -> tuple[Array, str | None]:
    """What was decided last (G,), and when; `unknown` for a goal that is new."""
    if past.empty:
        return np.full(len(keys), unknown), None
    when = str(past["day"].astype(str).max())
    last = past[past["day"].astype(str) == when]
    held = dict(zip(goal_keys(last), last["price_after"].to_numpy(np.float64), strict=True))
    return np.array([held.get(key, unknown) for key in keys], dtype=np.float64), when


def _relative(goals: pd.DataFrame) -> Array:
    target = goals["target"].to_numpy(np.float64)
    base = np.where(target > 0, target, 1.0)
    relative: Array = (target - goals["achieved"].to_numpy(np.float64)) / base
    return relative


def _deviations(goals: pd.DataFrame, settings: ControllerSettings) -> tuple[Array, Array]:
    """The part of each relative deviation that noise does not explain (G,), and its standard error (G,)."""
    target = goals["target"].to_numpy(np.float64)
    error = goals["error"].to_numpy(np.float64) / np.where(target > 0, target, 1.0)
    plain = _relative(goals)
    noise = settings.ignored_errors * np.where(np.isfinite(error), error, np.inf if len(error) else 0.0)
    with np.errstate(invalid="ignore"):
        counted = np.sign(plain) * np.maximum(np.abs(plain) - noise, 0.0)
    return np.where(np.isfinite(plain) & np.isfinite(error), counted, np.nan), error


def _move(
    deviation: Array, keys: Sequence[tuple[str, str, str, int]], past: pd.DataFrame, settings: ControllerSettings,
    day: str,
) -> Array:
    """Spreads by which each price would like to move (G,)."""
    if settings.method == "dual":
        return np.where(np.isfinite(deviation), settings.step * deviation, 0.0)
    before, earlier = _deviations_of(past, keys, day, 1, settings), _deviations_of(past, keys, day, 2, settings)
    change = np.where(np.isfinite(before), deviation - before, 0.0)
    bend = np.where(np.isfinite(before) & np.isfinite(earlier), deviation - 2 * before + earlier, 0.0)
    move = settings.ki * deviation + settings.kp * change + settings.kd * bend
    return np.where(np.isfinite(move), move, 0.0)


def _deviations_of(
    past: pd.DataFrame, keys: Sequence[tuple[str, str, str, int]], day: str, ago: int, settings: ControllerSettings
) -> Array:
    """Each goal's counted deviation so many days ago (G,); NaN where it was not judged that day."""
    when = str((pd.Timestamp(day) - pd.Timedelta(days=ago)).date())
    rows = past[(past["day"].astype(str) == when) & past["action"].isin([STEP, KEEP])]
    if rows.empty:
        return np.full(len(keys), np.nan)
    plain, noise = rows["deviation"].to_numpy(np.float64), rows["error"].to_numpy(np.float64)
    counted = np.sign(plain) * np.maximum(np.abs(plain) - settings.ignored_errors * noise, 0.0)
    held = dict(zip(goal_keys(rows), counted, strict=True))
    return np.array([held.get(key, np.nan) for key in keys], dtype=np.float64)


def _scale_of(prices: pd.DataFrame | None, past: pd.DataFrame) -> float:
    """The largest price there was, where no scores say what a boost has to bridge; else 1."""
    sizes: list[float] = []
    for frame, column in ((prices, "price"), (past, "price_before")):
        if frame is not None and len(frame):
            held = np.abs(frame[column].to_numpy(np.float64))
            sizes += held[np.isfinite(held) & (held > 0)].tolist()
            if sizes:
                return max(sizes)
    return 1.0


def _step_reason(
    missed: float, deviation: float, move: float, most: float, served: float, wanted: float, boxed: float
) -> str:
    if not np.isfinite(deviation):
        return "its exposure is not known"
    told = f"exposure {-missed:+.1%} from target"
    if served == boxed == 0:
        return f"{told}, kept without a price"
    if deviation == 0:
        return f"{told}, within what noise explains"
    if abs(move) > most:
        told += ", cut to the largest step"
    if wanted != boxed:
        told += ", kept in the allowed range"
    return told
