"""How candidates are asked for."""

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ltexpo.columns import EventKind
from ltexpo.data.history import EVENT_WEIGHTS
from ltexpo.data.tail import TailSpec
from ltexpo.ranking.components import ComponentSettings


class RecommendSettings(ComponentSettings):
    """How candidates are made."""

    k: int = Field(100, ge=1)
    """Candidates per user."""
    until: str | dt.datetime | dt.date | None = None
    """Learn from events before this moment only; null: from all."""
    users: Literal["all", "known"] = "all"
    """all: everyone in users or events; known: those with an interaction to learn from."""
    users_file: Path | None = None
    """Parquet file with a user_id column: make candidates for these users only; null: as 'users' says."""
    exclude_seen: bool = False
    """Leave out what the user already interacted with."""
    event_weights: dict[str, float] = Field(dict(EVENT_WEIGHTS))
    """How much each kind of interaction (click, cart, purchase, rating) counts; 0 or absent: not at all."""
    explore: float = Field(0.2, ge=0, lt=1)
    """At least this share of each user's candidates are tail or new products: their best of these."""
    tail: TailSpec = TailSpec()
    """Which products are tail and new."""
    pool: int = Field(300, ge=1)
    """This many items of each component enter the blend (at least k)."""
    weights: dict[str, float] | None = None
    """Weight of each component in the blend, not negative; null: chosen on the validation period."""
    validation_days: int | None = Field(None, ge=1)
    """Days at the end of training to choose weights and calibrate on; null: the fewest in which 200 users come back."""
    validation_users: int = Field(2000, ge=1)
    """At most this many users are drawn for it."""
    validation_k: int = Field(12, ge=1)
    """Weights are chosen for the quality of this many first candidates."""
    attention: str | tuple[float, ...] = "log2"
    """Probability that each rank of a logged impression was examined: log2, uniform, one number per rank, or the path
    of a Parquet, CSV or JSON table with columns rank, attention."""

    @field_validator("event_weights")
    @classmethod
    def _known_kinds(cls, weights: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(weights) - set(EventKind.Interactions))
        if unknown:
            raise ValueError(f"'{unknown[0]}' is not one of {', '.join(EventKind.Interactions)}")
        if not all(0 <= weight < float("inf") for weight in weights.values()) or sum(weights.values()) <= 0:
            raise ValueError("weights are finite, not negative, and not all 0")
        return weights
