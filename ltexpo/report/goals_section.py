"""Facts → what was asked in plain words, the certificate, the frontier, and ten boosts explained."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from ltexpo.report.boosts_part import boosts_part
from ltexpo.report.frontier_part import frontier_part
from ltexpo.report.gather import Facts
from ltexpo.report.goal_words import amount, goal_name, limit
from ltexpo.report.markup import Html, html, pairs, row, table
from ltexpo.report.words import NONE, below, count, number, percent, plural, scalar

N_GOALS = 10


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
    """The certificate with the goals that cost most, the frontier, and ten promotions: for whom, and at what cost."""
    goals = list(facts.certificate.get("goals") or [])
    dear = sorted(goals, key=lambda goal: -abs(goal.get("price") or 0.0))[:N_GOALS]
    rows = [
        row([
            goal_name(goal), limit(goal), amount(goal, "before"), amount(goal, "achieved"), number(goal.get("price")),
            "yes" if goal.get("met") else html("<b>no</b>"),
        ])
        for goal in dear
    ]
    rest = ""
    if len(goals) > len(dear):
        rest = f" The {plural(len(goals) - len(dear), 'goal')} of lower price stand in certificate.json."
    return html(
        "{certificate}<p>The price of a goal is what one more unit of its exposure costs in expected clicks; at a "
        "price of 0 the goal is met by itself.{rest}</p>{goals}{frontier}{boosts}",
        rest=rest, certificate=_certificate(facts.certificate), frontier=frontier_part(facts),
        goals=table("Goals by price", ["goal", "asked", "before", "after", "price", "met"], rows),
        boosts=boosts_part(facts),
    )


def _certificate(certificate: Mapping[str, Any]) -> Html:
    """Clicks before and after, what no lists exceed, and the goals and guardrails that hold."""
    goals, rails = certificate.get("goals") or [], certificate.get("guardrails") or []
    bound, gap = certificate.get("upper_bound"), certificate.get("gap")
    stated: list[tuple[str, object]] = [
        ("Expected clicks of the plain lists", number(certificate.get("clicks_before"), digits=6)),
        ("Expected clicks of these lists", html(
            "{clicks} ({loss} of the plain lists’ lost)", clicks=number(certificate.get("clicks_after"), digits=6),
            loss=percent(certificate.get("click_loss"), digits=2),
        )),
        ("No lists that meet the goals have more than", NONE if bound is None else html(
            "{bound}, so these are {gap} below the best", bound=number(bound, digits=6), gap=below(gap),
        )),
        ("Goals met", f"{count(sum(bool(goal.get('met')) for goal in goals))} of {count(len(goals))}"),
    ]
    if rails:
        stated.append(("Guardrails", ", ".join(_rail(rail) for rail in rails)))
    return html('<h3>The certificate</h3><dl class="pairs">{stated}</dl>', stated=pairs(stated))


def _rail(rail: Mapping[str, Any]) -> str:
    value = rail.get("value")
    parts = [f"{name} {most}" for name, most in value.items()] if isinstance(value, Mapping) else [scalar(value)]
    broken = "" if rail.get("kept", True) else " (broken)"
    return f"{str(rail.get('kind')).replace('_', ' ')} {', '.join(parts)}{broken}"


def _clause(goals: list[Mapping[str, Any]]) -> str:
    if len(goals) > 1:
        column = str(goals[0].get("group")).replace("_", " ")
        own = "a floor of its own" if str(goals[0].get("kind")).startswith("min") else "a cap of its own"
        what = limit(goals[0]) if len({goal.get("target") for goal in goals}) == 1 else own
        return f"{what} for each of {count(len(goals))} values of {column}"
    return f"{limit(goals[0])} for {goal_name(goals[0])}"
