"""Vectors of a catalogue's items, by name, ↔ a folder.

Files: items.parquet (item_id, and a state for each name), NAME.safetensors (`vectors` (I, d) float32, `mask` (I,)
uint8, rows as in items.parquet) and encode.json. Bring your own vectors by writing these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.files import read_json, write_json
from ltexpo.data.tables import read_frame, write_frame
from ltexpo.encoders.cache import map_safetensors, write_safetensors
from ltexpo.encoders.encoded import Encoded, State
from ltexpo.errors import TableError

ITEMS_FILE, ENCODE_FILE = "items.parquet", "encode.json"

Content = Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]
"""Name of a modality → vectors (I, d) of I products and which of them are there (I,)."""


@dataclass(frozen=True)
class ItemVectors:
    """One row an item; each name (text, image, title …) has its vectors (I, d) and a mask (I,) of who has one."""

    item_ids: pd.Index
    vectors: Mapping[str, npt.NDArray[np.float32]]
    masks: Mapping[str, npt.NDArray[np.bool_]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What encode.json says: for each name the encoder's identity, its settings and the counts by state."""

    @classmethod
    def load(cls, folder: Path) -> "ItemVectors":
        """What 'ltexpo encode' or a user wrote into `folder`; the vectors stay on disk until they are used."""
        folder = Path(folder)
        ids = pd.Index(read_frame(folder / ITEMS_FILE, columns=[Columns.Item])[Columns.Item])
        facts = read_json(folder / ENCODE_FILE) if (folder / ENCODE_FILE).exists() else {}
        vectors, masks = {}, {}
        for path in sorted(folder.glob("*.safetensors")):
            try:
                arrays = map_safetensors(path)
                vectors[path.stem], masks[path.stem] = arrays["vectors"], arrays["mask"].astype(bool)
            except (OSError, ValueError, KeyError) as error:
                raise TableError(
                    f"{path}: holds no float32 'vectors' and uint8 'mask' ({error}). Encode again."
                ) from error
            rows = {len(arrays["vectors"]), len(arrays["mask"])}
            if rows != {len(ids)}:
                raise TableError(f"{path}: has {min(rows):,} rows, {ITEMS_FILE} {len(ids):,}. Encode again.")
        return cls(ids, vectors, masks, facts)

    def of(
        self, name: str, item_ids: Sequence[str] | pd.Index
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Vectors (n, d) and mask (n,) of `item_ids` in their order; items that are not here are masked."""
        if name not in self.vectors:
            raise TableError(f"vectors: there are none called '{name}'; found {', '.join(self.vectors) or 'none'}.")
        rows = self.item_ids.get_indexer(pd.Index(item_ids))
        known = rows >= 0
        vectors = np.zeros((len(rows), self.vectors[name].shape[1]), dtype=np.float32)
        vectors[known] = self.vectors[name][rows[known]]
        mask = known.copy()
        mask[known] = self.masks[name][rows[known]]
        return vectors, mask


def write_vectors(folder: Path, item_ids: pd.Index, encoded: Mapping[str, Encoded], facts: Mapping[str, Any]) -> None:
    """The files that `ItemVectors.load` reads, into a folder that the caller makes appear at once."""
    words = np.array([state.name.lower() for state in State], dtype=object)
    states = {f"{name}_state": words[part.states] for name, part in encoded.items()}
    write_frame(pd.DataFrame({Columns.Item: item_ids, **states}), folder / ITEMS_FILE)
    for name, part in encoded.items():
        arrays: dict[str, npt.NDArray[Any]] = {"vectors": part.vectors, "mask": part.mask.astype(np.uint8)}
        write_safetensors(arrays, folder / f"{name}.safetensors")
    write_json(dict(facts), folder / ENCODE_FILE)
