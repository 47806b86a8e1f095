"""Parts of a product's text → the same product in other words: for training only."""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from ltexpo.config import Settings
from ltexpo.encoders.catalogue import join_parts
from ltexpo.errors import ConfigError

BackTranslate = Callable[[list[str]], list[str]]
"""Texts → the same texts, translated to another language and back by a model of the user's own."""


class TextAugmentation(Settings):
    """How often a text is changed, and how."""

    token_dropout: float = Field(0.1, ge=0, lt=1)
    """Probability that a word is left out; one always stays."""
    shuffle: float = Field(0.5, ge=0, le=1)
    """Probability that the attributes after the title change their order."""
    synonym: float = Field(0.2, ge=0, le=1)
    """Probability that a word of the table below is replaced."""
    synonyms: dict[str, tuple[str, ...]] = Field({})
    """Word in lower case → words that may stand for it."""
    back_translation: float = Field(0.2, ge=0, le=1)
    """Probability that a text is translated there and back, when a translator is given."""


def augment_texts(
    parts: Sequence[Sequence[str]],
    settings: TextAugmentation,
    *,
    rng: int | np.random.Generator,
    back_translate: BackTranslate | None = None,
) -> list[str]:
    """One changed text for each product; `parts` holds its title and then its attributes.

    Raises `ConfigError` when `back_translate` gives another number of texts than it got.
    """
    generator = np.random.default_rng(rng)
    texts = [join_parts(_shuffled(part, settings.shuffle, generator)) for part in parts]
    if back_translate is not None:
        chosen = np.flatnonzero(generator.random(len(texts)) < settings.back_translation)
        there_and_back = back_translate([texts[row] for row in chosen])
        if len(there_and_back) != len(chosen):
            raise ConfigError(
                f"back_translate gave {len(there_and_back)} texts for {len(chosen)}. It must give one for each."
            )
        for row, text in zip(chosen, there_and_back, strict=True):
            texts[row] = text
    return [_words(text, settings, generator) for text in texts]


def _shuffled(parts: Sequence[str], probability: float, generator: np.random.Generator) -> list[str]:
    if len(parts) < 3 or generator.random() >= probability:
        return list(parts)
    return [parts[0], *(parts[1 + int(place)] for place in generator.permutation(len(parts) - 1))]


def _words(text: str, settings: TextAugmentation, generator: np.random.Generator) -> str:
    words = text.split()
    kept = generator.random(len(words)) >= settings.token_dropout
    if len(words) and not kept.any():
        kept[int(generator.integers(len(words)))] = True
    words = [word for word, keep in zip(words, kept, strict=True) if keep]
    if settings.synonyms:
        words = [_synonym(word, settings, generator) for word in words]
    return " ".join(words)


def _synonym(word: str, settings: TextAugmentation, generator: np.random.Generator) -> str:
    plain = word.rstrip(",")
    others = settings.synonyms.get(plain.lower())
    if not others or generator.random() >= settings.synonym:
        return word
    return others[int(generator.integers(len(others)))] + word[len(plain):]
