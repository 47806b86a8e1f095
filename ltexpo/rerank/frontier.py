"""Candidates and catalogue → the whole trade-off between the tail's share of exposure and expected clicks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ltexpo.columns import Columns
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.errors import ConfigError
from ltexpo.metrics.intervals import Estimate, ratio_estimate
from ltexpo.rerank.encode import Encoded, Slots, click_scores, encode
from ltexpo.rerank.kernels import choose
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.rounding import count_clicks, empty_slots
from ltexpo.rerank.settings import Goal, RerankSettings
from ltexpo.rerank.solve import Solution, solve

Floats = npt.NDArray[np.float64]

TAIL = "tail"
HALF = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Frontier:
    """Least cost in clicks of every share of exposure for the tail, with the other goals and guardrails kept."""

    points: pd.DataFrame
    """One row per share asked, rising:

    share, achieved; clicks; upper_bound: no lists that meet the goals have more clicks (the band); price: clicks that
    one more unit of tail exposure costs; loss: share of the plain lists' clicks that is lost; loss_low, loss_high: its
    95% interval over requests (clusters of users where candidates name them); score_low, score_high: its 95% interval
    for the uncertainty of the scores, NaN without score_std; feasible: whether every goal is met.
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
    rng: int | np.random.Generator = 0,
) -> Frontier:
    """Solve for each tail share in turn, warm-started from its neighbour; the goal on the tail in `settings` is varied.

    `shares`: tail shares to ask for; default `n_points` from the plain lists' share to the most that the guardrails
    allow. Score errors are taken as independent between candidates, and the chosen lists as given: errors that a model
    makes alike for many lists widen the interval, and choosing by the same scores makes the loss look smaller than it
    is. Raises `InputError` on input that cannot be used.
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
    errors = _score_errors(candidates, encoded, settings)
    before = _attention_given(problem, encoded.plain)
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
    encoded: Encoded, solution: Solution, share: float, clicks_before: float, before: Floats, errors: Floats | None
) -> dict[str, float | bool]:
    problem = encoded.problem
    after = _attention_given(problem, solution.slots)
    of_requests = _loss_over_requests(encoded, before, after)
    loss = 1 - solution.clicks_after / clicks_before if clicks_before else 0.0
    half = np.nan
    if errors is not None and clicks_before:
        # loss = 1 - A / B, to first order in the scores
        weight = after / clicks_before - solution.clicks_after * before / clicks_before**2
        half = HALF * float(np.sqrt(np.square(weight * errors).sum()))
    return {
        "share": share,
        "achieved": float(solution.achieved[0]) / problem.total_exposure,
        "clicks": solution.clicks_after,
        "upper_bound": solution.upper_bound,
        "price": float(solution.prices[0]),
        "loss": loss,
        "loss_low": of_requests.low,
        "loss_high": of_requests.high,
        "score_low": loss - half,
        "score_high": loss + half,
        "feasible": solution.feasible,
    }


def _attention_given(problem: Problem, slots: Slots) -> Floats:
    """(nnz,) attention × weight that each candidate gets."""
    given = np.zeros(len(problem.scores))
    row, slot = np.nonzero(slots >= 0)
    weight = 1.0 if problem.weights is None else problem.weights[row]
    given[problem.indptr[row] + slots[row, slot]] = problem.attention[slot] * weight
    return given


def _loss_over_requests(encoded: Encoded, before: Floats, after: Floats) -> Estimate:
    """Σ (clicks before - after) / Σ clicks before, with the interval over requests or users."""
    problem = encoded.problem
    request = np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))
    lost = np.bincount(request, (before - after) * problem.scores, problem.n_lists)
    had = np.bincount(request, before * problem.scores, problem.n_lists)
    users = None if encoded.users is None else encoded.users.to_numpy(zero_copy_only=False)
    return ratio_estimate(lost, had, users)


def _score_errors(candidates: pd.DataFrame, encoded: Encoded, settings: RerankSettings) -> Floats | None:
    """(nnz,) standard error of every score, in clicks and in the problem's order; None without score_std."""
    if Columns.ScoreStd not in candidates.columns:
        return None
    checked = check_table(candidates, CANDIDATES).frame
    request = pd.Index(encoded.requests.to_pandas()).get_indexer(pd.Index(checked[Columns.Request]))
    code = encoded.item_ids.codes_or_missing(checked[Columns.Item])
    error = checked[Columns.ScoreStd].to_numpy(np.float64)
    if settings.score_kind == "logit":
        chance = click_scores(checked[Columns.Score].to_numpy(np.float64), settings, {})
        error = error * chance * (1 - chance)
    problem = encoded.problem
    # banned candidates are in the table but not in the problem
    allowed = ~checked[Columns.Item].isin(settings.guardrails.banned).to_numpy(bool)
    ours = np.lexsort((problem.items, np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))))
    theirs = np.lexsort((code[allowed], request[allowed]))
    placed = np.empty(len(problem.scores))
    placed[ours] = error[allowed][theirs]
    return placed
