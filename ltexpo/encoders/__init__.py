"""Titles and pictures → vectors."""

from ltexpo.encoders.cache import VectorCache
from ltexpo.encoders.catalogue import item_texts
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.encoders.encoder import Encoder
from ltexpo.encoders.image import ImageEncoder, ImageSettings
from ltexpo.encoders.item_vectors import ItemVectors
from ltexpo.encoders.text import TextEncoder, TextSettings
from ltexpo.encoders.tfidf import TfidfEncoder, TfidfSettings

__all__ = [
    "Encoded",
    "Encoder",
    "ImageEncoder",
    "ImageSettings",
    "ItemVectors",
    "State",
    "TextEncoder",
    "TextSettings",
    "TfidfEncoder",
    "TfidfSettings",
    "VectorCache",
    "item_texts",
]
