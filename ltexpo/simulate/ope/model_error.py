"""How much a value rests on each mean of the reward model → how far each request moves the value through the model.

An estimate that leans on predicted rewards inherits their error: its interval must hold it.
"""

import numpy as np
import numpy.typing as npt

from ltexpo.simulate.ope.logged import Logged
from ltexpo.simulate.ope.policy import TargetPolicy
from ltexpo.simulate.ope.reward_model import Levels, fit_levels

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class ModelError:
    """The reward model of the whole log, and what the policy would show, by its cells."""

    def __init__(self, log: Logged, policy: TargetPolicy, marginal: Floats, *, smoothing: float) -> None:
        self.log, self.levels = log, fit_levels(log, policy.n_items, smoothing=smoothing)
        self.target = shown_by(log, policy, marginal)

    def moved(self, weights: Floats) -> Floats:
        """(R,) R times the influence of each request on Σ_cells (target share − Σ weights / R) · mean, centred.

        `weights` (R, K) are those by which predictions of logged slots are taken off again: 0 for the direct method.
        """
        log, levels = self.log, self.levels
        shape = self.target.shape
        cell = (levels.segment * shape[1] + levels.rank) * shape[2] + levels.item
        taken = np.bincount(cell, weights=weights[log.shown], minlength=self.target.size) / len(log.users)
        of_slot = _influence(levels, (self.target - taken.reshape(shape)))
        moved = np.bincount(levels.request, weights=of_slot, minlength=len(log.users)) * len(log.users)
        centred: Floats = moved - moved.mean()
        return centred


def _influence(levels: Levels, rests: Floats) -> Floats:
    """(n,) infinitesimal jackknife (Jaeckel 1972): d Σ rests · means / d weight of each slot; `rests` is (S, K, I).

    The chain rule through the levels of `fit_levels`, from the finest to the coarsest.
    """
    m, rank, item, reward = levels.smoothing, levels.rank, levels.item, levels.reward
    moved = np.zeros(len(reward))
    on_cell = rests.sum(axis=0)
    if levels.by_segment is not None:
        share = rests / (levels.segment_count + m)
        at = levels.segment, rank, item
        moved += share[at] * (reward - levels.by_segment[at])
        on_cell = (share * m).sum(axis=0)
    share = on_cell / (levels.count + m)
    moved += share[rank, item] * (reward - levels.by_cell[rank, item])
    on_prior = share * m
    # the prior of a cell is its rank's mean times the item's lift
    on_rank = (on_prior * levels.lift).sum(axis=1)
    on_overall = 0.0
    if levels.overall > 0:
        base = levels.expected + m * levels.overall
        on_lift = (on_prior * levels.by_rank[:, None]).sum(axis=0) / base
        moved += on_lift[item] * (reward - levels.by_rank[rank] * levels.lift[item])
        on_rank -= (levels.count * (on_lift * levels.lift)).sum(axis=1)
        on_overall += float((on_lift * m * (1 - levels.lift)).sum())
    on_rank /= levels.count.sum(axis=1) + m
    moved += on_rank[rank] * (reward - levels.by_rank[rank])
    on_overall += m * float(on_rank.sum())
    moved += on_overall * (reward - levels.overall) / len(reward)
    return moved


def shown_by(log: Logged, policy: TargetPolicy, marginal: Floats) -> Floats:
    """(S, K, I) how often the policy would show each item at each rank in each segment, per request of the log."""
    n_segments, n_ranks, n_groups = int(log.segments.max()) + 1, log.items.shape[1], len(policy.depths)
    request, rank = np.nonzero(log.shown)
    slots, count = np.unique(
        (log.segments[request] * n_groups + policy.groups[request]) * n_ranks + rank, return_counts=True
    )
    segment, cell = slots // (n_groups * n_ranks), slots % (n_groups * n_ranks)
    length = policy.starts[cell + 1] - policy.starts[cell]
    of_row = np.repeat(np.arange(len(slots)), length)
    row = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + policy.starts[cell][of_row]
    at = (segment[of_row] * n_ranks + cell[of_row] % n_ranks) * policy.n_items + policy.items[row]
    size = n_segments * n_ranks * policy.n_items
    totals = np.bincount(at, weights=marginal[row] * count[of_row], minlength=size) / len(log.users)
    shown: Floats = totals.reshape(n_segments, n_ranks, policy.n_items)
    return shown
