"""Candidates → prices (`fit`) → final lists (`rerank`), with the certificate of each."""

import logging
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.errors import ColumnError, ConfigError, InfeasibleError, LtexpoError
from ltexpo.progress import logged
from ltexpo.rerank.certificate import Certificate, certify
from ltexpo.rerank.check import refuse_uncheckable, with_exact
from ltexpo.rerank.encode import EncodedJob, Engine, encode
from ltexpo.rerank.groups import shown_amount
from ltexpo.rerank.lists import ListTables, to_frame
from ltexpo.rerank.relax import Relaxation, smallest_relaxation
from ltexpo.rerank.rounding import count_clicks
from ltexpo.rerank.scale import score_scale
from ltexpo.rerank.settings import RerankSettings
from ltexpo.rerank.solve import Solution, solve
from ltexpo.rerank.source import Candidates
from ltexpo.rerank.spend import spend, spend_on_welfare
from ltexpo.rerank.task import Chosen

log = logging.getLogger("ltexpo")

PRICE_COLUMNS = ["group", "value", "kind", "price"]


@dataclass(frozen=True, eq=False)
class Reranked:
    """Final lists beside the plain top k of the same candidates, with the prices and the certificate.

    The lists are kept in codes; as frames they are made when they are asked for.
    """

    lists: ListTables
    """The lists as record batches, for more of them than fit in a frame."""
    certificate: Certificate
    prices: pd.DataFrame
    """group, value, kind, price: what one more unit of the goal's exposure costs in clicks; of kind welfare, what it is
    worth."""
    boosts: pd.DataFrame
    """item_id, boost, goal: what any engine adds to the item's score, and the goal that pays most of it; items without
    a boost are left out."""

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """request_id, [user_id], rank, item_id, score, exposure, price, boosted: the final lists."""
        return to_frame(self.lists.rankings(), self.lists.rankings_schema)

    @cached_property
    def control(self) -> pd.DataFrame:
        """The plain lists, with the same columns."""
        return to_frame(self.lists.control(), self.lists.rankings_schema)

    @cached_property
    def promotions(self) -> pd.DataFrame:
        """Every promoted item: see `FinalLists.promotions`."""
        return to_frame(self.lists.promotions(), self.lists.promotions_schema)

    def to_pandas(self) -> pd.DataFrame:
        """The final lists."""
        return self.rankings

    def __str__(self) -> str:
        return str(self.certificate)


