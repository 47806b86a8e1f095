"""Catalogue + history → what is known of each item before the user is named: popularity, age, heat of its relatives."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.config import Settings
from ltexpo.data.attributes import attribute_columns
from ltexpo.data.history import History
from ltexpo.graph.nearest import nearest

_PER = 1e5


class ItemFeatureSettings(Settings):
    """Item features."""

    windows: tuple[float, ...] = (1.0, 7.0, 30.0)
    """Popularity is counted over the last so many days each."""
    half_life: float = 3.0
    """Days after which an interaction counts half in an item's heat."""
    heat_columns: tuple[str, ...] | None = None
    """Columns of items whose other holders' heat is a feature; null: every attribute column."""
    heat_neighbours: int = 20
    """The heat of this many most alike items with interactions is a feature, for each kind of vector."""
    order_windows: tuple[int, ...] = (21, 101)
    """Heat of the items beside it in catalogue order; empty: that order says nothing and no feature is made of it.
    Shops give ids in order of arrival; ids that a data set was given afterwards may even tell its future."""


def item_features(
    history: History, items: pd.DataFrame, settings: ItemFeatureSettings, *,
    vectors: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> pd.DataFrame:
    """One row per item code, float32, NaN where unknown; everything counts interactions of `history` only.

    items: the catalogue in code order; vectors: name → (I, d), rows of length 1, or 0 where the item has none.

    Columns: `i_count_D` (log share of the interactions of the last D days), `i_count` (… of all), `i_heat` (… decayed),
    `i_first`, `i_last` (days before the end of history), `i_place` (place in catalogue order, 0 to 1),
    `i_heat_C` and `i_size_C` (heat and number of other items with the same value of column C), `i_alike_V` and
    `i_nearest_V` (similarity⁴-weighted heat of the nearest items with interactions, and the cosine of the nearest, by
    vectors V), `i_order_W` (mean heat of the W − 1 items around it in catalogue order).
    """
    age = history.now - history.day
    n = history.n_items
    columns: dict[str, npt.NDArray[np.floating]] = {}
    for days in settings.windows:
        columns[f"i_count_{days:g}"] = _log_share(np.bincount(history.item[age < days], minlength=n))
    columns["i_count"] = _log_share(history.counts())
    heat = np.asarray(np.bincount(history.item, weights=history.decay(settings.half_life), minlength=n), dtype=float)
    columns["i_heat"] = _log_share(heat)
    first, last = np.full(n, -np.inf), np.full(n, np.inf)
    np.maximum.at(first, history.item, age)
    np.minimum.at(last, history.item, age)
    columns["i_first"] = np.where(np.isfinite(first), first, np.nan)
    columns["i_last"] = np.where(np.isfinite(last), last, np.nan)
    if settings.order_windows:
        columns["i_place"] = np.arange(n) / max(n - 1, 1)
    names = settings.heat_columns
    for column in heat_columns(items) if names is None else names:
        code = pd.factorize(items[column])[0]
        known = code >= 0
        code = np.where(known, code, 0)
        others = np.bincount(code, weights=heat * known)[code] - heat
        columns[f"i_heat_{column}"] = np.where(known, _log_share(others, heat.sum()), np.nan)
        columns[f"i_size_{column}"] = np.where(known, np.bincount(code, weights=known)[code] - 1, np.nan)
    for name, matrix in (vectors or {}).items():
        alike, largest = neighbours_heat(matrix, heat, settings.heat_neighbours)
        columns[f"i_alike_{name}"] = _log_share(alike, heat.sum())
        columns[f"i_nearest_{name}"] = largest
    for width in settings.order_windows:
        kernel = np.full(width, 1 / (width - 1))
        kernel[width // 2] = 0.0
        beside = np.convolve(heat, kernel)[width // 2 : width // 2 + n]
        columns[f"i_order_{width}"] = _log_share(beside, heat.sum())
    return pd.DataFrame({name: np.asarray(values, dtype=np.float32) for name, values in columns.items()})


def heat_columns(items: pd.DataFrame) -> list[str]:
    """Columns whose values items share one at a time: attributes that are not lists."""
    return [
        column for column in attribute_columns(items)
        if not items[column].map(lambda value: isinstance(value, list)).any()
    ]


def neighbours_heat(
    vectors: npt.NDArray[np.float32], heat: npt.NDArray[np.floating], k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Σ cos(i, j)⁴ · heat_j over the `k` items j ≠ i with heat that are most alike (I,), and the largest cosine (I,).

    An item without a vector (a row of zeros) gets NaN, and is nobody's neighbour.
    """
    given = np.abs(vectors).sum(axis=1) > 0
    active = np.flatnonzero((heat > 0) & given)
    alike, largest = np.full((2, len(vectors)), np.nan, dtype=np.float32)
    if len(active) <= 1:
        return alike, largest
    asked = np.flatnonzero(given)
    found, cosine = nearest(vectors[asked], vectors, min(k, len(active) - 1), allowed=(heat > 0) & given, same=asked)
    near = np.where(found >= 0, np.maximum(cosine, 0), 0)
    alike[asked] = (near ** 4 * np.asarray(heat, dtype=np.float32)[found]).sum(axis=1)
    largest[asked] = cosine[:, 0]
    return alike, largest


def _log_share(
    amount: npt.NDArray[np.floating] | npt.NDArray[np.integer], total: float | None = None
) -> npt.NDArray[np.float64]:
    """Shares keep their meaning when there are more days or more customers; the log evens them out."""
    whole = float(amount.sum()) if total is None else total
    return np.asarray(np.log1p(np.maximum(amount, 0) * (_PER / max(whole, 1e-9))))
