"""Lists that arrive one by one → their slots, at prices that move so that the exposure goals are met at the end.

Both controllers serve a list exactly as the batch re-ranker does at the prices of that moment, under the same
guardrails, and pace every goal towards what it still lacks: target rate = (target - achieved so far) / (exposure
expected still to come). This corrects itself: what noise or a shift of traffic left undone is asked of later lists.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ltexpo.errors import InputError
from ltexpo.rerank.pacing import BUFFERED, CEILING, CLICKS, CLOCK, EXPOSURE_LEFT, LISTS, State, serve, serve_all
from ltexpo.rerank.problem import Problem

Floats = npt.NDArray[np.float64]

POINTS = 200
"""Samples of a trajectory."""
INTERVALS = 2000
"""Updates of a PID over a period."""
SHORT = 100_000
"""Lists of a period under which a PID integrates faster: small goals see few lists to learn their price from."""


@dataclass(frozen=True, eq=False)
class StreamResult:
    """What a controller reached on a stream, and its way there at about `POINTS` moments."""

    problem: Problem
    clicks: float
    achieved: Floats
    """(G,) exposure of every goal."""
    seen: npt.NDArray[np.int64]
    """(P,) lists served at each moment."""
    clicks_path: Floats
    """(P,) clicks so far."""
    prices_path: Floats
    """(P, G)"""
    achieved_path: Floats
    """(P, G)"""
    slots: npt.NDArray[np.int32] | None
    """(R, k) offsets in each list by list (not by arrival), -1 = empty; None if not kept."""

    @cached_property
    def deviation(self) -> Floats:
        """(G,) missing (at least) or surplus (at most) exposure as a share of the target; 0 where the goal is met."""
        goals = self.problem.goals
        missed = np.maximum(0.0, goals.kind * (goals.target - self.achieved))
        return np.asarray(missed / np.maximum(np.abs(goals.target), 1e-12))

    def regret(self, offline: float) -> float:
        """Share of the `offline` optimum (or of its upper bound) that was lost; below 0 only if goals were missed."""
        return (offline - self.clicks) / offline if offline else 0.0

    def __str__(self) -> str:
        late = int((self.deviation > 0.01).sum())
        return (
            f"{int(self.seen[-1]) if len(self.seen) else 0:,} lists: expected clicks {self.clicks:,.1f}, "
            f"{len(self.achieved) - late:,} of {len(self.achieved):,} goals met within 1%, "
            f"worst {self.deviation.max(initial=0.0):.3%} off"
        )


class Controller:
    """State of one period; build a `DualController` or a `PidController`.

    `problem` says the catalogue's groups, goals (targets for the whole period), guardrails and attention; its lists may
    be empty for a service. `expected_exposure` is what the whole period will give (default: the lists of `problem`).
    `batch`: prices move after so many lists. `start`: prices (G,) of an earlier period.
    """

    def __init__(
        self, problem: Problem, *, expected_exposure: float | None, batch: int, start: Floats | None, rate: Floats,
        pid: Floats,
    ) -> None:
        self.problem = problem
        if batch < 1:
            raise InputError(f"batch is {batch}; give 1 list or more.")
        if problem.guardrails.max_click_loss is not None:
            raise InputError("max_click_loss cannot be kept while lists are still to come. Use max_request_loss.")
        if problem.welfare is not None:
            raise InputError("welfare needs all lists at once. Give floors for its groups, or apply batch prices.")
        n_goals = len(problem.goals)
        prices = np.zeros(n_goals) if start is None else np.array(start, dtype=np.float64)
        if prices.shape != (n_goals,) or not np.isfinite(prices).all() or (prices * problem.goals.kind < 0).any():
            raise InputError(f"start must hold {n_goals} finite prices, ≥ 0 for at-least and ≤ 0 for at-most goals.")
        totals = np.zeros(9)
        # a boost beyond the widest list decides nothing more; prices of an earlier period may have seen wider ones
        totals[CEILING] = np.abs(prices).max(initial=0.0)
        totals[EXPOSURE_LEFT] = expected_exposure_of(problem, expected_exposure)
        member = problem.membership
        self.state = State(
            totals=totals,
            price=prices,
            clock=np.zeros(n_goals),
            left=problem.goals.target.astype(np.float64),
            target=problem.goals.target.astype(np.float64),
            kind=problem.goals.kind.astype(np.int8),
            rate=rate,
            pid=pid,
            memory=np.vstack([np.zeros(n_goals), prices]),
            start=member.indptr.astype(np.int64),
            goals=member.indices.astype(np.int64),
            boost=np.zeros(problem.n_items, np.float32),
            shown=np.zeros(batch * problem.k, np.int64),
            amount=np.zeros(batch * problem.k),
            batch=batch,
        )
        self._adjusted = np.empty(problem.k, np.float32)
        self._chosen, self._plain, self._spare = np.empty((3, problem.k), np.int64)

    @property
    def prices(self) -> Floats:
        """(G,) prices that the next list is served at, in clicks per exposure."""
        state = self.state
        drift = state.rate * np.maximum(state.left, 0.0) * (state.totals[CLOCK] - state.clock)
        return np.asarray(np.minimum(state.price + drift, np.where(state.kind > 0, state.totals[CEILING], 0.0)))

    @property
    def achieved(self) -> Floats:
        """(G,) exposure given so far."""
        shown = np.zeros(self.problem.n_items)
        open_slots = int(self.state.totals[BUFFERED])
        np.add.at(shown, self.state.shown[:open_slots], self.state.amount[:open_slots])
        return np.asarray(self.state.target - self.state.left + self.problem.membership.T @ shown)

    @property
    def clicks(self) -> float:
        """Expected clicks so far."""
        return float(self.state.totals[CLICKS])

    @property
    def lists_served(self) -> int:
        """Lists so far."""
        return int(self.state.totals[LISTS])

    def rank(
        self,
        items: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        weight: float = 1.0,
        boostable: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Serve one list of item codes (C,) with scores (C,) → places in it of what to show, best first.

        The list counts as shown. Raises `InputError` on codes, scores or a weight that cannot be used.
        """
        codes = np.asarray(items, dtype=np.int32)
        values = np.asarray(scores, dtype=np.float32)
        if codes.ndim != 1 or codes.shape != values.shape or not np.isfinite(values).all():
            raise InputError(f"items and scores hold {codes.shape} and {values.shape}; give one finite score per item.")
        if len(codes) and (int(codes.min()) < 0 or int(codes.max()) >= self.problem.n_items):
            raise InputError(f"items holds codes outside 0 to {self.problem.n_items - 1}. Encode items densely.")
        if len(np.unique(codes)) < len(codes):
            raise InputError("items holds the same item twice. Keep one candidate per item.")
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"weight is {weight}; give a finite number ≥ 0.")
        # as `Problem` orders a list
        order = np.lexsort((codes, -values))
        lists = self.problem.lists._replace(
            indptr=np.array([0, len(codes)]), items=codes[order], scores=values[order],
            boostable=np.empty(0, np.bool_) if boostable is None else np.asarray(boostable, np.bool_)[order],
        )
        n = serve(
            self.state, lists, 0, len(codes), float(weight), self._adjusted, self._chosen, self._plain, self._spare
        )
        return np.asarray(order[self._chosen[:n]])


