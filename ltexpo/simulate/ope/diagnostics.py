"""Weights and rewards of a log → how much of it speaks of the policy, and whether that is enough to say anything."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ltexpo.metrics.intervals import Estimate, mean_estimate
from ltexpo.simulate.ope.pareto import pareto_k
from ltexpo.simulate.ope.settings import OpeSettings

Floats = npt.NDArray[np.float64]

OK, CANNOT_SAY = "ok", "cannot say"
_NEXT_TO_NOTHING = 0.005
"""A missing share below this does not explain weights whose mean is off."""


@dataclass(frozen=True)
class Diagnosis:
    """What one kind of weights looks like."""

    effective: float
    """Requests that would tell as much if all weighed alike: Kish's (Σ w)² / Σ w², of the R requests."""
    largest: float
    """The largest weight."""
    pareto_k: float
    """Shape of the weights' tail: see `pareto_k`."""
    mean_weight: Estimate
    """1 when the log shows all that the policy would and its propensities are right; what lacks is shown nowhere."""
    rewarded: float
    """(Σ w r)² / Σ (w r)²: rewarded slots that would tell as much if all weighed alike."""


def diagnose(weights: Floats, rewards: Floats, clusters: npt.NDArray[Any], *, requests: int, level: float) -> Diagnosis:
    """`weights`, `rewards` and `clusters` (n,) hold one entry per slot or per list; `requests` is R."""
    return Diagnosis(
        effective=_kish(weights) * requests / max(len(weights), 1),
        largest=float(weights.max(initial=0.0)),
        pareto_k=pareto_k(weights),
        mean_weight=mean_estimate(weights, clusters, level=level),
        rewarded=_kish(weights * rewards),
    )


def refusal(found: Diagnosis, missing: float, settings: OpeSettings) -> str | None:
    """Why nothing can be said from these weights; None when something can.

    `missing` is the share of what the policy would show that the log shows at that rank nowhere: said where the
    weights' mean tells that it matters.
    """
    mean = found.mean_weight
    if mean.clusters < 2:
        return "all requests are of one user, so that nothing tells how sure it is"
    if found.effective < settings.min_effective:
        return f"effective sample size {found.effective:.1f}, below {settings.min_effective:g}"
    if abs(mean.value - 1) > settings.max_lacking and not mean.low <= 1 <= mean.high:
        off = f"the weights' mean is {mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f}), not 1: "
        if missing < _NEXT_TO_NOTHING:
            return (
                f"{off}the log shows somebody nearly all that the policy would at that rank, so its propensities are "
                "wrong, or there are users to whom it would never show what the policy shows them"
            )
        return (
            f"{off}the log cannot show all that the policy would ({missing:.1%} of it was never shown at that rank), "
            "or its propensities are wrong"
        )
    if found.pareto_k > settings.max_pareto_k:
        return f"the weights' tail is too heavy: Pareto k {found.pareto_k:.2f}, above {settings.max_pareto_k:g}"
    if found.rewarded < settings.min_rewarded:
        return f"{found.rewarded:.1f} effective rewarded slots, below {settings.min_rewarded:g}"
    return None


def missing_share(policy_cells: npt.NDArray[np.bool_], chances: Floats, starts: Any, slots: Floats) -> float:
    """Share of what the policy would show that the log shows at that rank nowhere.

    `policy_cells` (N,) whether the log ever shows a row's item at its rank, `chances` (N,) the rows' probabilities,
    `starts` (G · K + 1,) where each group's rank begins, `slots` (G, K) how many logged slots each stands for.
    """
    lacking = np.concatenate([[0.0], np.cumsum(np.where(policy_cells, 0.0, chances))])
    by_cell = (lacking[starts[1:]] - lacking[starts[:-1]]).reshape(slots.shape)
    total = float(slots.sum())
    return float((by_cell * slots).sum() / total) if total else float("nan")


def _kish(weights: Floats) -> float:
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
