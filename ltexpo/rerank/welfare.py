"""Concave utilities of exposure → their value, marginal prices and conjugates: the welfare part of a `Problem`.

A welfare term stands in the dual as one more price λ_g a group, and adds sup_E U(E) - λ·E over what exposure the group
can get at all (Fenchel). For α-fairness the sup is reached at E_g(λ_g) = U_g'^-1(λ_g): to the solver the group
looks like a goal whose target falls as its price rises. For the generalised Gini, a minimum of linear functions, the
sup is 0 inside the permutohedron of the weights and infinite outside, so prices stay there (Do & Usunier, SIGIR 2022).
Any allowed prices bound clicks + welfare from above, as without welfare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.errors import ConfigError
from ltexpo.rerank.attain import attainable
from ltexpo.rerank.groups import WELFARE
from ltexpo.rerank.permutohedron import falling_weights, on_permutohedron
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.settings import Merit, Welfare
from ltexpo.rerank.task import Task

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AlphaFair:
    """weight × Σ_g m_g ψ(E_g / m_g + offset), ψ(x) = (x^(1-α) - 1) / (1-α), log x at α = 1.

    Atkinson (1970); Mo & Walrand (2000); for rankings Do et al. (NeurIPS 2021), there without merit.

    at (n,): price coordinates of the groups; merit (n,) > 0 and most (n,) in exposure: E_g lies in 0 to most_g.
    """

    at: npt.NDArray[np.int64]
    weight: float
    merit: Floats
    most: Floats
    alpha: float
    offset: float

    def value(self, exposure: Floats) -> float:
        """Welfare in clicks of exposure (n,)."""
        return float(self._by_group(exposure).sum())

    def of_group(self, exposure: Floats, group: int) -> float:
        """The part of one group in it."""
        return float(self._by_group(exposure)[group])

    def _by_group(self, exposure: Floats) -> Floats:
        x = np.maximum(exposure, 0.0) / self.merit + self.offset
        psi = np.log(x) if self.alpha == 1.0 else (x ** (1.0 - self.alpha) - 1.0) / (1.0 - self.alpha)
        return np.asarray(self.weight * self.merit * psi)

    def slope(self, exposure: Floats) -> Floats:
        """Marginal clicks (n,) of one more unit of exposure."""
        return np.asarray(self.weight * (np.maximum(exposure, 0.0) / self.merit + self.offset) ** -self.alpha)

    def demand(self, prices: Floats) -> Floats:
        """Exposure (n,) at which the slope is the price, inside 0 to most."""
        if self.alpha == 0.0:
            return np.where(prices < self.weight, self.most, 0.0)
        return np.clip(self.merit * (self._reach(prices) - self.offset), 0.0, self.most)

    def conjugate(self, prices: Floats) -> float:
        """sup_E of the welfare - prices·E."""
        wanted = self.demand(prices)
        return self.value(wanted) - float(prices @ wanted)

    def bend(self, prices: Floats) -> Floats:
        """Second derivative (n,) of the conjugate: how fast demand falls with the price.

        At the limits it is one-sided: a model without curvature there would step far back in.
        """
        if self.alpha == 0.0:
            return np.zeros_like(prices)
        inside = np.clip(prices, self.slope(self.most), self.slope(np.zeros_like(self.most)))
        return np.asarray(self.merit * self._reach(inside) / (self.alpha * np.maximum(inside, 1e-300)))

    def limits(self, ceiling: float) -> tuple[Floats, Floats]:
        """Least and greatest price (n,) worth trying; more than `ceiling` above the price at merit moves no list."""
        if self.alpha == 0.0:
            return np.full_like(self.merit, self.weight), np.full_like(self.merit, self.weight)
        high = np.minimum(self.slope(np.zeros_like(self.merit)), self.weight + ceiling)
        return np.minimum(self.slope(self.most), high), high

    def _reach(self, prices: Floats) -> Floats:
        """(weight / price)^(1/α), cut where it is beyond any exposure."""
        top = float((self.most / self.merit).max(initial=0.0)) + self.offset + 1.0
        with np.errstate(divide="ignore", over="ignore"):
            return np.minimum((self.weight / np.maximum(prices, 1e-300)) ** (1.0 / self.alpha), top)


@dataclass(frozen=True, eq=False)
class GiniWelfare:
    """weight × m Σ_j w_j x_(j), x = E / merit from least to greatest, m the mean merit, w falling with mean 1.

    at (n,): price coordinates of the groups; merit (n,) > 0; falling (n,): weight × w.
    """

    at: npt.NDArray[np.int64]
    merit: Floats
    falling: Floats

    @property
    def unit(self) -> Floats:
        """(n,) price of a group per unit of its weight: mean merit ÷ its merit."""
        return np.asarray(self.merit.mean() / self.merit)

    def value(self, exposure: Floats) -> float:
        """Welfare in clicks of exposure (n,)."""
        return float(self.falling @ np.sort(exposure / self.merit) * self.merit.mean()) if len(exposure) else 0.0

    def slope(self, exposure: Floats) -> Floats:
        """Marginal clicks (n,) of one more unit of exposure (a supergradient where groups are level)."""
        slope = np.empty_like(exposure)
        slope[np.argsort(exposure / self.merit, kind="stable")] = self.falling
        return slope * self.unit

    def limits(self, ceiling: float) -> tuple[Floats, Floats]:
        """No box: the hull alone says which prices are allowed, and projecting on both would be on neither."""
        return np.full_like(self.merit, -np.inf), np.full_like(self.merit, np.inf)

    def project(self, prices: Floats) -> Floats:
        """Nearest prices (n,), in units of the weights, for which the conjugate is 0."""
        return on_permutohedron(prices / self.unit, self.falling) * self.unit


Term = AlphaFair | GiniWelfare


@dataclass(frozen=True, eq=False)
class WelfareTerms:
    """All welfare terms of a problem; prices and exposure are (G,) over goals and welfare groups together."""

    terms: tuple[Term, ...]

    @property
    def alpha_fair(self) -> tuple[AlphaFair, ...]:
        """The separable terms."""
        return tuple(term for term in self.terms if isinstance(term, AlphaFair))

    @property
    def gini(self) -> tuple[GiniWelfare, ...]:
        """The terms by rank."""
        return tuple(term for term in self.terms if isinstance(term, GiniWelfare))

    def value(self, exposure: Floats) -> float:
        """Welfare in clicks."""
        return sum((term.value(exposure[term.at]) for term in self.terms), 0.0)

    def slope(self, exposure: Floats) -> Floats:
        """(G,) marginal clicks of one more unit of exposure, 0 for goals."""
        slope = np.zeros_like(exposure)
        for term in self.terms:
            slope[term.at] = term.slope(exposure[term.at])
        return slope

    def conjugate(self, prices: Floats) -> float:
        """Σ over terms of sup_E welfare - prices·E, for prices that `project` leaves as they are."""
        return sum((term.conjugate(prices[term.at]) for term in self.alpha_fair), 0.0)

    def demand(self, prices: Floats) -> Floats:
        """(G,) exposure at which the sup is reached, 0 elsewhere."""
        demand = np.zeros_like(prices)
        for term in self.alpha_fair:
            demand[term.at] = term.demand(prices[term.at])
        return demand

    def bend(self, prices: Floats) -> Floats:
        """(G,) second derivative of the conjugate."""
        bend = np.zeros_like(prices)
        for term in self.alpha_fair:
            bend[term.at] = term.bend(prices[term.at])
        return bend

    def project(self, prices: Floats) -> Floats:
        """Nearest prices (G,) at which the conjugate is finite."""
        near = prices.copy()
        for term in self.gini:
            near[term.at] = term.project(prices[term.at])
        return near

    def scaled(self, share: float) -> "WelfareTerms":
        """The same welfare at `share` of its weight."""
        return WelfareTerms(tuple(
            replace(term, weight=share * term.weight) if isinstance(term, AlphaFair)
            else replace(term, falling=share * term.falling)
            for term in self.terms
        ))  # fmt: skip


def with_welfare(problem: Problem, asked: Sequence[Welfare], frame: pd.DataFrame) -> tuple[Problem, int]:
    """`problem` with the welfare terms `asked`, whose groups are the rows of kind welfare in the goal table `frame`.

    Also returns how many groups no candidate can give exposure: they are left out of the welfare. Raises `ConfigError`.
    """
    most = attainable(problem)
    rows = np.flatnonzero((frame["kind"] == WELFARE).to_numpy(bool))
    source = frame["amount"].to_numpy(np.float64)
    relevance = _relevance(problem) if any(one.merit == "relevance" for one in asked) else np.zeros(len(most))
    terms: list[Term] = []
    for n, one in enumerate(asked):
        groups = rows[source[rows] == n]
        at = groups[most[groups] > 0].astype(np.int64)
        if not len(at):
            raise ConfigError(f"welfare of '{one.group}': no candidate belongs to any group. Check group and where.")
        merit = merits(one.merit, problem.total_exposure, most[at], relevance[at])
        if one.utility == "gini":
            terms.append(GiniWelfare(at, merit, one.weight * falling_weights(len(at), one.aversion)))
        else:
            terms.append(AlphaFair(at, one.weight, merit, most[at], one.alpha, one.offset))
    left_out = len(rows) - sum(len(term.at) for term in terms)
    return replace(problem, welfare=WelfareTerms(tuple(terms))), left_out


def merits(merit: Merit, total: float, most: Floats, relevance: Floats) -> Floats:
    """(n,) exposure that each group is measured against: shares of `total` that add up to it, or 1 for `none`."""
    if merit == "none":
        return np.ones_like(most)
    by = {"equal": np.ones_like(most), "attainable": most, "relevance": np.maximum(relevance, 0.0)}[merit]
    by = by / by.sum() if by.sum() > 0 else np.full_like(by, 1.0 / len(by))
    # a group of no relevance still has a merit, too small to count
    return np.asarray(np.maximum(by, 1e-6 / len(by)) * max(total, 1e-300))


def _relevance(problem: Problem) -> Floats:
    """(G,) sum of the scores of each group's candidates."""
    by_item = np.zeros(problem.n_items)
    step = 1 << 22  # a piece at a time: bincount works on a copy in double width
    for lo in range(0, len(problem.items), step):
        piece = slice(lo, lo + step)
        by_item += np.bincount(problem.items[piece], problem.scores[piece], problem.n_items)
    return np.asarray(problem.membership.T @ by_item)


def start_prices(problem: Task, item_exposure: Floats) -> Floats:
    """(G,) prices to start from: the marginal value of welfare at the plain lists' exposure, 0 for goals.

    The conjugate is flat above the solution, where Newton steps overshoot, and steep below it, where they at most
    multiply a price by 1 + α: a group under its merit starts as if it had it.
    """
    prices = np.zeros(len(problem.goals))
    assert problem.welfare is not None
    exposure = np.asarray(problem.membership.T @ item_exposure)
    for term in problem.welfare.alpha_fair:
        prices[term.at] = term.slope(np.maximum(exposure[term.at], term.merit))
    return problem.welfare.project(prices)


def goals_only(problem: Task) -> Task:
    """The same problem without welfare."""
    return replace(problem, welfare=None)
