"""Digest of a content → its vector, kept on disk between runs.

A folder for each encoder identity holds immutable files of `keys` (m, 16), `vectors` (m, d) and `states` (m,) as
safetensors. A file is written beside and renamed, so a killed run leaves whole files only; several runs may share a
folder, because a file's name is the digest of its keys. What a run keeps on the way (`part-…`) is its own, and goes
when the whole is there.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltexpo.data.files import replacing

log = logging.getLogger("ltexpo")
KEY_BYTES = 16


class VectorCache:
    """Vectors of any number of encoders under the folder `folder`, which is made when first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def shelf(self, identity: str, width: int) -> "Shelf":
        """What is known of the encoder with this identity; `width` is the length of its vectors."""
        return Shelf(self.folder / identity[:32], width)


class Shelf:
    """The vectors of one encoder."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder = folder
        self.width = width
        self._place: dict[bytes, tuple[int, int]] = {}
        self._files: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]] = []
        for path in sorted(folder.glob("*.safetensors")):
            try:
                self._register(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("%s: is not a readable cache file (%s); its vectors are computed again.", path, error)

    def __len__(self) -> int:
        return len(self._place)

    def find(
        self, keys: Sequence[bytes], vectors: npt.NDArray[np.float32], states: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.int64]:
        """Fill the rows of `vectors` and `states` whose keys are known; return the other rows."""
        places = np.array([self._place.get(key, (-1, -1)) for key in keys], dtype=np.int64).reshape(-1, 2)
        for number in np.unique(places[:, 0]):
            if number < 0:
                continue
            rows = np.flatnonzero(places[:, 0] == number)
            known, known_states = self._files[number]
            vectors[rows] = known[places[rows, 1]]
            states[rows] = known_states[places[rows, 1]]
        return np.flatnonzero(places[:, 0] < 0)

    def add(
        self, keys: Sequence[bytes], vectors: npt.NDArray[np.float32], states: npt.NDArray[np.uint8], *,
        parts: Iterable[Path] = (),
    ) -> None:
        """Keep `vectors` (m, d) and `states` (m,) under `keys`; the files `parts`, which these include, go."""
        if not keys:
            return
        self._register(self._write(hashlib.blake2b(b"".join(keys), digest_size=12).hexdigest(), keys, vectors, states))
        for part in parts:
            part.unlink(missing_ok=True)

    def add_part(
        self, keys: Sequence[bytes], vectors: npt.NDArray[np.float32], states: npt.NDArray[np.uint8]
    ) -> Path:
        """Keep what is to be found only where this run does not get to `add` the whole; returns the file."""
        return self._write(f"part-{secrets.token_hex(12)}", keys, vectors, states)

    def _write(
        self, name: str, keys: Sequence[bytes], vectors: npt.NDArray[np.float32], states: npt.NDArray[np.uint8]
    ) -> Path:
        arrays: dict[str, npt.NDArray[Any]] = {
            "keys": np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES),
            "vectors": np.ascontiguousarray(vectors),
            "states": np.ascontiguousarray(states),
        }
        path = self.folder / f"{name}.safetensors"
        write_safetensors(arrays, path)
        return path

    def _register(self, path: Path) -> None:
        arrays = map_safetensors(path)
        keys, vectors, states = arrays["keys"], arrays["vectors"], arrays["states"]
        if vectors.shape != (len(keys), self.width) or states.shape != (len(keys),) or keys.shape[1:] != (KEY_BYTES,):
            raise ValueError(f"shapes {vectors.shape} and {keys.shape}, expected width {self.width}")
        joined = keys.tobytes()
        number = len(self._files)
        self._files.append((vectors, states))
        for row in range(len(keys)):
            self._place[joined[row * KEY_BYTES : (row + 1) * KEY_BYTES]] = (number, row)


def write_safetensors(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """`arrays` as one safetensors file at `path`, renamed into place when complete."""
    from safetensors.numpy import save_file

    with replacing(path) as beside:
        save_file(dict(arrays), beside)


_DTYPES = {"F32": "<f4", "U8": "u1", "BOOL": "?"}


def map_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a safetensors file, mapped into memory: only rows that are asked for are read.

    Holds float32, uint8 and bool, which is what ltexpo writes; anything else is a `KeyError`, a damaged file a
    `ValueError`. Format: https://github.com/huggingface/safetensors#format
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= path.stat().st_size - 8:
            raise ValueError("its header is damaged")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    whole = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length) if header else np.zeros(0, np.uint8)
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if end > len(whole):
            raise ValueError("it ends too early")
        arrays[name] = np.asarray(whole[begin:end]).view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays
