"""Settings of the catalogue's own pair of encoders: shape, augmentation, training. Imports no torch."""

from pydantic import Field

from ltexpo.config import Settings
from ltexpo.encoders.augment_text import TextAugmentation
from ltexpo.encoders.device import Precision, RunSettings

HISTORY_FILE = "training.json"
"""Beside the pair's weights: how training went."""


class PairModel(Settings):
    """Shape of the catalogue's own CLIP (Radford et al., 2021), small enough for a CPU."""

    width: int = Field(128, ge=8)
    """Length of the vectors."""
    image_size: int = Field(64, ge=16)
    """Pictures are squeezed into a square of this side."""
    image_model: str = "resnet10t"
    """timm's name of the image tower; it starts from random weights."""
    words: int = Field(8_000, ge=100)
    """Word pieces of the tokenizer, at most."""
    context: int = Field(48, ge=8)
    """Word pieces of a text; longer ones are cut."""
    text_width: int = Field(128, ge=8)
    """Width of the text tower."""
    text_layers: int = Field(2, ge=1)
    """Transformer layers of the text tower."""


class ImageAugmentation(Settings):
    """How far a picture may be changed."""

    crop: float = Field(0.6, gt=0, le=1)
    """Least share of the area that a crop keeps."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a mirror image."""
    rotate: float = Field(10.0, ge=0, le=180)
    """Degrees that a picture is turned by, at most."""
    colour: float = Field(0.15, ge=0, lt=1)
    """Share that brightness, contrast and saturation change by, at most. Colour is often what tells products apart."""


class PairSettings(RunSettings):
    """Training of the catalogue's own pair of encoders."""

    precision: Precision = "auto"
    """bf16: products in bfloat16, weights in float32; auto: wherever the device multiplies it."""
    batch_size: int = Field(128, ge=2)
    """Pairs in a batch; each is told from all the others."""
    model: PairModel = PairModel()
    """Shape of the model."""
    images: ImageAugmentation = ImageAugmentation()
    """How pictures are varied."""
    texts: TextAugmentation = TextAugmentation()
    """How texts are varied."""
    epochs: int = Field(20, ge=1)
    """Passes over the pairs, at most."""
    patience: int = Field(4, ge=1)
    """Training ends after this many passes without a better recall on the held-out pairs."""
    learning_rate: float = Field(2e-3, gt=0)
    """Highest step size of AdamW; it rises over the first pass and falls along a cosine."""
    weight_decay: float = Field(0.05, ge=0)
    """Weight decay of AdamW."""
    holdout: float = Field(0.1, gt=0, lt=1)
    """Share of the titles whose pairs are held out to stop early."""
    max_holdout: int = Field(1_000, ge=10)
    """Held-out pairs that are ranked among each other, at most."""
    max_pairs: int = Field(100_000, ge=20)
    """Pairs to train on, at most; more are drawn from at random. Each takes about 19 KB of memory at 64 pixels."""
