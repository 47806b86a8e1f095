"""What users are assumed to do beside clicking: how often they come, tire, stay away, spend."""

from pydantic import Field

from ltexpo.config import Settings


class BehaviourSettings(Settings):
    """How simulated users behave. What a log does not tell is an assumption here, and the report says so."""

    visits_per_day: float | None = Field(None, gt=0, le=24)
    """Mean visits of a user on a day while satisfied as usual; a visit shows one of the user's lists. Without it, as
    often as the log says; where there is no log, 0.5."""
    activity_spread: float = Field(0.5, ge=0, le=3)
    """Where visits_per_day is given or there is no log: standard deviation of log visits per day between users."""
    fatigue: float = Field(0.1, ge=0, lt=1)
    """Share of an item's attraction that is lost each time that the same user examines it."""
    recovery: float = Field(0.1, ge=0, le=1)
    """Share of that fatigue that a day heals."""
    saturation: float = Field(0.0, ge=0, lt=1)
    """Share of an item's attraction that is lost for each item of its category above it in the list."""
    novelty: float = Field(0.0, ge=0, le=5)
    """Extra attraction, as a share, of an item that the control's lists did not show to the user, on the first day."""
    novelty_half_life: float = Field(3.0, gt=0)
    """Days in which that extra halves."""
    satisfaction_memory: float = Field(0.8, ge=0, lt=1)
    """Weight of all earlier visits against the newest one in a user's satisfaction (an exponential mean of visits with
    a click)."""
    return_strength: float = Field(0.5, ge=0, le=10)
    """Log of the factor on a user's visit rate for each unit of satisfaction above what the control would give."""
    leave_per_day: float = Field(0.002, ge=0, lt=1)
    """Chance that a user as satisfied as usual leaves for good on a day."""
    leave_strength: float = Field(2.0, ge=0, le=20)
    """Log of the factor on that chance for each unit of satisfaction below what the control would give."""
    budget: float | None = Field(None, gt=0)
    """Mean of what a user can spend in 30 days, in units of price; without it nobody runs out of money."""
    budget_spread: float = Field(0.8, ge=0, le=3)
    """Standard deviation of log budget between users."""
    new_users: float = Field(0.0, ge=0, le=0.9)
    """Share of the users who arrive during the test, on evenly spread days, instead of being there at its start."""
