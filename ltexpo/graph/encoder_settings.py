"""How the graph network is built and trained."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ltexpo.config import Settings

Convolution = Literal["sage", "hgt", "lightgcn"]
HEADS = 4
"""Attention heads of hgt."""


class GraphEncoderSettings(Settings):
    """The graph network and its training."""

    convolution: Convolution = "sage"
    """sage: a matrix for every relation; hgt: attention by type; lightgcn: plain means."""
    width: int = Field(64, ge=4)
    """Length of the vectors."""
    hops: int = Field(2, ge=1, le=4)
    """How far a product hears."""
    steps: int = Field(120, ge=1)
    """Most steps of training."""
    batch: int = Field(256, ge=2)
    """Pairs of a step; each product of it is a negative for all others."""
    rate: float = Field(3e-3, gt=0)
    """Learning rate (AdamW)."""
    temperature: float = Field(0.1, gt=0)
    """Cosines are divided by this before the softmax."""
    cold_share: float = Field(0.5, ge=0, le=1)
    """Share of products whose behaviour is hidden in a step, so that new products are learnt for."""
    patience: int = Field(5, ge=1)
    """Looks at the held-out pairs without a gain after which training stops; one look every 20 steps."""
    full_batch: int = Field(50_000, ge=0)
    """Edges above which a step sees only a sampled part of the graph."""
    fanout: int = Field(5, ge=1)
    """Edges of each node and relation that such a sample follows."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.convolution == "hgt" and self.width % HEADS:
            raise ValueError(f"width {self.width} is not a multiple of the {HEADS} heads of hgt; give one that is")
        return self
