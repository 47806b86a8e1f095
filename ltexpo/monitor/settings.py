"""What is watched, how sure an alarm must be, and how far prices may move in a day."""

import datetime as dt
from typing import Literal, Self

from pydantic import Field, model_validator

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.data.tail import TailSpec
from ltexpo.metrics.small_groups import LEAST_USERS

Rate = Literal["clicks per request", "carts per request", "purchases per request"]

_BORNE: dict[Rate, float] = {"clicks per request": 0.05}


class ControllerSettings(Settings):
    """How the deviation of a day becomes the prices of the next."""

    method: Literal["dual", "pid"] = "dual"
    """dual: a step along the missing exposure; pid: also by how it changed."""
    step: float = Field(1.0, gt=0)
    """dual: spreads of the scores (best − middle of a list) that a price moves for exposure that is missing wholly."""
    kp: float = Field(0.5, ge=0)
    """pid: spreads for the change of the relative deviation since the day before."""
    ki: float = Field(1.0, gt=0)
    """pid: spreads for the relative deviation itself, every day that it lasts."""
    kd: float = Field(0.25, ge=0)
    """pid: spreads for the change of that change."""
    most_step: float = Field(0.25, gt=0)
    """Spreads that a price may move in one day."""
    most_price: float = Field(10.0, gt=0)
    """Spreads that a price may reach; beyond, and on the wrong side of 0, no price ever goes."""
    most_jump: float = Field(1.0, ge=0)
    """Prices in force that lie further than so many of the largest daily steps from what was decided are taken for
    wrong, unless they were solved with a proof."""
    ignored_errors: float = Field(1.0, ge=0)
    """A deviation counts as far as it exceeds so many of its standard errors: noise alone moves no price."""
    least_requests: int = Field(200, ge=1)
    """Prices hold on a day with fewer lists shown."""


class MonitorSettings(Settings):
    """How a day is judged."""

    tail: TailSpec = TailSpec()
    """Which items are head, tail and new; should be what the lists were re-ranked with."""
    reference_days: int = Field(28, ge=7)
    """Earlier days that a day is compared with; days with an alarm of the same kind are left out, until it has stood
    for `settled_days` and is the new normal."""
    least_days: int = Field(14, ge=5)
    """With fewer reference days nothing is compared."""
    settled_days: int = Field(7, ge=2)
    """An alarm that stood for so many days in a row is what the days after it are compared with."""
    window: int = Field(14, ge=2)
    """Days that a slow change of clicks or calibration may reach back."""
    false_alarms: float = Field(0.005, gt=0, lt=0.5)
    """Chance that a quiet day raises any alarm; divided evenly over the kinds of alarm, and within one over what it
    looks at."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals that are written; alarms have their own."""
    guardrails: dict[Rate, float] = Field(default_factory=lambda: dict(_BORNE))
    """Relative losses that are borne; one that is proven to be exceeded is a breach."""
    goal_deviation: float = Field(0.1, gt=0)
    """A goal's alarm: exposure proven to miss its target by more than this share of it."""
    traffic_change: float = Field(0.2, gt=0)
    """Traffic's alarm: a count proven to differ from the same weekday's, and by more than this share."""
    calibration_change: float = Field(0.1, gt=0)
    """Calibration's alarm: clicks per expected click proven to have moved by more than this share."""
    drift: float = Field(0.1, gt=0)
    """Drift's alarm: a population stability index proven to be no noise, and above this (0.1 is called moderate and
    0.25 major in the trade)."""
    drift_by: tuple[str, ...] = (Columns.Category, Columns.Price, Columns.Tier)
    """What catalogue and demand are divided by: columns of items, or tier."""
    faults: float = Field(0.01, ge=0)
    """A fault of the data (duplicates, unknown items, gaps …) is an alarm where it is proven to be in this share of the
    rows more than on the reference days."""
    clock_grace: float = Field(60.0, ge=0)
    """Minutes that an event may lie ahead of the clock."""
    now: dt.datetime | None = None
    """What the clock says, for events from the future; null: when the job runs."""
    new_days: int = Field(28, ge=1)
    """Items count as new for so many days after created_at."""
    pictures: bool = True
    """Look whether every item's picture is there."""
    least_users: int = Field(LEAST_USERS, ge=1)
    """Groups of fewer users are merged into "others" in everything that is written; so are goals, whose exposure then
    stays untold."""
    controller: ControllerSettings = ControllerSettings()
    """How tomorrow's prices follow."""

    @model_validator(mode="after")
    def _enough_days(self) -> Self:
        if self.least_days > self.reference_days:
            raise ValueError(f"least_days = {self.least_days} is more than reference_days = {self.reference_days}")
        for rate, margin in self.guardrails.items():
            if not 0 <= margin < 1:
                raise ValueError(f"guardrails: '{rate}' is {margin:g}; give a relative loss of 0 to 1")
        return self
