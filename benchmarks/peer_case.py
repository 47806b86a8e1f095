"""A `Market` and a floor for each of its groups → the same case for peers and for ltexpo, and a peer's best point."""

import time
from dataclasses import dataclass, replace

import numpy as np

from ltexpo.rerank.peers import PEERS, Market, Peer
from ltexpo.rerank.peers.alpha_fair import AlphaFair
from ltexpo.rerank.peers.min_regularizer import MinRegularizer
from ltexpo.rerank.peers.p_mmf import PMMF
from ltexpo.rerank.problem import Goals, Problem

STEPS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SETTINGS: dict[str, list[Peer]] = {
    "p_mmf": [PMMF(step=step, weigh_slots=weigh) for step in STEPS for weigh in (False, True)],
    "p_mmf_uncapped": [PMMF(capped=False, step=step, weigh_slots=weigh) for step in STEPS for weigh in (False, True)],
    "min_regularizer": [MinRegularizer(weigh_slots=weigh) for weigh in (False, True)],
    "alpha_fair": [AlphaFair(alpha=alpha) for alpha in (0.5, 0.0, -1.0, -2.0, -4.0)],
}
"""Settings beside the strength that a paper tunes."""


@dataclass(frozen=True)
class Case:
    """Floors (P,) for the groups of a market."""

    name: str
    market: Market
    floors: np.ndarray

    def problem(self, floors: np.ndarray | None = None, lists: int | None = None) -> Problem:
        """The same goals for ltexpo; `lists` keeps the first ones only and scales the floors."""
        market = self.market
        rows = market.n_lists if lists is None else lists
        end = int(market.indptr[rows])
        target = (self.floors if floors is None else floors) * (rows / market.n_lists)
        wanted = np.flatnonzero(target > 0)
        in_group = market.group >= 0
        return Problem.build(
            market.indptr[: rows + 1], market.items[:end], market.scores[:end],
            attention=market.attention,
            group_indptr=np.concatenate([[0], np.cumsum(in_group)]), group_ids=market.group[in_group],
            goals=Goals(wanted, np.ones(len(wanted), np.int8), target[wanted]),
        )  # fmt: skip

    def missing(self, slots: np.ndarray) -> float:
        """Exposure that is missing to the floors, over all groups."""
        return float(np.maximum(self.floors - self.market.group_exposure(slots), 0.0).sum())


@dataclass(frozen=True)
class Chosen:
    """A peer's best point of a sweep."""

    peer: Peer
    strength: float
    slots: np.ndarray
    seconds: float
    tried: int


def sweep(case: Case, name: str) -> Chosen:
    """Settings and strengths of one peer → the point the tables show."""
    market = case.market
    allowed = 0.01 * case.missing(PEERS["plain"].rerank(market, 0.0))
    best: tuple[tuple[float, float], Chosen] | None = None
    tried = 0
    for peer in SETTINGS.get(name, [PEERS[name]]):
        points: dict[float, tuple[float, float]] = {}
        grid = list(peer.strengths)
        for _ in range(3):
            for strength in grid:
                if strength in points:
                    continue
                began = time.perf_counter()
                slots = peer.rerank(market, strength)
                seconds = time.perf_counter() - began
                points[strength] = (max(case.missing(slots) - allowed, 0.0), -market.clicks(slots))
                tried += 1
                if best is None or points[strength] < best[0]:
                    best = points[strength], Chosen(peer, strength, slots, seconds, 0)
            done = sorted(points)
            at = done.index(min(done, key=lambda s: points[s]))
            sides = [(done[max(at - 1, 0)], done[at]), (done[at], done[min(at + 1, len(done) - 1)])]
            grid = [low + (high - low) * part for low, high in sides for part in (0.2, 0.4, 0.6, 0.8) if high > low]
    assert best is not None
    return replace(best[1], tried=tried)


def settings_of(peer: Peer) -> str:
    """The swept settings of a peer, for the table."""
    if isinstance(peer, PMMF):
        return f"step {peer.step:g}, {'attention' if peer.weigh_slots else 'slots'}, "
    if isinstance(peer, MinRegularizer):
        return f"{'attention' if peer.weigh_slots else 'slots'}, "
    return f"alpha {peer.alpha:g}, " if isinstance(peer, AlphaFair) else ""
