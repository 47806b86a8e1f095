"""Folders of vectors, or of a model → what reads the queries that users type.

The encoder that made the vectors of texts reads them too, where the folder says which one that was and it is still the
same. Where it does not, TF-IDF of the catalogue's words reads both queries and products, and is kept with the model.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltexpo.data.files import read_json
from ltexpo.encoders.encoder import Encoder
from ltexpo.encoders.item_vectors import ItemVectors
from ltexpo.encoders.query import QueryEncoder
from ltexpo.encoders.text import TextEncoder, TextOptions, TextSettings
from ltexpo.encoders.tfidf import CONFIG_FILE as TFIDF_FILE
from ltexpo.encoders.tfidf import TfidfEncoder
from ltexpo.errors import ConfigError, LtexpoError
from ltexpo.jobs.encoding import TFIDF, TFIDF_FOLDER

log = logging.getLogger("ltexpo")

WORDS_FOLDER, QUERY_FOLDER, VECTORS_FILE = "words", "query_words", "vectors.json"
QUERY_WORDS = "words"
"""What the vectors are called that TF-IDF makes of the catalogue for queries' sake alone."""


def encoder_of(folders: Sequence[Path], name: str) -> tuple[Encoder | None, str]:
    """The encoder that made the vectors `name` in one of `folders`; or None, and why."""
    for folder in folders:
        stored = ItemVectors.load(folder)
        if name not in stored.vectors:
            continue
        noted = stored.facts.get("vectors", {}).get(name)
        if not noted or "settings" not in noted or "identity" not in noted:
            return None, f"{folder} does not say what made the vectors '{name}'"
        try:
            encoder = _encoder(folder, noted["settings"])
            if encoder is None:
                return None, f"the vectors '{name}' in {folder} were not made by a text encoder"
            if encoder.identity != noted["identity"]:
                return None, f"the encoder that {folder} names is not the one, or not as precise, as made its vectors"
        except LtexpoError as error:
            return None, f"the encoder that {folder} names cannot be read: {error}"
        return encoder, ""
    return None, f"there are no vectors '{name}'"


def reader_of(model: Path, vectors: Sequence[Path], name: str) -> QueryEncoder:
    """What reads queries as the model in the folder `model` learnt it. Raises `ConfigError`."""
    for own in (WORDS_FOLDER, QUERY_FOLDER):
        if (model / own).is_dir():
            return QueryEncoder(TfidfEncoder.load(model / own))
    encoder, why = encoder_of(vectors, name)
    learnt = read_json(model / VECTORS_FILE).get(name)
    if encoder is None or encoder.identity != learnt:
        why = why or f"the vectors '{name}' were made by another encoder than those that {model} learnt from"
        raise ConfigError(
            f"queries cannot be read: {why}. "
            "Give the folder that 'ltexpo encode' wrote, with its encoder where it was."
        )
    return QueryEncoder(encoder)


def _encoder(folder: Path, settings: Mapping[str, Any]) -> Encoder | None:
    """By the settings that 'ltexpo encode' noted of the vectors of texts."""
    model = settings.get("text")
    if model is None:
        return None
    if model == TFIDF:
        return TfidfEncoder.load(folder / TFIDF_FOLDER)
    if (Path(model) / TFIDF_FILE).is_file():
        return TfidfEncoder.load(model)
    options = {option: settings[option] for option in TextOptions.model_fields if option in settings}
    return TextEncoder(TextSettings(model=model, **options))
