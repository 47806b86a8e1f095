"""The job as its owner writes it: goals, guardrails, and how lists are examined."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from ltexpo.config import Settings
from ltexpo.data.tail import TailSpec

Limit = Literal["min_share", "max_share", "min_exposure", "max_exposure", "min_of_attainable"]
Merit = Literal["equal", "relevance", "attainable", "none"]
LIMITS: tuple[Limit, ...] = ("min_share", "max_share", "min_exposure", "max_exposure", "min_of_attainable")


class Goal(Settings):
    """What exposure a group must get; exactly one of the five limits."""

    group: str
    """head, tail (new items included), new, item_id, or any column of items."""
    value: str | None = None
    """The one value of the column that is meant, e.g. a category."""
    each: bool = False
    """One goal for every value of the column."""
    where: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """Only items whose columns (or tier) hold these values."""
    min_share: float | None = Field(None, ge=0, le=1)
    """At least this share of all exposure."""
    max_share: float | None = Field(None, ge=0, le=1)
    """At most this share of all exposure."""
    min_exposure: float | None = Field(None, ge=0)
    """At least this much exposure."""
    max_exposure: float | None = Field(None, ge=0)
    """At most this much exposure."""
    min_of_attainable: float | None = Field(None, ge=0, le=1)
    """At least this share of the exposure that its candidates could get if they stood first everywhere."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        given = [name for name in LIMITS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"goal on '{self.group}' gives {', '.join(given) or 'no limit'}; give one of {LIMITS}")
        if self.value is not None and self.each:
            raise ValueError(f"goal on '{self.group}' gives both value and each; give one of them")
        return self

    @property
    def limit(self) -> tuple[Limit, float]:
        """The limit that is given, and its amount."""
        return next((name, float(getattr(self, name))) for name in LIMITS if getattr(self, name) is not None)


class Welfare(Settings):
    """A concave utility of the exposure of groups, maximised together with clicks: clicks + weight × utility."""

    group: str
    """item_id, or any column of items: each of its values is a group."""
    where: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """Only items whose columns (or tier) hold these values."""
    utility: Literal["alpha_fair", "gini"] = "alpha_fair"
    """alpha_fair: Σ merit × ψ(exposure ÷ merit + offset); gini: exposure ÷ merit sorted, the poorest weighing most."""
    weight: float = Field(ge=0)
    """Clicks that one more unit of exposure is worth to a group at its merit (gini: of middle rank), as its boost."""
    alpha: float = Field(1.0, ge=0)
    """alpha_fair: 0 only counts exposure, 1 is proportional (Nash: Σ log), more looks more at the poorest."""
    offset: float = Field(0.01, gt=0)
    """alpha_fair: added to exposure ÷ merit, so that a group with no exposure has a finite utility."""
    aversion: float = Field(2.0, ge=1)
    """gini: 1 only counts exposure, 2 has the weights of the Gini index, more looks more at the poorest."""
    merit: Merit = "equal"
    """Exposure that a group deserves: equal shares of all, by the sum of its scores, by what it could get; none = 1."""


class GuardrailSettings(Settings):
    """What may not be paid for the goals."""

    max_click_loss: float | None = Field(None, ge=0, le=1)
    """Expected clicks of all lists together may fall by at most this share."""
    max_request_loss: float | None = Field(None, ge=0, le=1)
    """Expected clicks of any one list may fall by at most this share of its own best."""
    min_score_ratio: float | None = Field(0.3, ge=0, le=1)
    """Never boost what scores below this share of its request's best."""
    min_score: float | None = None
    """Never boost what scores below this."""
    confidence: float | None = Field(None, ge=0)
    """With score_std: apply both score floors to score − this many standard deviations."""
    protect_top: int = Field(0, ge=0)
    """The first so many slots stay as the ranker has them."""
    max_per: dict[str, int] = Field(default_factory=dict)
    """Column of items → at most so many items with the same value in one list."""
    banned: tuple[str, ...] = ()
    """item_ids that may not be shown."""
    pinned: dict[str, PositiveInt] = Field(default_factory=dict)
    """item_id → slot (1 is the first) where it stands wherever it is a candidate, in the plain lists too. A pin wins
    over every other guardrail and counts in max_per; in a list too short to have the slot the item stands last."""

    @model_validator(mode="after")
    def _pins_agree(self) -> Self:
        at: dict[int, str] = {}
        for item, slot in self.pinned.items():
            if slot in at:
                raise ValueError(f"pinned puts '{at[slot]}' and '{item}' into slot {slot}; give each its own")
            at[slot] = item
        both = sorted(set(self.pinned) & set(self.banned))
        if both:
            raise ValueError(f"'{both[0]}' is both pinned and banned; take it out of one")
        return self


