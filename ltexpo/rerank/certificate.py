"""A solved job → its certificate: what was asked, what was reached, what it costs, and how close to optimal it is."""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ltexpo.metrics.attention import NAMES
from ltexpo.rerank.encode import EncodedJob
from ltexpo.rerank.groups import shown_amount
from ltexpo.rerank.problem import Goals
from ltexpo.rerank.scale import scale_warnings
from ltexpo.rerank.settings import RerankSettings
from ltexpo.rerank.welfare import WelfareTerms


@dataclass(frozen=True)
class Certificate:
    """Expected clicks before and after, the dual upper bound, and every goal with target, achieved and price.

    `upper_bound` bounds the expected clicks of ANY lists of these candidates that meet the goals under the same
    guardrails (weak duality), so `gap` = (upper_bound − clicks_after) / upper_bound bounds what a better solver
    could still win. With welfare it bounds the clicks of such lists that have at least as much welfare, and the gap is
    what clicks + welfare could still win, in clicks. Lists that do not meet the goals carry no bound, nor do applied
    prices: then both are None.
    """

    clicks_before: float
    clicks_after: float
    upper_bound: float | None
    feasible: bool
    proved_infeasible: bool
    goals: pd.DataFrame
    """group, value, kind, target, before, achieved, price, met, missing: in the unit in which the goal was asked; and
    where, if a goal was narrowed by it."""
    guardrails: list[dict[str, Any]]
    facts: dict[str, Any]
    """Lists, weighted or not, k, attention, tail definition, score kind, promotions, passes, seconds, notes."""
    welfare: dict[str, Any] | None = None
    """Where welfare is maximised too: before and after, in clicks; objective (clicks + welfare) before, after and its
    upper bound; and for each term its weight, the weight that max_click_loss could pay for, and its part."""

    @property
    def gap(self) -> float | None:
        """(upper_bound − clicks_after) / upper_bound."""
        if self.upper_bound is None:
            return None
        return (self.upper_bound - self.clicks_after) / self.upper_bound if self.upper_bound else 0.0

    @property
    def click_loss(self) -> float:
        """Share of the expected clicks before that the goals cost."""
        return 1 - self.clicks_after / self.clicks_before if self.clicks_before else 0.0

    def to_dict(self) -> dict[str, Any]:
        """What certificate.json holds."""
        goals = self.goals.astype(object).where(self.goals.notna(), None)
        return {
            "clicks_before": self.clicks_before,
            "clicks_after": self.clicks_after,
            "click_loss": self.click_loss,
            "upper_bound": self.upper_bound,
            "gap": self.gap,
            "feasible": self.feasible,
            "proved_infeasible": self.proved_infeasible,
            "goals": goals.to_dict("records"),
            "guardrails": self.guardrails,
            **({} if self.welfare is None else {"welfare": self.welfare}),
            **self.facts,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.facts['requests']:,} lists of {self.facts['k']}: expected clicks {self.clicks_before:,.1f} → "
            f"{self.clicks_after:,.1f} ({-self.click_loss:+.2%}), {self.facts['boosted']:,} promotions"
        ]
        if self.welfare is not None:
            lines.append(f"welfare {self.welfare['before']:,.1f} → {self.welfare['after']:,.1f} clicks")
        if self.upper_bound is not None:
            what = "meet these goals" if self.welfare is None else "have as much welfare and meet these goals"
            lines.append(f"no lists that {what} keep more than {self.upper_bound:,.1f} (gap {self.gap:.3%})")
        if self.facts.get("exact_gap") is not None:
            lines.append(
                f"linear program: {self.facts['exact_optimum']:,.1f}, from which these lists are "
                f"{self.facts['exact_gap']:.3%} away"
            )
        if self.goals.empty:
            return "\n".join(lines)
        shown = self.goals.reindex(self.goals["price"].abs().sort_values(ascending=False, kind="stable").index).head(10)
        table = shown[["group", "value", "kind", "target", "before", "achieved", "price", "met"]]
        lines.append(table.fillna("").to_string(index=False, float_format=lambda number: f"{number:.4g}"))
        if len(self.goals) > len(shown):
            lines.append(f"… and {len(self.goals) - len(shown):,} goals of lower price")
        missed = int((~self.goals["met"]).sum())
        if self.facts["score_warnings"]:
            lines.append("scores look uncalibrated: " + "; ".join(self.facts["score_warnings"]))
        lines.append(f"goals met: {len(self.goals) - missed:,} of {len(self.goals):,}")
        return "\n".join(lines)


