"""A market → the merit of every group: what its exposure is measured against."""

from typing import Literal

import numpy as np

from ltexpo.rerank.peers.peer import Floats, Market

Merit = Literal["relevance", "due"]
"""Exposure in proportion to relevance, or to the due shares of the market."""


def merits(market: Market, merit: Merit) -> Floats:
    """Share (P,) of all relevance over candidates, or of the due."""
    if merit == "due":
        return market.due
    group = market.group[market.items]
    held = np.bincount(group[group >= 0], np.maximum(market.scores[group >= 0], 0.0), market.n_groups).astype(
        np.float64
    )
    total = float(held.sum())
    return held / total if total > 0 else held