class DualController(Controller):
    """Dual mirror descent: after each list λ ← projection of λ - η (exposure given - target rate).

    Balseiro, Lu & Mirrokni 2020 (arXiv 2007.00514), with the squared norm weighted per goal as mirror map. η_g is
    `step` × spread / √(lists × q_g): spread = mean distance of a list's best from its median score, measured on the
    way; q_g = ρ_g Σ a² + (ρ_g Σ a)², the second moment of what one list gives to a goal of share ρ_g. So a small
    seller's price makes as much way over a period as the tail's, and regret is of order √lists.
    """

    def __init__(
        self, problem: Problem, *, expected_exposure: float | None = None, step: float = 0.5, batch: int = 1,
        start: Floats | None = None,
    ) -> None:
        if not step > 0:
            raise InputError(f"step is {step}; give a number above 0.")
        expected = expected_exposure_of(problem, expected_exposure)
        a = problem.attention
        share = np.clip(problem.goals.target / expected, a[-1] / expected, 1.0)
        moment = share * np.square(a).sum() + np.square(share * a.sum())
        rate = step / np.sqrt(max(expected / a.sum(), 1.0) * np.maximum(moment, 1e-12))
        super().__init__(
            problem, expected_exposure=expected, batch=batch, start=start, rate=rate, pid=np.empty(0)
        )


