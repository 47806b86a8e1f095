"""Name, table or file → a[rank], the probability that each slot of a list is examined."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, ConfigError, TableError

Attention = str | os.PathLike[str] | Sequence[float]

NAMES = ("log2", "uniform")
_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".json": lambda path: pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))),
}
_VALUES = ("attention", "examination")


def attention_weights(attention: Attention, k: int) -> npt.NDArray[np.float64]:
    """Examination probabilities (k,), by rank from 1.

    ``"log2"`` is 1 / log2(1 + rank), the discount of nDCG (Järvelin & Kekäläinen 2002); ``"uniform"`` is 1;
    a sequence is taken as it is and must hold at least `k` non-increasing probabilities. Any other string is the path
    of a .parquet, .csv or .json table with the columns rank (1, 2, …) and attention (or examination), such as a click
    model that was fitted on logs gives. Raises `ConfigError`, `ColumnError` or `TableError`.
    """
    if k < 1:
        raise ConfigError(f"k is {k}; a list needs at least one slot.")
    if isinstance(attention, str):
        if attention == "log2":
            return 1.0 / np.log2(np.arange(2, k + 2, dtype=np.float64))
        if attention == "uniform":
            return np.ones(k)
    if isinstance(attention, str | os.PathLike):
        weights, what = _from_file(Path(attention), k), f"attention in {attention}"
    else:
        weights, what = np.asarray(attention, dtype=np.float64), "attention"
    if len(weights) < k:
        raise ConfigError(f"{what} holds {len(weights)} probabilities, fewer than k = {k}. Give one per slot.")
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights > 1).any():
        raise ConfigError(f"{what} holds values outside 0 to 1. Give probabilities.")
    if not weights[:k].any():
        raise ConfigError(f"{what} is 0 in every slot, so nothing would be seen. Give probabilities.")
    rises = np.flatnonzero(np.diff(weights) > 1e-12)
    if len(rises):
        j = int(rises[0])
        raise ConfigError(
            f"{what} rises with rank: {weights[j]:.6g} at rank {j + 1}, {weights[j + 1]:.6g} at rank {j + 2}. "
            "Order the slots by how often they are examined, or smooth the fit."
        )
    return weights[:k]


def _from_file(path: Path, k: int) -> npt.NDArray[np.float64]:
    """(n,) probabilities of the table at `path`, by rank."""
    if path.suffix not in _READERS:
        raise ConfigError(
            f"attention is '{path}'; use log2, uniform, a list of {k} probabilities, or the path of a .parquet, .csv "
            "or .json table with the columns rank and attention."
        )
    if not path.is_file():
        raise TableError(f"attention: {path}: no such file. Check the path.")
    try:
        table = _READERS[path.suffix](path)
    except (ValueError, OSError, AttributeError, TypeError) as error:  # Arrow's errors are ValueErrors or OSErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(f"attention: {path}: is not a readable {path.suffix[1:]} table ({reason}).") from error
    column = next((name for name in _VALUES if name in table.columns), None)
    if Columns.Rank not in table.columns or column is None:
        lacks = f"'{Columns.Rank}'" if Columns.Rank not in table.columns else "'attention' (or 'examination')"
        found = ", ".join(map(str, table.columns)) or "no columns"
        raise ColumnError(f"attention: {path}: lacks {lacks}; found {found}. Give one row per rank with both.")
    for name in (Columns.Rank, column):
        if not pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_bool_dtype(table[name]):
            raise ColumnError(f"attention: {path}: '{name}' holds {table[name].dtype} values. Give numbers.")
    ordered = table.sort_values(Columns.Rank, kind="stable")
    ranks = ordered[Columns.Rank].to_numpy(dtype=np.float64, na_value=np.nan)
    odd = np.flatnonzero(ranks != np.arange(1, len(ranks) + 1))
    if len(odd):
        raise ColumnError(
            f"attention: {path}: 'rank' holds {ranks[odd[0]]:g} where {odd[0] + 1} is due. "
            "Give one row for each rank from 1, without holes."
        )
    return np.asarray(ordered[column].to_numpy(dtype=np.float64, na_value=np.nan))
