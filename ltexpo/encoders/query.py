"""What users type → vectors of the encoder that also read the products' texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ltexpo.encoders.encoder import Encoder

Floats = npt.NDArray[np.float32]


class QueryEncoder:
    """An encoder for texts that come again and again: what it has read, it keeps."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._kept: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(n, d) rows of length 1; NaN where a text is blank or holds no word that the encoder knows."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if fresh:
            encoded = self.encoder.encode(fresh)
            rows = np.where(encoded.mask[:, None], encoded.vectors, np.float32(np.nan))
            self._kept |= dict(zip(fresh, rows, strict=True))
        out = np.empty((len(texts), self.encoder.width), dtype=np.float32)
        for row, text in enumerate(texts):
            out[row] = self._kept[text]
        return out