class PidController(Controller):
    """PID on the relative deviation of each group's exposure from what is due in an interval of `batch` lists.

    By default a period has `INTERVALS` intervals, and ki is 0.05 × max(1, √(`SHORT` / lists)): in short periods goals
    are met more closely, at somewhat more clicks.

    Price = spread × (kp × smoothed error + ki × Σ errors + kd × change of the smoothed error), as advertising platforms
    pace budgets (Zhang et al. 2016, "Feedback control of real-time display advertising"); for its kinship with mirror
    descent see Balseiro, Lu, Mirrokni & Sivan 2022 (arXiv 2202.06152). Errors are cut at ±`most_error`, a price moves
    at most `most_step` × spread an interval, and the integral never leaves the allowed prices (anti-windup).
    """

    def __init__(
        self, problem: Problem, *, expected_exposure: float | None = None, batch: int | None = None,
        start: Floats | None = None, kp: float = 0.05, ki: float | None = None, kd: float = 0.0, smoothing: float = 0.2,
        most_error: float = 2.0, most_step: float = 0.1,
    ) -> None:
        expected = expected_exposure_of(problem, expected_exposure)
        n_lists = expected / problem.attention.sum()
        if ki is None:
            ki = 0.05 * max(1.0, float(np.sqrt(SHORT / max(n_lists, 1.0))))
        if min(kp, ki, kd) < 0 or not 0 < smoothing <= 1 or not (most_error > 0 and most_step > 0):
            raise InputError("gains must be ≥ 0, smoothing in (0, 1], most_error and most_step above 0.")
        if batch is None:
            batch = int(np.clip(n_lists / INTERVALS, 1, 1000))
        super().__init__(
            problem, expected_exposure=expected, batch=batch, start=start,
            rate=np.zeros(len(problem.goals)), pid=np.array([kp, ki, kd, smoothing, most_error, most_step]),
        )


def expected_exposure_of(problem: Problem, given: float | None) -> float:
    """`given`, or the exposure of the problem's own lists; raises `InputError` if that is nothing."""
    expected = problem.total_exposure if given is None else float(given)
    if not (np.isfinite(expected) and expected > 0):
        raise InputError(f"expected_exposure is {expected}; give what the period will show (lists × Σ attention).")
    return expected


def run_stream(
    problem: Problem, order: npt.ArrayLike, controller: Controller, *, keep_slots: bool = False
) -> StreamResult:
    """Let the lists of `problem` arrive in `order` (rows) at a controller: what `rank` does list by list, compiled."""
    rows = np.asarray(order, dtype=np.int64)
    if rows.ndim != 1 or (len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= problem.n_lists)):
        raise InputError(f"order must hold rows from 0 to {problem.n_lists - 1}.")
    if controller.problem.n_items != problem.n_items or len(controller.problem.goals) != len(problem.goals):
        raise InputError("the controller was built for other items or goals than these lists have.")
    stride = max(1, -(-len(rows) // POINTS))
    n_points = -(-len(rows) // stride)
    n_goals = len(problem.goals)
    seen, clicks = np.zeros(n_points, np.int64), np.zeros(n_points)
    prices, left = np.zeros((n_points, n_goals)), np.zeros((n_points, n_goals))
    slots = np.full((problem.n_lists if keep_slots else 0, problem.k), -1, np.int32)
    serve_all(controller.state, problem.lists, rows, stride, slots, seen, clicks, prices, left)
    return StreamResult(
        problem, controller.clicks, controller.achieved, seen, clicks, prices, controller.state.target - left,
        slots if keep_slots else None,
    )
