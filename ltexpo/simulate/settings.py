"""How an A/B test is simulated and read."""

from typing import Literal

from pydantic import Field

from ltexpo.config import Settings
from ltexpo.metrics.small_groups import LEAST_USERS
from ltexpo.simulate.behaviour import BehaviourSettings


class ExperimentSettings(Settings):
    """How an A/B test is simulated and read."""

    days: int = Field(14, ge=1, le=3650)
    """Length of the test in days."""
    before_days: int = Field(7, ge=0, le=365)
    """Days before it on which everybody sees the control's lists: what users do then lowers the variance of what is
    measured (CUPED)."""
    shares: dict[str, float] | None = None
    """Share of the users in each arm, by name, adding up to 1; equal ones if not given."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    primary: str = "tail share of exposure"
    """The metric that a treatment is to improve: clicks per visit, click-through rate, tail share of exposure, tail
    share of clicks, tail clicks per visit, conversion (purchases per click), purchases per visit, revenue per visit,
    slots seen per visit (rank of the deepest slot examined), visits per user, day-1 retention, day-7 retention (active
    days after which the user is active 1 or 7 days later), value per user (revenue per user)."""
    guardrails: dict[str, float] = Field(default_factory=lambda: {"clicks per visit": 0.03})
    """Metric (of those of primary) → greatest relative loss that is borne; 0.02 is two percent of the control."""
    retrain_every: int | None = Field(None, ge=1)
    """Arms that are recommenders make new lists after every so many days; without it they make them once."""
    log: Literal["own", "shared"] = "own"
    """What a recommender is retrained on: what its own arm was shown, or the log of all arms, as in most shops."""
    certify: int | None = Field(None, ge=100)
    """Runs in which the experiment's own tests are tried on its own users: A/A, coverage, peeking, power."""
    least_users: int = Field(LEAST_USERS, ge=1)
    """Segments with fewer users than this in an arm are merged with others of their kind, and it is said."""
    behaviour: BehaviourSettings = BehaviourSettings()
    """How users behave beside clicking."""
