"""How modalities are fused, and how the match model is trained."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ltexpo.config import Settings
from ltexpo.fusion.inputs import Arrival


class FusionSettings(Settings):
    """The towers of the match model."""

    width: int = Field(64, ge=8)
    """Length of the vectors inside and out."""
    heads: int = Field(4, ge=1)
    """Attention heads; they divide the width."""
    layers: int = Field(1, ge=1, le=6)
    """Transformer layers over the tokens of an item."""
    fuse: Literal["transformer", "mean"] = "transformer"
    """How an item's tokens become one vector; mean takes half the time, and on few interactions does as well."""
    history: int = Field(10, ge=1)
    """Latest interactions of a user that are looked at."""
    sequence: Literal["transformer", "lstm"] = "transformer"
    """How a user's interactions are read; lstm for long sequences."""
    query: str = "text"
    """The vectors whose encoder also reads what users type."""
    modality_dropout: float = Field(0.15, ge=0, lt=1)
    """Share of text, image, graph and attribute tokens, and of queries, that are hidden in training."""
    cold_dropout: float = Field(0.3, ge=0, lt=1)
    """Share of behaviour tokens that are hidden in training, so that new products are learnt for."""
    least: int = Field(10, ge=1)
    """Interactions from which on a product has a behaviour vector: of fewer, only noise would be learnt."""
    heat: bool = True
    """How often a product and its relatives were taken lately is an input; else popularity is learnt by product."""
    arrival: Arrival = "auto"
    """What dates products: created_at, the order of their ids, or none; auto: created_at where items have it, else the
    ids. Shops give ids in order of arrival; ids that a data set was given afterwards may even tell its future."""
    value_width: int = Field(16, ge=1)
    """Length of the vector of an attribute value."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout inside the layers; hidden tokens mostly make it needless."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}; give one that is")
        return self


class TrainingSettings(Settings):
    """The training of the match model."""

    epochs: int = Field(6, ge=1)
    """Most passes over the examples, each counted by its weight."""
    batch: int = Field(512, ge=2)
    """Examples of a step; their targets are negatives for one another."""
    uniform: int = Field(256, ge=0)
    """Products drawn evenly from the catalogue as further negatives of a step."""
    rate: float = Field(1e-3, gt=0)
    """Learning rate (AdamW)."""
    table_rate: float = Field(2e-3, gt=0)
    """Learning rate of the vectors of products and attribute values, each moved only when it is drawn (SparseAdam)."""
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay (AdamW)."""
    folds: int = Field(4, ge=2)
    """Parts of the users; what one part takes is learnt with the popularity among the others, which cannot tell it."""
    half_life: float | None = Field(365.0, gt=0)
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
