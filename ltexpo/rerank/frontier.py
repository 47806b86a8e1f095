"""Candidates and catalogue → the whole trade-off between the tail's share of exposure and expected clicks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import ConfigError
from ltexpo.metrics.intervals import ratio_estimate
from ltexpo.rerank.encode import Encoded, encode
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Problem, empty_slots
from ltexpo.rerank.rounding import count_clicks
from ltexpo.rerank.score_error import ScoreErrors, ScoresAre, attention_given
from ltexpo.rerank.settings import Goal, RerankSettings
from ltexpo.rerank.solve import Solution, solve

Floats = npt.NDArray[np.float64]

TAIL = "tail"


@dataclass(frozen=True)
class Frontier:
    """Least cost in clicks of every share of exposure for the tail, with the other goals and guardrails kept."""

    points: pd.DataFrame
    """One row per share asked, rising:

    share, achieved; clicks; upper_bound: no lists that meet the goals have more clicks (the band); price: clicks that
    one more unit of tail exposure costs; loss: share of the plain lists' clicks that is lost; loss_low, loss_high: 95%
    interval of the loss that this share costs in a population of such requests (clusters of users where candidates
    name them); score_low, score_high: 95% interval of the loss by the true chances of a click, given these lists, NaN
    without score_std; feasible: whether every goal is met.
    """
    knee_row: int | None
    clicks_before: float
    share_before: float

    @property
    def knee(self) -> "pd.Series[float] | None":
        """The point farthest from the straight line between the ends: more tail costs ever more from here on.

        None where the trade-off has no bend. Kneedle (Satopaa et al. 2011) without smoothing, which exact points do
        not need.
        """
        return None if self.knee_row is None else self.points.iloc[self.knee_row]

    def to_pandas(self) -> pd.DataFrame:
        """The points."""
        return self.points

    def __str__(self) -> str:
        shown = pd.DataFrame({
            "tail share": self.points["share"].map("{:.1%}".format),
            "clicks": self.points["clicks"].map("{:,.1f}".format),
            "at most": self.points["upper_bound"].map("{:,.1f}".format),
            "loss": self.points["loss"].map("{:.2%}".format),
            "95% over requests": _interval(self.points, "loss_low", "loss_high"),
        })
        if self.points["score_low"].notna().any():
            shown["95% over scores"] = _interval(self.points, "score_low", "score_high")
        marks = np.where(self.points["feasible"], "", "not all goals met")
        if self.knee_row is not None:
            marks[self.knee_row] = "knee"
        shown[""] = marks
        return (
            f"plain lists: tail share {self.share_before:.1%}, expected clicks {self.clicks_before:,.1f}\n"
            + shown.to_string(index=False)
        )


def frontier(
    candidates: pd.DataFrame,
    items: pd.DataFrame,
    settings: RerankSettings,
    *,
    shares: Sequence[float] | None = None,
    n_points: int = 15,
    scores_are: ScoresAre = "calibrated",
    rng: int | np.random.Generator = 0,
) -> Frontier:
    """Solve for each tail share in turn, warm-started from its neighbour; the goal on the tail in `settings` is varied.

    `shares`: tail shares to ask for; default `n_points` from the plain lists' share to the most that the guardrails
    allow. `scores_are` says what `score_std` is the error of, see `ScoreErrors`. Raises `InputError` on input that
    cannot be used.
    """
    if shares is None and n_points < 2:
        raise ConfigError(f"n_points is {n_points}; give 2 or more, or shares.")
    if shares is not None and (len(shares) == 0 or not all(0 <= share <= 1 for share in shares)):
        raise ConfigError("shares must hold at least one number from 0 to 1.")
    others = tuple(goal for goal in settings.goals if not _on_tail(goal))
    asked = settings.model_copy(update={"goals": (Goal(group=TAIL, min_share=0.0), *others)})
    encoded = encode(candidates, items, asked)
    problem = encoded.problem
    total = problem.total_exposure
    clicks_before, shown = count_clicks(problem, encoded.plain)
    share_before = float((problem.membership.T @ shown)[0]) / total
    grid = np.sort(np.asarray(shares, dtype=np.float64)) if shares is not None else np.linspace(
        share_before, max(_most_tail(problem) / total, share_before), n_points
    )
    errors = ScoreErrors.of(candidates, encoded, settings, scores_are=scores_are, rng=rng)
    before = attention_given(problem, encoded.plain)
    rows, start = [], None
    for share in grid:
        # rounding asks for a hair more than the target, so a share that lists give exactly is asked a hair lower
        asked_tail = share * total - 2e-9 * max(total, 1.0)
        goals = replace(problem.goals, target=np.concatenate([[asked_tail], problem.goals.target[1:]]))
        solution = solve(replace(problem, goals=goals), start=start, tolerance=settings.tolerance, rng=rng)
        start = solution.prices
        rows.append(_row(encoded, solution, float(share), clicks_before, before, errors))
    points = pd.DataFrame(rows)
    usable = np.flatnonzero(points["feasible"])
    bend = knee_of(points["share"].to_numpy()[usable], points["clicks"].to_numpy()[usable])
    return Frontier(points, None if bend is None else int(usable[bend]), clicks_before, share_before)


def knee_of(x: npt.ArrayLike, y: npt.ArrayLike) -> int | None:
    """Row of the point of a falling concave curve that lies highest above the chord of its ends; None on a chord."""
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(across) < 3 or across[-1] <= across[0] or up[0] <= up[-1]:
        return None
    height = (up - up[-1]) / (up[0] - up[-1]) - (across[-1] - across) / (across[-1] - across[0])
    best = int(np.argmax(height))
    return best if height[best] > 1e-6 else None


def _on_tail(goal: Goal) -> bool:
    return goal.group == TAIL and goal.limit[0].startswith("min") and not goal.where


def _interval(points: pd.DataFrame, low: str, high: str) -> "pd.Series[str]":
    return points[low].map("{:.2%}".format) + " to " + points[high].map("{:.2%}".format)


def _most_tail(problem: Problem) -> float:
    """Tail exposure when tail items go first wherever the guardrails let them."""
    spread = float(problem.scores.max() - problem.scores.min()) if len(problem.scores) else 0.0
    prices = np.zeros(len(problem.goals))
    prices[0] = 10.0 * spread + 1.0
    slots = empty_slots(problem)
    choose(problem.lists, problem.boosts(prices), slots)
    return float((problem.membership.T @ count_clicks(problem, slots)[1])[0])


def _row(
    encoded: Encoded, solution: Solution, share: float, clicks_before: float, before: Floats,
    errors: ScoreErrors | None,
) -> dict[str, float | bool]:
    problem = encoded.problem
    after = attention_given(problem, solution.slots)
    loss = 1 - solution.clicks_after / clicks_before if clicks_before else 0.0
    low, high = _loss_over_requests(encoded, solution, before, after, loss)
    of_scores = None if errors is None or not clicks_before else errors.loss(before, after, solution.prices)
    return {
        "share": share,
        "achieved": float(solution.achieved[0]) / problem.total_exposure,
        "clicks": solution.clicks_after,
        "upper_bound": solution.upper_bound,
        "price": float(solution.prices[0]),
        "loss": loss,
        "loss_low": low,
        "loss_high": high,
        "score_low": np.nan if of_scores is None else of_scores[0],
        "score_high": np.nan if of_scores is None else of_scores[1],
        "feasible": solution.feasible,
    }


def _loss_over_requests(
    encoded: Encoded, solution: Solution, before: Floats, after: Floats, loss: float
) -> tuple[float, float]:
    """Interval of the loss at the goals as they stand, over requests or users.

    Other requests would have other prices at which the goals are met. By the envelope theorem a request then counts
    with what it loses less the price of what it gives to the goals beyond its part of them; goals that are just met
    make this nothing over all requests. (Without that term, lists of other exposure would be compared.)
    """
    problem = encoded.problem
    request = np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))
    lost = np.bincount(request, (before - after) * problem.scores, problem.n_lists)
    had = np.bincount(request, before * problem.scores, problem.n_lists)
    boost = problem.membership @ solution.prices
    given = np.bincount(request, after * boost[problem.items], problem.n_lists)
    part = problem.list_exposure / max(problem.total_exposure, 1e-12)
    users = None if encoded.users is None else encoded.users.to_numpy(zero_copy_only=False)
    over = ratio_estimate(lost - given + part * float(solution.prices @ solution.achieved), had, users)
    return over.low + loss - over.value, over.high + loss - over.value