class ExposureReranker:
    """Learns the prices at which the goals are met, and applies them.

    Maximises Σ_r Σ_j a_j s_{r,π_r(j)} (+ welfare) over permutations subject to the exposure goals. For fixed prices λ
    the problem falls apart into one sort per list by s + Σ_g λ_g 1[i ∈ g]; `fit` minimises the convex dual in λ.
    """

    def __init__(
        self, settings: RerankSettings, *, scratch: Path | None = None, engine: Engine | None = None
    ) -> None:
        self.settings, self.scratch, self.engine = settings, scratch, engine

    def fit(
        self, candidates: Candidates, *, items: pd.DataFrame, prices: pd.DataFrame | None = None,
        clicks: pd.DataFrame | None = None, rng: int | np.random.Generator = 0,
    ) -> Self:
        """Learn `prices_`, and keep the lists that meet the goals as `fitted_`.

        `candidates` are a frame, an Arrow table or dataset, or the path of a Parquet file, of a folder of parts or of
        a hive-partitioned one. `items` is the full catalogue with a tier column (see `TailSpec.assign`); `prices` of an
        earlier day are a warm start. `clicks` are logged impressions and clicks to calibrate the scores on (see
        `score_scale`); the map, `scale_`, is kept for `rerank`. Raises `InputError` on input that cannot be used.
        """
        started = time.perf_counter()
        self.scale_ = score_scale(candidates, self.settings, clicks=clicks)
        encoded = self._encode(candidates, items)
        problem = encoded.task
        if self.settings.exact:
            refuse_uncheckable(problem.collected())
        start = None if prices is None else match_prices(prices, encoded.table.frame)

        with logged("solve"):
            solution = solve(problem, start=start, tolerance=self.settings.tolerance, rng=rng)
        elastic, budget = self.settings.elastic, self.settings.guardrails.max_click_loss
        if not solution.feasible and not elastic:
            relaxation = smallest_relaxation(problem, solution, rng=rng)
            floor = self.settings.guardrails.min_score_ratio
            raise InfeasibleError(_unmet(encoded, solution, relaxation, floor))
        within = budget is None or solution.clicks_after >= (1 - budget) * solution.clicks_before
        if budget is not None and not within and problem.welfare is not None:
            solution = spend_on_welfare(problem, budget, solution)
            within = solution.clicks_after >= (1 - budget) * solution.clicks_before
            problem = replace(problem, welfare=problem.welfare.scaled(solution.welfare_share))
            log.warning(
                "max_click_loss = %.4g lowers the weights of welfare to %.4g of what was given.",
                budget, solution.welfare_share,
            )
        if budget is not None and not within:
            part = spend(problem, budget, rng=rng)
            if not elastic:
                raise InfeasibleError(_too_dear(budget, solution, part))
            solution = part
        self.fitted_ = self._reranked(
            encoded, solution.slots, solution.prices, started,
            # The bound is one of lists that meet the goals: where these give way, it says nothing about the lists.
            upper_bound=solution.upper_bound if within and solution.feasible else None,
            proved_infeasible=solution.proved_infeasible, passes=solution.passes,
            welfare_share=solution.welfare_share,
        )
        if self.settings.exact:
            self.fitted_ = replace(self.fitted_, certificate=with_exact(self.fitted_.certificate, problem.collected()))
        self.prices_ = self.fitted_.prices
        return self

    def rerank(self, candidates: Candidates, *, items: pd.DataFrame) -> Reranked:
        """Apply the learnt prices to other candidates, without solving: each list is sorted once by score + boost."""
        if not hasattr(self, "prices_"):
            raise LtexpoError("this re-ranker has no prices yet. Call fit first, or use apply_prices.")
        return self.apply_prices(candidates, self.prices_, items=items)

    def apply_prices(self, candidates: Candidates, prices: pd.DataFrame, *, items: pd.DataFrame) -> Reranked:
        """Apply `prices` (group, value, kind, price); the certificate shows each goal's drift and carries no bound."""
        started = time.perf_counter()
        encoded = self._encode(candidates, items)
        matched = match_prices(prices, encoded.table.frame)
        if len(prices) and not matched.any() and (prices["price"] != 0).any():
            raise ConfigError(
                "prices: none of them is of a goal of this job. Give the goals with which they were learnt (--config)."
            )
        strange = int((prices["price"] != 0).sum()) - int((matched != 0).sum())
        if strange > 0:
            log.warning("%d of %d prices are of no goal of this job and do nothing.", strange, len(prices))
        slots = encoded.task.choose(encoded.task.boosts(matched))
        return self._reranked(
            encoded, slots, matched, started, upper_bound=None, proved_infeasible=False, passes=1.0
        )

    def _encode(self, candidates: Candidates, items: pd.DataFrame) -> EncodedJob:
        make = encode if self.engine is None else self.engine.encode
        with logged("read candidates"):
            return make(candidates, items, self.settings, scale=getattr(self, "scale_", None), scratch=self.scratch)

    def _reranked(
        self, encoded: EncodedJob, slots: Chosen, prices: npt.NDArray[np.float64], started: float, *,
        upper_bound: float | None, proved_infeasible: bool, passes: float, welfare_share: float = 1.0,
    ) -> Reranked:
        problem = encoded.task
        clicks_before, shown_before = count_clicks(problem, encoded.plain)
        clicks_after, shown_after = count_clicks(problem, slots)
        boosts = problem.boosts(prices)
        paying = _paying_goal(encoded, prices)
        lists = encoded.finals(slots, boosts, paying)
        certificate = certify(
            encoded, self.settings, clicks_before=clicks_before, clicks_after=clicks_after,
            exposure_before=np.asarray(problem.membership.T @ shown_before),
            exposure_after=np.asarray(problem.membership.T @ shown_after),
            prices=prices, upper_bound=upper_bound, proved_infeasible=proved_infeasible,
            boosted=lists.n_promoted, passes=passes, seconds=time.perf_counter() - started,
            welfare_share=welfare_share,
        )
        for rail in certificate.guardrails:
            if rail.get("kept") is False:
                log.warning(
                    "guardrail %s is not kept: %.4g is allowed, these lists lose %.4g.",
                    rail["kind"], rail["value"], rail["achieved"],
                )
        boosted = np.flatnonzero(boosts)
        return Reranked(
            lists,
            certificate,
            encoded.table.frame.assign(price=prices)[PRICE_COLUMNS],
            pd.DataFrame({
                Columns.Item: encoded.item_ids.decode(boosted),
                "boost": boosts[boosted].astype(np.float64),
                "goal": paying[boosted],
            }),
        )


