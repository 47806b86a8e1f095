"""Logged impressions and clicks → how often each product was looked at, and how often it was clicked when it was.

Interactions alone do not tell a product that nobody wanted from one that nobody saw: both have none.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns, EventKind
from ltexpo.data.ids import IdMap
from ltexpo.metrics.attention import attention_weights

_PRIOR_CLICKS = 5.0
"""The rate of all products counts like this many expected clicks of each."""


def looks(
    events: pd.DataFrame, item_ids: IdMap, attention: str | tuple[float, ...]
) -> pd.DataFrame:
    """Features of every product, one row per item code, float32, from the impressions among `events` that have a rank.

    `i_looked`: log of 1 + the sum of `attention` over them; `i_rate`: log of (clicks + 5) / (looks + 5 / rate of all),
    a click rate drawn towards that of all products. Without such impressions both are NaN.
    """
    n = len(item_ids)
    nothing = np.full(n, np.nan)
    if Columns.Rank not in events.columns or Columns.Request not in events.columns:
        return _frame(nothing, nothing)
    placed = events[events[Columns.Rank].notna() & events[Columns.Request].notna()]
    kind = placed[Columns.Event].to_numpy(dtype=object)
    shown, clicked = placed[kind == EventKind.Impression], placed[kind == EventKind.Click]
    if shown.empty or clicked.empty:
        return _frame(nothing, nothing)
    rank = shown[Columns.Rank].to_numpy(dtype=np.int64)
    weight = attention_weights(attention, int(rank.max()))[rank - 1]
    looked = np.bincount(item_ids.codes(shown[Columns.Item]), weights=weight, minlength=n)
    clicks = np.bincount(item_ids.codes(clicked[Columns.Item]), minlength=n)
    of_all = clicks.sum() / looked.sum()
    rate = (clicks + _PRIOR_CLICKS) / (looked + _PRIOR_CLICKS / of_all)
    return _frame(np.log1p(looked), np.log(rate))


def _frame(looked: npt.NDArray[np.float64], rate: npt.NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame({"i_looked": looked, "i_rate": rate}, dtype=np.float32)
