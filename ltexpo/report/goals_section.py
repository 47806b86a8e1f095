"""Facts → what was asked in plain words, every goal's price, and ten boosts explained."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.report.figures import frontier_figure
from ltexpo.report.gather import IN_TAIL, Facts
from ltexpo.report.markup import Html, html, row, table
from ltexpo.report.words import NONE, count, number, percent, plural, signed

N_GOALS = 10
N_BOOSTS = 10
_TIERS = {"tail": "tail and new products", "new": "new products", "head": "head products"}
_LIMITS = {
    "min_share": "at least {amount} of all exposure",
    "max_share": "at most {amount} of all exposure",
    "min_exposure": "at least {amount} of exposure",
    "max_exposure": "at most {amount} of exposure",
    "min_of_attainable": "at least its part of the exposure it could get",
}


def asked(certificate: Mapping[str, Any]) -> Html:
    """One sentence: the goals, those of one kind together, and how many were met."""
    goals = certificate.get("goals") or []
    if not goals:
        return html("The lists were re-ranked without a goal on record.")
    clauses = [
        _clause(list(same)) for _, same in groupby(goals, key=lambda goal: (goal.get("group"), goal.get("kind")))
    ]
    met = sum(bool(goal.get("met")) for goal in goals)
    if met == len(goals):
        kept = "It was met." if met == 1 else f"All {count(met)} goals were met."
    else:
        kept = f"{count(met)} of {plural(len(goals), 'goal')} met."
    return html("Asked for: {clauses}. {kept}", clauses="; ".join(clauses), kept=kept)


def goals_section(facts: Facts) -> Html:
    """A table of the goals that cost most, and ten promotions with whom they displaced and what was given up."""
    goals = list(facts.certificate.get("goals") or [])
    dear = sorted(goals, key=lambda goal: -abs(goal.get("price") or 0.0))[:N_GOALS]
    rows = [
        row([
            _name(goal), _limit(goal), _amount(goal, "before"), _amount(goal, "achieved"), number(goal.get("price")),
            "yes" if goal.get("met") else html("<b>no</b>"),
        ])
        for goal in dear
    ]
    rest = ""
    if len(goals) > len(dear):
        rest = f" The {plural(len(goals) - len(dear), 'goal')} of lower price stand in certificate.json."
    return html(
        "<p>The price of a goal is what one more unit of its exposure costs in expected clicks; at a price of 0 the "
        "goal is met by itself.{rest}</p>{goals}{frontier}{boosts}",
        rest=rest, frontier=_frontier(facts),
        goals=table("Goals by price", ["goal", "asked", "before", "after", "price", "met"], rows),
        boosts=_boosts(facts),
    )


def _frontier(facts: Facts) -> Html:
    points = facts.frontier
    if points is None:
        return html(
            '<p class="missing">What other tail shares would cost was not worked out. <code>ltexpo frontier</code> '
            "does.</p>"
        )
    points = points[points["feasible"]].reset_index(drop=True)
    if len(points) < 2:
        return Html("")
    exposure = facts.rankings[Columns.Exposure].to_numpy(np.float64)
    share = float(exposure[facts.rankings[IN_TAIL].to_numpy(bool)].sum() / exposure.sum())
    chosen = (share, float(facts.certificate.get("click_loss", 0.0)))
    knee = facts.frontier_facts.get("knee_row")
    told = ""
    if isinstance(knee, int) and knee < len(points):
        at = points.iloc[knee]
        told = (
            f" The curve bends most at a share of {percent(at['share'])}, which costs {percent(at['loss'], digits=2)}:"
            " beyond this knee every further point of share costs more than before."
        )
    return html(
        '<h3>What other shares would cost</h3><div class="alone">{figure}</div>'
        "<p>Each point of the curve is the least that any lists under the same guardrails lose, by the ranker’s "
        "scores; the band is its 95% interval over users, the dot is where this run stands.{told}</p>",
        figure=frontier_figure(points, chosen=chosen, knee=knee if isinstance(knee, int) and told else None),
        told=told,
    )


def _boosts(facts: Facts) -> Html:
    promotions = facts.promotions
    if promotions is None or promotions.empty:
        return Html("")
    dear = promotions.sort_values(["clicks_given_up", Columns.Item], ascending=[False, True])
    dear = dear.drop_duplicates(Columns.Item).head(N_BOOSTS)
    titles = facts.dataset.items.set_index(Columns.Item)[Columns.Title]
    rows = [
        row([
            _title(titles, boost[Columns.Item]),
            NONE if pd.isna(boost["rank_before"]) else count(boost["rank_before"]), count(boost[Columns.Rank]),
            _title(titles, boost["displaced"]), boost["goal"], number(boost[Columns.Price]),
            number(boost["clicks_given_up"]),
        ])
        for boost in dear.to_dict("records")
    ]
    return html(
        "<p>{n} promotions were made in all. These are the dearest, one a product: for which goal it was promoted, "
        "whose slot it took, and how many expected clicks that slot gave up.</p>{table}",
        n=count(len(promotions)),
        table=table(
            "Boosts explained",
            ["promoted", "rank before", "rank after", "in place of", "goal", "boost", "clicks given up"], rows,
        ),
    )


def _title(titles: "pd.Series[Any]", item_id: object) -> str:
    if pd.isna(item_id):  # type: ignore[call-overload]
        return NONE
    title = titles.get(item_id)
    return str(item_id) if not isinstance(title, str) or not title else title


def _clause(goals: list[Mapping[str, Any]]) -> str:
    if len(goals) > 1:
        column = str(goals[0].get("group")).replace("_", " ")
        own = "a floor of its own" if str(goals[0].get("kind")).startswith("min") else "a cap of its own"
        what = _limit(goals[0]) if len({goal.get("target") for goal in goals}) == 1 else own
        return f"{what} for each of {count(len(goals))} values of {column}"
    return f"{_limit(goals[0])} for {_name(goals[0])}"


def _name(goal: Mapping[str, Any]) -> str:
    group = str(goal.get("group"))
    if goal.get("value") is None:
        return _TIERS.get(group, group)
    return f"{group.removesuffix('_id').replace('_', ' ')} {goal['value']}"


def _limit(goal: Mapping[str, Any]) -> str:
    kind = str(goal.get("kind"))
    return _LIMITS.get(kind, kind.replace("_", " ") + " {amount}").format(amount=_amount(goal, "target"))


def _amount(goal: Mapping[str, Any], name: str) -> str:
    value = goal.get(name)
    if str(goal.get("kind")).endswith("_share"):
        return percent(value)
    return signed(number(value))
