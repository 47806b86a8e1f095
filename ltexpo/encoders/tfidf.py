"""Texts → unit vectors without any neural model: TF-IDF of words and word pieces, projected by a truncated SVD."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from ltexpo.config import Settings
from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.encoders.cache import write_safetensors
from ltexpo.encoders.encoded import State
from ltexpo.encoders.encoder import Computed, Encoder
from ltexpo.encoders.source import digest
from ltexpo.encoders.text import text_bytes
from ltexpo.errors import ConfigError, TableError

CONFIG_FILE, WEIGHTS_FILE = "tfidf.json", "tfidf.safetensors"


class TfidfSettings(Settings):
    """Latent semantic analysis of the catalogue's own texts (Deerwester et al., 1990)."""

    width: int = Field(256, ge=1)
    """Length of the vectors; fewer when the catalogue has fewer words or texts."""
    ngrams: int = Field(2, ge=1, le=3)
    """Words in a row that count as one term, at most."""
    min_texts: int = Field(2, ge=1)
    """Terms in fewer texts than this are left out."""
    max_terms: int = Field(100_000, ge=1)
    """The most frequent terms are kept."""


class TfidfEncoder(Encoder):
    """x = tfidf(text) V; fitted: `vocabulary_`, `idf_` (T,), `components_` V (T, d).

    A text without a known term is wordless: it has no vector.
    """

    what: ClassVar[str] = "texts"
    chunk: ClassVar[int] = 8_192

    def __init__(self, settings: TfidfSettings | None = None) -> None:
        self.settings = settings or TfidfSettings()

    def fit(self, texts: Sequence[object], *, rng: int | np.random.Generator = 0) -> Self:
        """Learn terms and directions from `texts`; raises `TableError` when they share no word."""
        settings = self.settings
        given = [content.decode() for content in map(text_bytes, texts) if isinstance(content, bytes)]
        terms = self._counter(min_df=min(settings.min_texts, max(len(given), 1)), max_features=settings.max_terms)
        try:
            counts = terms.fit_transform(given)
        except ValueError as error:
            raise TableError(f"texts: no term is on {settings.min_texts} of them. Lower min_texts.") from error
        self.vocabulary_: dict[str, int] = {term: int(code) for term, code in terms.vocabulary_.items()}
        held = np.bincount(counts.indices, minlength=len(self.vocabulary_))
        self.idf_: npt.NDArray[np.float32] = (np.log((1 + len(given)) / (1 + held)) + 1).astype(np.float32)
        weights = normalize(self._weights(counts))
        width = min(settings.width, *weights.shape)
        seed = int(np.random.default_rng(rng).integers(2**31))
        _, _, components = randomized_svd(weights, width, n_iter=4, random_state=seed)
        self.components_: npt.NDArray[np.float32] = np.ascontiguousarray(components.T, dtype=np.float32)
        self.__dict__.pop("identity", None)
        return self

    def save(self, out: Path) -> Path:
        """Write terms and directions into the folder `out`, all or nothing; `load` reads it."""
        with output_folder(out, verb="tfidf encoder") as folder:
            self.write_into(folder)
        return out

    def write_into(self, folder: Path) -> None:
        """The files of `save`, into a folder that the caller makes appear at once."""
        terms = sorted(self.vocabulary_, key=self.vocabulary_.__getitem__)
        folder.mkdir(exist_ok=True)
        write_json({"settings": self.settings.model_dump(mode="json"), "terms": terms}, folder / CONFIG_FILE)
        write_safetensors({"idf": self.idf_, "components": self.components_}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The encoder that `save` wrote into `folder`."""
        from safetensors.numpy import load_file

        noted = read_json(Path(folder) / CONFIG_FILE)
        loaded = cls(TfidfSettings.model_validate(noted["settings"]))
        arrays = load_file(Path(folder) / WEIGHTS_FILE)
        loaded.vocabulary_ = {term: code for code, term in enumerate(noted["terms"])}
        loaded.idf_, loaded.components_ = arrays["idf"], arrays["components"]
        return loaded

    @cached_property
    def identity(self) -> str:
        """See `Encoder.identity`."""
        self._require_fit()
        return digest((), "tfidf", self.settings.ngrams, sorted(self.vocabulary_.items()),
                      self.idf_.tobytes(), self.components_.tobytes())

    @property
    def width(self) -> int:
        """See `Encoder.width`."""
        self._require_fit()
        return int(self.components_.shape[1])

    def _read(self, contents: Sequence[object]) -> list[bytes | State]:
        return [text_bytes(content) for content in contents]

    def _compute(self, contents: list[bytes]) -> Iterator[Computed]:
        counts = self._counter(vocabulary=self.vocabulary_).transform([content.decode() for content in contents])
        states = np.where(np.diff(counts.indptr) > 0, State.OK, State.WORDLESS).astype(np.uint8)
        yield np.arange(len(contents)), np.asarray(self._weights(counts) @ self.components_, dtype=np.float32), states

    def _counter(self, **bounds: Any) -> CountVectorizer:
        return CountVectorizer(ngram_range=(1, self.settings.ngrams), token_pattern=r"(?u)\w+", **bounds)

    def _weights(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """(n, T) counts → (1 + ln count) · idf."""
        weights = counts.astype(np.float32)
        weights.data = (1 + np.log(weights.data)) * self.idf_[weights.indices]
        return weights

    def _require_fit(self) -> None:
        if not hasattr(self, "components_"):
            raise ConfigError("the TF-IDF encoder has not been fitted. Call fit(texts) first.")