def certify(
    encoded: EncodedJob,
    settings: RerankSettings,
    *,
    clicks_before: float,
    clicks_after: float,
    exposure_before: npt.NDArray[np.float64],
    exposure_after: npt.NDArray[np.float64],
    prices: npt.NDArray[np.float64],
    upper_bound: float | None,
    proved_infeasible: bool,
    boosted: int,
    passes: float,
    seconds: float,
    welfare_share: float = 1.0,
) -> Certificate:
    """The certificate of lists that give the goals `exposure_after` (G,); the plain lists gave `exposure_before`.

    `welfare_share`: part of the weights of welfare that the lists were made with.
    """
    total = encoded.task.total_exposure
    welfare = None
    if encoded.task.welfare is not None:
        bound = None if upper_bound is None else upper_bound - clicks_after
        welfare = _welfare(
            encoded.task.welfare.scaled(welfare_share), settings, exposure_before, exposure_after,
            clicks_before, clicks_after, bound, welfare_share,
        )
    asked = encoded.task.goals.kind != 0  # groups of welfare are no goals
    goals = Goals(*(part[asked] for part in astuple(encoded.task.goals)))
    table = encoded.table.frame[asked]
    exposure_before, exposure_after, prices = exposure_before[asked], exposure_after[asked], prices[asked]
    kinds = table["kind"]
    # A share is asked to a part in a billion of all exposure, which is below the rounding of the sums.
    missing = np.maximum(0.0, goals.kind * (goals.target - exposure_after))
    met = missing <= 1e-9 * max(total, 1.0)

    def shown(exposure: npt.NDArray[np.float64]) -> list[float]:
        return [shown_amount(kind, amount, total=total) for kind, amount in zip(kinds, exposure, strict=True)]

    frame = table[["group", "value", "kind"]].assign(
        target=shown(goals.target), before=shown(exposure_before), achieved=shown(exposure_after), price=prices,
        met=met, missing=shown(np.where(met, 0.0, missing)),
    )
    if "where" in table.columns and table["where"].notna().any():
        frame["where"] = table["where"]
    loss = 1 - clicks_after / clicks_before if clicks_before else 0.0
    rails: list[dict[str, Any]] = [
        {"kind": name, "value": value}
        for name, value in settings.guardrails.model_dump().items() if value not in (None, 0, {}, ())
    ]
    for rail in rails:
        if rail["kind"] == "max_click_loss":
            rail |= {"achieved": loss, "kept": loss <= rail["value"] + 1e-12}
        if rail["kind"] == "pinned":
            rail |= encoded.task.pins_kept(encoded.plain)  # the final lists hold them in the same slots
    return Certificate(
        clicks_before, clicks_after, upper_bound, bool(met.all()), proved_infeasible, frame, rails,
        {
            "boosted": boosted, "requests": encoded.task.n_lists, "weighted": encoded.task.weighted,
            "k": settings.k, "attention": _attention(encoded, settings), "score_kind": settings.score_kind,
            "scores": encoded.scale.words, "score_warnings": scale_warnings(encoded.task, encoded.scale),
            "tail": str(settings.tail), "notes": encoded.notes, "passes": passes, "seconds": seconds,
        },
        welfare,
    )


def _attention(encoded: EncodedJob, settings: RerankSettings) -> str | list[float]:
    """A name as it is; else the probabilities themselves, as a file may change later."""
    named = isinstance(settings.attention, str) and settings.attention in NAMES
    return str(settings.attention) if named else encoded.task.attention.tolist()


def _welfare(
    terms: WelfareTerms, settings: RerankSettings, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64],
    clicks_before: float, clicks_after: float, missing: float | None, share: float,
) -> dict[str, Any]:
    """What certificate.json says of welfare; `missing`: clicks + welfare that the bound leaves open."""
    parts = [
        {
            **asked.model_dump(include={"group", "utility", "weight", "merit"}), "weight_used": share * asked.weight,
            "groups": len(term.at), "before": term.value(before[term.at]), "after": term.value(after[term.at]),
        }
        for asked, term in zip(settings.welfare, terms.terms, strict=True)
    ]
    objective = clicks_after + terms.value(after)
    return {
        "before": terms.value(before),
        "after": terms.value(after),
        "objective_before": clicks_before + terms.value(before),
        "objective_after": objective,
        "objective_bound": None if missing is None else objective + missing,
        "terms": parts,
    }
