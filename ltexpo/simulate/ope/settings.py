"""What a log's rewards and propensities are, how the policy is judged, and when the answer is "cannot say"."""

from typing import Literal

from pydantic import Field, field_validator

from ltexpo.config import Settings

Propensities = Literal["conditional", "marginal", "estimated"]
Reward = Literal["click", "cart", "purchase", "revenue"]


class LogSettings(Settings):
    """How the events are read as a log of what was shown, how likely, and what it earned."""

    reward: Reward = "click"
    """What a shown slot earns: 1 when a click, cart or purchase followed under the same request_id, or the price of
    its purchases (revenue)."""
    propensities: Propensities = "conditional"
    """What the column propensity holds: "conditional", P(item | what stands above it in the list); "marginal",
    P(item at this rank) whatever stands above; "estimated": it is not read, item frequencies by rank (and segment)
    take its place, which undoes nothing that the logging policy knew of the user beyond the segment."""
    segment: tuple[str, ...] = ()
    """Columns of events or users by which estimated propensities and the reward model may differ."""
    smoothing: float = Field(10.0, gt=0)
    """How many shown slots the coarser frequency or mean counts for, where a finer one takes over from it."""
    cluster: Literal["user", "request"] = "user"
    """What is independent of one another in the intervals."""


class OpeSettings(LogSettings):
    """How a target policy is judged from a log."""

    estimator: tuple[str, ...] = ("all",)
    """"all", or names among those that suit the log: for single slots ips, snips, dm, dr, switch_dr, dr_shrinkage; for
    lists these and rips, snrips, cascade_dr, iips, sniips."""
    repeats: bool = False
    """May the target policy show one item twice in a list? no: each slot's probabilities are shared out among the items
    that do not stand above; yes: every slot is drawn by its own, whatever stands above."""
    folds: int = Field(5, ge=2)
    """Users are dealt into so many parts; a part's rewards are predicted from the others' (cross-fitting)."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    min_effective: float = Field(100.0, ge=0)
    """"Cannot say" below this effective sample size: there, intervals of 95% were measured to hold the truth in 90% of
    cases down to 50%; see benchmarks/validity_ope.py."""
    min_rewarded: float = Field(10.0, ge=0)
    """"Cannot say" below this effective number of rewarded slots: (Σ w r)² / Σ (w r)²."""
    max_pareto_k: float = Field(0.7, gt=0)
    """"Cannot say" above this shape of the weights' tail: the mean of weights with a heavier one settles too slowly."""
    max_lacking: float = Field(0.1, gt=0, lt=1)
    """"Cannot say" when the weights' mean is further from 1 than this and its interval excludes 1: so much of what the
    policy would show is shown by the log nowhere, or its propensities are wrong."""

    @field_validator("estimator", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value
