"""Folders that hold vectors → what a model reads of every item of a dataset."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from ltexpo.columns import Columns
from ltexpo.config import Settings
from ltexpo.encoders.item_vectors import Content, ItemVectors
from ltexpo.errors import ConfigError

log = logging.getLogger("ltexpo")


class ModelInputs(Settings):
    """A trained model and what it reads beside the dataset."""

    model: Path | None = None
    """Folder that 'ltexpo train' wrote; null: none."""
    vectors: tuple[Path, ...] = Field((), validate_default=False)
    """With a model that was trained on vectors: folders that 'ltexpo encode' wrote of this dataset."""
    edges: Path | None = None
    """With a model that was trained on given edges: the Parquet of today's."""

    @model_validator(mode="after")
    def _need_a_model(self) -> Self:
        if self.model is None and (self.vectors or self.edges is not None):
            raise ValueError("vectors and edges need a model")
        return self


def stored_content(folders: Sequence[Path], items: pd.DataFrame) -> Content:
    """Every kind of vectors in `folders`, in the row order of `items`. Raises `ConfigError` on a name that is twice."""
    content: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]] = {}
    for folder in folders:
        stored = ItemVectors.load(folder)
        held = int(stored.item_ids.isin(items[Columns.Item]).sum())
        if not stored.vectors or not held:
            what = "any of the dataset's items" if stored.vectors else "vectors (NAME.safetensors)"
            raise ConfigError(f"{folder}: does not hold {what}. Encode this dataset, and give that folder.")
        if held < len(items):
            log.warning("%s: has vectors of %s of %s items; the others count as without.", folder, f"{held:,}",
                        f"{len(items):,}")
        twice = sorted(set(stored.vectors) & set(content))
        if twice:
            raise ConfigError(f"vectors: '{twice[0]}' lies in {folder} and in another folder. Give it once.")
        content |= {name: stored.of(name, items[Columns.Item].to_list()) for name in stored.vectors}
    return content


def made_by(folders: Sequence[Path]) -> dict[str, str]:
    """Name of vectors → what identifies their encoder, for those in `folders` whose maker noted it."""
    found: dict[str, str] = {}
    for folder in folders:
        noted = ItemVectors.load(folder).facts.get("vectors", {})
        found |= {name: one["identity"] for name, one in noted.items() if "identity" in one}
    return found
