"""How an A/B test is simulated and read."""

import difflib
from typing import Literal, Self

from pydantic import Field, model_validator

from ltexpo.config import Settings
from ltexpo.errors import ConfigError
from ltexpo.metrics.small_groups import LEAST_USERS
from ltexpo.simulate.behaviour import BehaviourSettings
from ltexpo.simulate.readings import METRICS

_NEEDS_DAYS = {"day-1 retention": 2, "day-7 retention": 8}


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
    primary: str = Field("tail share of exposure", description="\n".join((
        "The metric that a treatment is to improve, one of:",
        *(f"  {name}: {metric.meaning}" for name, metric in METRICS.items()),
    )))
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

    @model_validator(mode="after")
    def _metrics_are_known(self) -> Self:
        check_metrics(self)
        return self


def check_metrics(settings: ExperimentSettings) -> None:
    """Raise `ConfigError` for a primary metric or guardrail that is unknown or needs a longer test."""
    named = [("primary", settings.primary), *(("guardrails", name) for name in settings.guardrails)]
    for field, metric in named:
        if metric not in METRICS:
            near = difflib.get_close_matches(metric, METRICS, 1)
            guess = f" Did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{field}: '{metric}' is no metric that can be the primary one or a guardrail.{guess} "
                              f"Choose among {', '.join(METRICS)}.")
        if settings.days < _NEEDS_DAYS.get(metric, 1):
            raise ConfigError(f"{field}: '{metric}' needs a test of at least {_NEEDS_DAYS[metric]} days; days is "
                              f"{settings.days}.")
