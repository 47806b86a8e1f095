"""How modalities are fused, and how the match model is trained."""

from typing import Literal

from pydantic import Field

from ltexpo.config import Settings


class FusionSettings(Settings):
    """The towers of the match model."""

    width: int = Field(64, ge=8)
    """Length of the vectors inside and out."""
    heads: int = Field(4, ge=1)
    """Attention heads; they divide the width."""
    layers: int = Field(1, ge=1, le=6)
    """Transformer layers over the tokens of an item."""
    fuse: Literal["transformer", "mean"] = "transformer"
    """How an item's tokens become one vector; mean is there to compare with."""
    history: int = Field(10, ge=1)
    """Latest interactions of a user that are looked at."""
    sequence: Literal["transformer", "lstm"] = "transformer"
    """How a user's interactions are read; lstm for long sequences."""
    query: str = "text"
    """The vectors whose encoder also reads what users type."""
    modality_dropout: float = Field(0.15, ge=0, lt=1)
    """Share of text, image, graph and attribute tokens that are hidden in training."""
    cold_dropout: float = Field(0.3, ge=0, lt=1)
    """Share of behaviour tokens that are hidden in training, so that new products are learnt for."""
    value_width: int = 16
    value_std: float = 0.1
    id_std: float = 0.01
    id_residual: bool = True
    unit: bool = True
    scale: float = 8.0
    heat: bool = True
    least: int = 3
    arrival: Literal["auto", "created_at", "id", "none"] = "auto"
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout inside the layers."""


class TrainingSettings(Settings):
    """The training of the match model."""

    epochs: int = Field(10, ge=1)
    """Most passes over the examples."""
    batch: int = Field(512, ge=2)
    """Examples of a step; their targets are negatives for one another."""
    uniform: int = Field(256, ge=0)
    """Products drawn evenly from the catalogue as further negatives of a step."""
    rate: float = Field(1e-3, gt=0)
    """Learning rate (AdamW)."""
    rate_sparse: float = 2e-3
    folds: int = 4
    floor: float = 0.0
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay (AdamW)."""
    half_life: float | None = Field(30.0, gt=0)
    """Days after which an example is drawn half as often; null: all alike."""
    together: float = Field(1.0, ge=0, le=1)
    """Share of examples whose past also holds some of what the user took on the same day: where few users come back,
    baskets teach what goes with what."""
    held_out: float = Field(0.05, gt=0, lt=0.5)
    """Share of users whose examples are kept for early stopping."""
    patience: int = Field(2, ge=1)
    """Looks without a gain after which training stops; one look every half epoch."""
    contrast: float = Field(0.0, ge=0)
    """Weight of InfoNCE between what content says of a product and what behaviour says."""
    adversarial: float = Field(0.0, ge=0)
    """Length of the perturbation of item vectors (FGM, Miyato et al. 2017); 0: none. Doubles the time."""
    replay: float = Field(0.5, ge=0, lt=1)
    """When training goes on from a saved model: share of each batch that is drawn from the days it had seen."""
