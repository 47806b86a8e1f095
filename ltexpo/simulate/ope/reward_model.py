"""A log → what a slot may be expected to earn by item, rank and segment: smoothed means, cross-fitted over users."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltexpo.simulate.ope.logged import Logged
from ltexpo.simulate.ope.policy import TargetPolicy

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_ROWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Levels:
    """Smoothed means from coarse to fine, and the n slots that they were made of."""

    request: Integers
    """(n,)"""
    rank: Integers
    """(n,) from 0"""
    item: Integers
    segment: Integers
    reward: Floats
    smoothing: float
    overall: float
    """Mean of all slots."""
    by_rank: Floats
    """(K,)"""
    expected: Floats
    """(I,) what each item's slots would have earned by their ranks alone."""
    lift: Floats
    """(I,) what it earned against that."""
    count: Floats
    """(K, I) slots."""
    by_cell: Floats
    """(K, I)"""
    segment_count: Floats
    """(S, K, I)"""
    by_segment: Floats | None
    """(S, K, I); None when there is one segment."""

    @property
    def means(self) -> Floats:
        """(S, K, I) the finest."""
        return self.by_cell[None] if self.by_segment is None else self.by_segment


def fit_levels(
    log: Logged, n_items: int, *, smoothing: float, among: npt.NDArray[np.bool_] | None = None
) -> Levels:
    """Mean reward of each item at each rank in each segment, over the requests `among` (R,), None for all.

    From coarse to fine: all slots, the rank, the rank times how the item does against its ranks, the item at the rank,
    and there the segment. Each finer mean starts from the coarser one as from `smoothing` slots with that reward, so an
    item that was never shown has its rank's mean.
    """
    n_ranks, n_segments = log.items.shape[1], int(log.segments.max()) + 1
    request, rank = np.nonzero(log.shown if among is None else log.shown & among[:, None])
    item, reward, segment = log.items[request, rank], log.rewards[request, rank], log.segments[request]

    def total(cell: Integers, shape: tuple[int, ...], values: Floats | None = None) -> Floats:
        summed: Floats = np.bincount(cell, weights=values, minlength=int(np.prod(shape))).astype(np.float64)
        return summed.reshape(shape)

    overall = float(reward.mean()) if len(reward) else 0.0
    by_rank = (total(rank, (n_ranks,), reward) + smoothing * overall) / (total(rank, (n_ranks,)) + smoothing)
    expected, lift = total(item, (n_items,), by_rank[rank]), np.ones(n_items)
    if overall > 0:
        lift = (total(item, (n_items,), reward) + smoothing * overall) / (expected + smoothing * overall)
    cell = rank * n_items + item
    count = total(cell, (n_ranks, n_items))
    prior = by_rank[:, None] * lift
    by_cell = (total(cell, (n_ranks, n_items), reward) + smoothing * prior) / (count + smoothing)
    shape = (n_segments, n_ranks, n_items)
    if n_segments == 1:
        return Levels(
            request, rank, item, segment, reward, smoothing, overall, by_rank, expected, lift, count, by_cell,
            count[None], None,
        )
    cell = segment * n_ranks * n_items + cell
    segment_count = total(cell, shape)
    by_segment = (total(cell, shape, reward) + smoothing * by_cell) / (segment_count + smoothing)
    return Levels(
        request, rank, item, segment, reward, smoothing, overall, by_rank, expected, lift, count, by_cell,
        segment_count, by_segment,
    )


def of_logged(means: Floats, log: Logged) -> Floats:
    """(R, K) the mean of every logged slot; 0 where there is none. `means` is (S, K, I)."""
    ranks = np.arange(log.items.shape[1])
    return np.where(log.shown, means[log.segments[:, None], ranks, log.items], 0.0)


def of_policy(means: Floats, policy: TargetPolicy, chances: Floats, segments: Integers) -> Floats:
    """(R, K) Σ over the policy's items of `chances` (N,) times their means (S, K, I), slot by slot."""
    n_segments, n_ranks, _ = means.shape
    pairs, of_request = np.unique(policy.groups * n_segments + segments, return_inverse=True)
    sums = np.empty((len(pairs), n_ranks))
    group, segment = pairs // n_segments, pairs % n_segments
    first, last = policy.starts[group * n_ranks], policy.starts[group * n_ranks + n_ranks]
    ends = np.cumsum(last - first)
    begin = 0
    while begin < len(pairs):
        # as many pairs as fit into memory at once, one at least
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _ROWS_AT_ONCE, side="right")))
        part = slice(begin, end)
        sums[part] = _sums(means, policy, chances, first[part], last[part], segment[part])
        begin = end
    return sums[of_request]


def _sums(
    means: Floats, policy: TargetPolicy, chances: Floats, first: Integers, last: Integers, segment: Integers
) -> Floats:
    n_ranks, length = means.shape[1], last - first
    pair = np.repeat(np.arange(len(first)), length)
    row = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + first[pair]
    rank = policy.keys[row] // policy.n_items % n_ranks
    worth = chances[row] * means[segment[pair], rank, policy.items[row]]
    sums: Floats = np.bincount(pair * n_ranks + rank, weights=worth, minlength=len(first) * n_ranks).astype(np.float64)
    return sums.reshape(-1, n_ranks)


@dataclass(frozen=True)
class Predicted:
    """What other users' slots say of each request's: no request is predicted from its own fold of users."""

    logged: Floats
    """(R, K) mean of the logged item; 0 where there is no slot."""
    target: Floats
    """(R, K) mean over what the policy would show at this rank, whatever stands above."""
    given_above: Floats
    """(R, K) mean over what the policy would show at this rank below the logged items."""
    fold: Integers
    """(R,)"""


def cross_fitted(
    log: Logged, policy: TargetPolicy, marginal: Floats, *, folds: int, smoothing: float, by: str,
    rng: np.random.Generator,
) -> Predicted:
    """Smoothed means of each fold from all others (Chernozhukov et al. 2018); `marginal` (N,) is the policy's."""
    labels = np.unique(log.clusters(by), return_inverse=True)[1]
    clusters = int(labels.max()) + 1
    fold = (rng.permutation(clusters) % folds)[labels]
    logged, target, given = np.zeros(log.items.shape), np.zeros(log.items.shape), np.zeros(log.items.shape)
    for part in range(min(folds, clusters)):
        inside = fold == part
        own, its = log.take(inside, log.shown), policy.take(inside)
        means = fit_levels(log, policy.n_items, smoothing=smoothing, among=~inside).means
        logged[inside] = of_logged(means, own)
        target[inside] = of_policy(means, policy.take(inside), marginal, own.segments)
        given[inside] = _given_above(means, own, its)
    shown = log.shown
    return Predicted(logged, np.where(shown, target, 0.0), np.where(shown, given, 0.0), fold)


def _given_above(means: Floats, log: Logged, policy: TargetPolicy) -> Floats:
    """(R, K) as `of_policy` by the table's own chances, without the logged items above, the rest scaled up to 1."""
    whole = of_policy(means, policy, policy.probabilities, log.segments)
    if policy.repeats:
        return whole
    left = 1 - policy.above(policy.groups, log.items)
    for rank in range(1, log.items.shape[1]):
        for higher in range(rank):
            here = log.items[:, higher]
            again = (log.items[:, :higher] == here[:, None]).any(axis=1)
            chance = np.where(again, 0.0, policy.chances(policy.groups, rank, here))
            whole[:, rank] -= chance * means[log.segments, rank, here]
    # where nothing is left, the policy cannot have come here
    return np.where(left > 1e-9, whole / left.clip(min=1e-9), 0.0)