class RerankSettings(Settings):
    """How the lists are re-ranked."""

    k: int = Field(20, ge=1)
    """Length of the final lists."""
    attention: str | tuple[float, ...] = "log2"
    """Probability that each slot is examined: log2, uniform, a list of k probabilities, or the path of a Parquet, CSV
    or JSON table with columns rank, attention, as a fitted click model gives."""
    goals: tuple[Goal, ...] = (Goal(group="tail", min_share=0.3),)
    """What exposure groups must get; all goals are met at the least cost in clicks."""
    goals_file: Path | None = None
    """Parquet of more goals, one a row: group, value, kind (a limit's name, e.g. min_exposure), amount. For many single
    goals, which are slow to read as YAML. With it, goals are what you give and no default."""
    welfare: tuple[Welfare, ...] = ()
    """What even exposure is worth: clicks + welfare are maximised. max_click_loss lowers weights until it is kept."""
    guardrails: GuardrailSettings = GuardrailSettings()
    """What may not be paid for it."""
    elastic: bool = False
    """When the goals cannot be met under the guardrails: false refuses (exit code 3), true comes as near as it can."""
    score_kind: Literal["probability", "logit", "relevance"] = "probability"
    """What a score is: P(click | examined), its logit, or a relevance in click units whose scale is taken as it is."""
    calibrate: Path | None = None
    """Parquet of logged impressions and clicks (request_id, item_id, event, optional rank and score): scores are first
    mapped to P(click | examined) by isotonic regression on the impressions that are candidates, or whose own score was
    logged. null: scores are taken as score_kind says."""
    memory_limit: float | None = Field(None, ge=0)
    """GB that the candidates' arrays may take in memory (8 bytes a candidate); larger ones lie in temporary files, from
    which they are read in order, with the same results. null: half of the memory that is free."""
    tail: TailSpec = TailSpec()
    """Which items are head, tail and new."""
    exact: bool = False
    """Solve the linear program by HiGHS as well and state its optimum in the certificate: a check of small jobs,
    refused above 4 million candidates × k. The lists stay the same."""
    tolerance: float = Field(1e-6, gt=0)
    """Relative gain of the dual under which the solver stops."""

    @field_validator("welfare", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return (given,) if isinstance(given, dict | Welfare) else given

    @field_validator("welfare")
    @classmethod
    def _once_each(cls, given: tuple[Welfare, ...]) -> tuple[Welfare, ...]:
        groups = [term.group for term in given]
        if len(set(groups)) < len(groups):
            raise ValueError(f"names {', '.join(groups)}; give one term for each column, as prices are kept by column")
        return given

    @model_validator(mode="before")
    @classmethod
    def _goals_as_given(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("goals_file") is not None and values.get("goals") is None:
            return {**values, "goals": ()}
        return values

    @model_validator(mode="after")
    def _slots_fit(self) -> Self:
        if self.guardrails.protect_top > self.k:
            raise ValueError(f"guardrails.protect_top = {self.guardrails.protect_top} is beyond the k = {self.k} slots")
        for item, slot in self.guardrails.pinned.items():
            if slot > self.k:
                raise ValueError(f"guardrails.pinned puts '{item}' into slot {slot}, beyond the k = {self.k} slots")
        return self