def rerank(
    candidates: Candidates, items: pd.DataFrame, settings: RerankSettings, *, prices: pd.DataFrame | None = None,
    clicks: pd.DataFrame | None = None, rng: int | np.random.Generator = 0,
) -> Reranked:
    """`ExposureReranker.fit` in one call: lists that meet the goals, with their certificate; `prices` warm-start it."""
    return ExposureReranker(settings).fit(candidates, items=items, prices=prices, clicks=clicks, rng=rng).fitted_


def _paying_goal(encoded: EncodedJob, prices: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """(I,) the goal with the largest price in size among those that count the item, in words; None without one."""
    rows = encoded.table.frame[["group", "value", "kind"]].to_numpy()
    names = np.array([*(_goal_name(*row) for row in rows), None], dtype=object)
    member = encoded.task.membership.tocoo()
    size = np.abs(prices[member.col])
    order = np.lexsort((-member.col, size))  # the largest comes last, and the last writes
    paying = np.full(encoded.task.n_items, len(names) - 1)
    paying[member.row[order]] = np.where(size[order] > 0, member.col[order], len(names) - 1)
    return np.asarray(names[paying], dtype=object)


def _goal_name(group: str, value: str | None, kind: str) -> str:
    return f"{group} {kind}" if value is None else f"{group} {value} {kind}"


def _too_dear(budget: float, full: Solution, part: Solution) -> str:
    missing, needed = float(part.shortfall.sum()), float(full.shortfall.sum())
    unmet = int((~part.met).sum())
    return (
        f"the goals cost {1 - full.clicks_after / full.clicks_before:.1%} of expected clicks, more than "
        f"guardrails.max_click_loss = {budget:.1%}; what that pays for leaves {unmet} of {len(part.met)} goals short, "
        f"by {missing - needed:.4g} of exposure in all. "
        "Lower the goals, raise max_click_loss, or set elastic: true for the lists that it pays for."
    )


def _unmet(encoded: EncodedJob, solution: Solution, relaxation: Relaxation, floor: float | None) -> str:
    """A smallest set of goals that give way, by how much, and whether the conflict is proved; `floor`: on scores."""
    total = encoded.task.total_exposure
    goals = encoded.table.frame
    order = np.argsort(-relaxation.missing, kind="stable")
    missed, missing = relaxation.goals[order], relaxation.missing[order]
    reached = encoded.task.goals.target[missed] - encoded.task.goals.kind[missed] * missing
    shown = []
    for g, nearest in zip(missed[:5], reached, strict=False):
        kind, value = goals["kind"].iloc[g], goals["value"].iloc[g]
        name = _goal_name(goals["group"].iloc[g], value, kind)
        target, achieved = (
            shown_amount(kind, float(amount), total=total)
            for amount in (encoded.task.goals.target[g], nearest)
        )
        shown.append(f"{name} {target:.4g}, reached {achieved:.4g}")
    more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
    proof = "cannot be met together" if solution.proved_infeasible else "were not met together"
    return (
        f"{len(missed)} of {len(goals)} goals {proof} with these candidates and guardrails: {'; '.join(shown)}{more} "
        f"({'no smaller set was found' if relaxation.irreducible else 'a smaller set may do'}). "
        f"Relax these, {'' if floor is None else 'lower guardrails.min_score_ratio or set it to null, '}widen the "
        "candidates, or set elastic: true for the nearest lists."
    )


def match_prices(prices: pd.DataFrame, goals: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The price of each of today's goals (G,) in yesterday's `prices`; a goal that is not there starts at 0."""
    missing = [column for column in PRICE_COLUMNS if column not in prices.columns]
    if missing:
        raise ColumnError(f"prices lacks '{missing[0]}'; found {', '.join(prices.columns)}. Give prices.parquet.")
    if not np.isfinite(prices["price"].to_numpy(np.float64)).all():
        raise ColumnError("prices: 'price' holds values that are not finite. Give prices of a finished job.")
    key = PRICE_COLUMNS[:3]
    # Missing values match each other here: a tier goal has no value.
    known = prices[PRICE_COLUMNS].astype({"group": str, "kind": str}).drop_duplicates(key)
    wanted = goals[key].astype({"group": str, "kind": str})
    known["value"], wanted["value"] = known["value"].fillna("").astype(str), wanted["value"].fillna("").astype(str)
    joined = wanted.merge(known, on=key, how="left")
    return joined["price"].fillna(0.0).to_numpy(np.float64)
