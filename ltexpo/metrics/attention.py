"""Name or table → a[rank], the probability that each slot of a list is examined."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ltexpo.errors import ConfigError

Attention = str | Sequence[float]


def attention_weights(attention: Attention, k: int) -> npt.NDArray[np.float64]:
    """Examination probabilities (k,), by rank from 1.

    ``"log2"`` is 1 / log2(1 + rank), the discount of nDCG (Järvelin & Kekäläinen 2002); ``"uniform"`` is 1;
    a sequence is taken as it is and must hold at least `k` non-increasing probabilities. Raises `ConfigError`.
    """
    if k < 1:
        raise ConfigError(f"k is {k}; a list needs at least one slot.")
    if isinstance(attention, str):
        if attention == "log2":
            return 1.0 / np.log2(np.arange(2, k + 2, dtype=np.float64))
        if attention == "uniform":
            return np.ones(k)
        raise ConfigError(f"attention is '{attention}'; use log2, uniform, or a list of {k} probabilities.")
    weights = np.asarray(attention, dtype=np.float64)
    if len(weights) < k:
        raise ConfigError(f"attention holds {len(weights)} probabilities, fewer than k = {k}. Give one per slot.")
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights > 1).any():
        raise ConfigError("attention holds values outside 0 to 1. Give probabilities.")
    if (np.diff(weights) > 1e-12).any():
        raise ConfigError("attention rises with rank. Order the slots by how often they are examined.")
    return weights[:k]
