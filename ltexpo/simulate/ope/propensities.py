"""What a log showed → how often: propensities where none were logged, and how often an item was still to be had."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def frequencies(items: Integers, segments: Integers, *, smoothing: float) -> Floats:
    """(R, K) how often each logged item stands at its rank in its segment; 1 where there is no slot.

    `items` (R, K) codes, −1 where there is no slot; `segments` (R,) codes. An item's share of a rank is drawn towards
    its share of all ranks, and its share in a segment towards that in all, as if `smoothing` further slots showed it.
    """
    request, rank = np.nonzero(items >= 0)
    item, segment = items[request, rank], segments[request]
    overall = _shares(item, np.zeros_like(item))
    by_rank = _drawn(item, rank, overall, smoothing)
    found = by_rank
    if segments.any():
        found = _drawn(item, segment * items.shape[1] + rank, by_rank, smoothing)
    shares = np.ones(items.shape)
    shares[request, rank] = found
    return shares


def availability(items: Integers, segments: Integers, *, smoothing: float) -> Floats:
    """(R, K) how often each logged item did not stand above its rank: for lists that never repeat an item.

    The chance that a list still offers item i at rank k is 1 − Σ_{j<k} P(i at rank j), by the log's own frequencies in
    the segment, drawn towards those in all segments as in `frequencies`.
    """
    n_items, n_segments = int(items.max()) + 1, int(segments.max()) + 1
    offered = np.ones(items.shape)
    for rank in range(1, items.shape[1]):
        filled = items[:, rank] >= 0
        lists, segment = items[filled], segments[filled]
        cells = (segment[:, None] * n_items + lists[:, :rank]).ravel()
        above = np.bincount(cells, minlength=n_segments * n_items).reshape(n_segments, n_items)
        size = np.bincount(segment, minlength=n_segments)[:, None]
        overall = above.sum(axis=0) / max(len(lists), 1)
        share = (above + smoothing * overall) / (size + smoothing) if n_segments > 1 else overall[None]
        offered[filled, rank] = 1 - share[segment, lists[:, rank]]
    return offered


def _shares(item: Integers, cell: Integers) -> Floats:
    return _counts(item, cell) / np.bincount(cell)[cell]


def _drawn(item: Integers, cell: Integers, prior: Floats, smoothing: float) -> Floats:
    """(n,) share of each row's item in its cell, drawn towards `prior` (n,)."""
    drawn: Floats = (_counts(item, cell) + smoothing * prior) / (np.bincount(cell)[cell] + smoothing)
    return drawn


def _counts(item: Integers, cell: Integers) -> Floats:
    """(n,) how many rows share each row's item and cell."""
    _, position, count = np.unique(
        cell * (int(item.max()) + 1) + item, return_inverse=True, return_counts=True
    )
    counts: Floats = count[position].astype(np.float64)
    return counts
