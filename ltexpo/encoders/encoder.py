"""Titles or pictures → unit vectors: what every encoder shares, and the laws they keep.

Contents go through in chunks. Equal contents are computed once; with a cache, contents seen in an earlier run are not
computed at all, and what a chunk computed is on disk before the next begins, within a slow chunk every few seconds, so
that a killed run resumes there.
"""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ltexpo.encoders.cache import KEY_BYTES, Shelf, VectorCache
from ltexpo.encoders.encoded import Encoded, State, has_vector
from ltexpo.errors import InputError
from ltexpo.progress import track

Computed = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.uint8]]
"""Rows (m,) of the contents that are done, their vectors (m, d) and their `State` codes (m,)."""
KEEP_EVERY = 10.0
"""Seconds after which what a chunk has computed so far goes to the cache."""
Read = Callable[[Sequence[object]], list[bytes | State]]


class Encoder(ABC):
    """One way to turn contents into vectors.

    Laws, the same for all (tests/contracts/test_encoders.py): `encode` gives (n, width) float32, rows of length 1, or
    zeros where the mask is off; equal calls give equal bytes; a row does not depend on the order, on the other rows or
    on the batch size (up to the rounding of the precision in use); nothing that stands in a catalogue raises, it is
    masked and its state says why.
    """

    what: ClassVar[str]
    """How the contents are called in progress lines."""
    chunk: ClassVar[int]
    """Contents that go through together, and that one file of the cache holds."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Digest of all that decides a vector apart from the content: weights, tokenizer, preprocessing, precision."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Length d of the vectors."""

    @abstractmethod
    def _read(self, contents: Sequence[object]) -> list[bytes | State]:
        """The bytes of each content, by which it is known and from which it is computed, or why there are none."""

    @abstractmethod
    def _compute(self, contents: list[bytes]) -> Iterator[Computed]:
        """Vectors of distinct `contents`, of any length, and the state of each: each row once, batch by batch."""

    def encode(self, contents: Sequence[object], *, cache: VectorCache | None = None) -> Encoded:
        """Vectors of `contents`, (n, d); see the laws above. Vectors found in `cache` are not computed again."""
        return self._encode(contents, self._read, cache)

    def keys(self, contents: Sequence[object]) -> list[bytes | State]:
        """What each content is known by: equal contents have equal keys; or why there is none."""
        return keys_of(self._read(contents))

    def _encode(self, contents: Sequence[object], read: Read, cache: VectorCache | None) -> Encoded:
        vectors = np.zeros((len(contents), self.width), dtype=np.float32)
        states = np.full(len(contents), State.ABSENT, dtype=np.uint8)
        shelf = None if cache is None else cache.shelf(self.identity, self.width)
        first_row: dict[bytes, int] = {}
        computed = 0
        starts = range(0, len(contents), self.chunk)
        for start in track(starts, f"encode {len(contents):,} {self.what}", total=len(starts)):
            repeats: list[tuple[int, int]] = []
            fresh: dict[bytes, bytes] = {}
            for row, content in enumerate(read(contents[start : start + self.chunk]), start):
                if isinstance(content, State):
                    states[row] = content
                    continue
                key = digest(content)
                if key in first_row:
                    repeats.append((row, first_row[key]))
                else:
                    first_row[key] = row
                    fresh[key] = content
            rows = np.array([first_row[key] for key in fresh], dtype=np.int64)
            vectors[rows], states[rows], new = self._look_up_or_compute(fresh, shelf)
            computed += new
            for row, same in repeats:
                vectors[row], states[row] = vectors[same], states[same]
        return Encoded(vectors, states, computed)

    def _look_up_or_compute(
        self, fresh: dict[bytes, bytes], shelf: Shelf | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], int]:
        """Vectors and states of `fresh` (key → content), and of how many the model had to compute them."""
        keys = list(fresh)
        vectors = np.zeros((len(keys), self.width), dtype=np.float32)
        states = np.zeros(len(keys), dtype=np.uint8)
        missing = np.arange(len(keys)) if shelf is None else shelf.find(keys, vectors, states)
        if not len(missing):
            return vectors, states, 0
        contents = list(fresh.values())
        parts: list[Path] = []
        done: list[npt.NDArray[np.int64]] = []
        kept_at = time.monotonic()
        for found, raw, codes in self._compute([contents[row] for row in missing]):
            rows = missing[found]
            states[rows] = codes
            vectors[rows] = self._unit(raw, states, rows)
            # What could not be read is tried again by the next run: a codec or a disk may have been at fault.
            done.append(rows[states[rows] <= State.WORDLESS])
            if shelf is not None and time.monotonic() - kept_at >= KEEP_EVERY:
                rows = np.concatenate(done)
                if not len(rows):
                    continue
                parts.append(shelf.add_part([keys[row] for row in rows], vectors[rows], states[rows]))
                done, kept_at = [], time.monotonic()
        kept = missing[states[missing] <= State.WORDLESS]
        if shelf is not None:
            shelf.add([keys[row] for row in kept], vectors[kept], states[kept], parts=parts)
        return vectors, states, len(kept)

    def _unit(
        self, raw: npt.NDArray[np.float32], states: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Rows of `raw` at length 1, zero where a state says so; a row without length turns wordless."""
        if not np.isfinite(raw).all():
            raise InputError(
                f"the model for {self.what} gives vectors that are not finite. Check its weights, or set precision: "
                "fp32."
            )
        length = np.linalg.norm(raw, axis=1, keepdims=True)
        states[rows[(length[:, 0] == 0) & has_vector(states[rows])]] = State.WORDLESS
        given = has_vector(states[rows])[:, None]
        unit: npt.NDArray[np.float32] = np.where(given, raw / np.where(length > 0, length, 1), 0).astype(np.float32)
        return unit


def digest(content: bytes) -> bytes:
    """What a content is known by."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES).digest()


def keys_of(contents: Sequence[bytes | State]) -> list[bytes | State]:
    """What contents that were read are known by, or why there are none."""
    return [content if isinstance(content, State) else digest(content) for content in contents]
