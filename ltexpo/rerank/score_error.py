"""Standard errors of scores + lists → the interval of the clicks that these lists lose by the true chances."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ltexpo.columns import Columns
from ltexpo.data.schema import CANDIDATES, check_table
from ltexpo.rerank.encode import Encoded
from ltexpo.rerank.kernels import choose, choose_plain
from ltexpo.rerank.passes import Slots
from ltexpo.rerank.problem import Problem, empty_slots
from ltexpo.rerank.settings import RerankSettings

Floats = npt.NDArray[np.float64]
ScoresAre = Literal["calibrated", "estimates"]

HALF = float(ndtri(0.975))
NUDGE = 0.3
"""Size, in standard errors, of the changes of scores that show how far the choice follows their errors."""
DRAWS = 12


@dataclass(frozen=True, eq=False)
class ScoreErrors:
    """Errors of the scores of a problem, and what choosing by such scores flatters.

    With "calibrated" scores, the mean chance of a click given a score (and its error) is the score, as for a posterior
    mean: then lists chosen by them have, on average, the clicks that they promise. With "estimates", scores scatter
    around the true chances with these errors; the best of them look better than they are, and what both lists owe to
    that is taken off by the coupled bootstrap: E Σ w(s) ε = Σ σ² ∂w/∂s, measured with scores moved a little both ways
    (Oliveira, Lei & Tibshirani 2021, arXiv 2111.09447).
    With the choice, the interval widens by E tr (Σ ∂w/∂s)², of which the items' own terms are taken.
    The errors of one item in different lists may be alike to any degree (the wider of the two ends is taken), those of
    different items are independent.

    `score_std` is how far the score may be off as a mean, and that many candidates share. How far single candidates lie
    from a score that is their right mean, `score_spread`, is not read: it is each candidate's own and averages out over
    the lists, choosing by means flatters nothing on its account, and as an error alike in all lists of an item it would
    widen the interval many times over.
    """

    problem: Problem
    errors: Floats
    """(nnz,) in clicks, in the problem's order."""
    nudged: tuple["_Nudged", ...]
    """Pairs of problems with scores moved up and down; none for calibrated scores."""

    @classmethod
    def of(
        cls, candidates: pd.DataFrame, encoded: Encoded, settings: RerankSettings, *,
        scores_are: ScoresAre = "calibrated", rng: int | np.random.Generator = 0,
    ) -> "ScoreErrors | None":
        """Errors by `score_std` of the candidates; None where they have none."""
        if Columns.ScoreStd not in candidates.columns:
            return None
        errors = _placed_errors(candidates, encoded, settings)
        if scores_are == "calibrated":
            return cls(encoded.problem, errors, ())
        generator = np.random.default_rng(rng)
        nudged = []
        for _ in range(DRAWS):
            noise = generator.standard_normal(len(errors)) * errors
            nudged += [_Nudged.of(encoded.problem, sign * NUDGE * noise, noise) for sign in (1.0, -1.0)]
        return cls(encoded.problem, errors, tuple(nudged))

    def loss(self, before: Floats, after: Floats, prices: Floats) -> tuple[float, float]:
        """95% interval of 1 - true clicks after / true clicks before, of lists that give this attention (nnz,)."""
        problem = self.problem
        scores = problem.scores.astype(np.float64)
        had, has = float(before @ scores), float(after @ scores)
        # loss = 1 - A / B, to first order in the scores
        weight = (after - has / had * before) / had
        of_item = np.bincount(problem.items, weight * self.errors, problem.n_items)
        alone = np.bincount(problem.items, np.square(weight * self.errors), problem.n_items)
        variance = float(np.maximum(np.square(of_item), alone).sum())
        true_before, true_after = had, has
        if self.nudged:
            owed = np.array([
                (up.owed(prices) - down.owed(prices)) / (2 * NUDGE)
                for up, down in zip(self.nudged[::2], self.nudged[1::2], strict=True)
            ])
            true_before, true_after = np.array([had, has]) - owed.sum(axis=2).mean(axis=0)
            part = np.einsum("dli,l->di", owed, [-has / had, 1.0]) / had
            variance += float(part.sum(axis=1).var(ddof=1)) / len(part)
            # the choice itself moves with an item's error; means of two halves have no common noise to square
            variance += max(float(part[::2].mean(axis=0) @ part[1::2].mean(axis=0)), 0.0)
        loss = 1 - true_after / true_before if true_before > 0 else np.nan
        half = HALF * np.sqrt(variance)
        return loss - half, loss + half


@dataclass(frozen=True, eq=False)
class _Nudged:
    """The problem with other scores, and the noise (nnz,) in its order."""

    problem: Problem
    noise: Floats
    plain: Floats
    """(I,) Σ attention in the plain lists × noise."""

    @classmethod
    def of(cls, problem: Problem, change: Floats, noise: Floats) -> "_Nudged":
        scores = (problem.scores + change).astype(np.float32)
        request = np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))
        order = np.lexsort((problem.items, -scores, request))
        rails = problem.guardrails
        if rails.boostable is not None:
            rails = replace(rails, boostable=rails.boostable[order])
        moved = replace(problem, items=problem.items[order], scores=scores[order], guardrails=rails)
        slots = empty_slots(moved)
        choose_plain(moved.lists, slots)
        return cls(moved, noise[order], _by_item(moved, slots, noise[order]))

    def owed(self, prices: Floats) -> Floats:
        """Σ attention × noise of every item in the plain lists and in those at these prices: (2, I)."""
        slots = empty_slots(self.problem)
        choose(self.problem.lists, self.problem.boosts(prices), slots)
        return np.array([self.plain, _by_item(self.problem, slots, self.noise)])


def _by_item(problem: Problem, slots: Slots, noise: Floats) -> Floats:
    return np.bincount(problem.items, attention_given(problem, slots) * noise, problem.n_items).astype(np.float64)


def attention_given(problem: Problem, slots: Slots) -> Floats:
    """(nnz,) attention × weight that each candidate gets."""
    given = np.zeros(len(problem.scores))
    row, slot = np.nonzero(slots >= 0)
    weight = 1.0 if problem.weights is None else problem.weights[row]
    given[problem.indptr[row] + slots[row, slot]] = problem.attention[slot] * weight
    return given


def _placed_errors(candidates: pd.DataFrame, encoded: Encoded, settings: RerankSettings) -> Floats:
    """(nnz,) standard error of every score, in clicks and in the problem's order."""
    checked = check_table(candidates, CANDIDATES).frame
    request = pd.Index(encoded.requests.to_pandas()).get_indexer(pd.Index(checked[Columns.Request]))
    code = encoded.item_ids.codes_or_missing(checked[Columns.Item])
    error = checked[Columns.ScoreStd].to_numpy(np.float64)
    score = checked[Columns.Score].to_numpy(np.float64)
    if encoded.scale.calibration is not None:
        error = (encoded.scale(score + error) - encoded.scale(score - error)) / 2
    elif settings.score_kind == "logit":
        chance = encoded.scale(score)
        error = error * chance * (1 - chance)
    problem = encoded.problem
    # banned candidates are in the table but not in the problem
    allowed = ~checked[Columns.Item].isin(settings.guardrails.banned).to_numpy(bool)
    ours = np.lexsort((problem.items, np.repeat(np.arange(problem.n_lists), np.diff(problem.indptr))))
    theirs = np.lexsort((code[allowed], request[allowed]))
    placed = np.empty(len(problem.scores))
    placed[ours] = error[allowed][theirs]
    return placed
