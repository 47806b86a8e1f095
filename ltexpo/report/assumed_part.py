"""How users of a simulated test were made to behave → what is assumed of them, in sentences for who decides."""

from collections.abc import Mapping
from math import exp, expm1
from typing import Any

from ltexpo.report.markup import Html, html, pairs
from ltexpo.report.words import change, count, number, percent, plural, setting
from ltexpo.simulate.behaviour import BehaviourSettings


def assumed_part(facts: Mapping[str, Any]) -> Html:
    """A folded list; nothing where the behaviour was not recorded."""
    recorded: Mapping[str, Any] = facts.get("behaviour") or {}
    if not recorded:
        return Html("")
    known = {name: value for name, value in recorded.items() if name in BehaviourSettings.model_fields}
    return html(
        "<details><summary>What is assumed of users, where no log tells it</summary>"
        '<dl class="pairs">{told}</dl></details>', told=pairs(_sentences(BehaviourSettings(**known), _learnt(facts))),
    )


def _learnt(facts: Mapping[str, Any]) -> str:
    """Where the strength of coming back is from; empty where nothing looked for it."""
    told: Mapping[str, Any] = facts.get("returning") or {}
    found = told.get("found")
    if told.get("learnt") and found:
        low, high = (change(expm1(0.1 * found[end]), digits=0) for end in ("low", "high"))
        return (
            f" This is learnt from the log, each of {count(found['users'])} users compared with herself over "
            f"{plural(found['days'], 'day')} ({percent(found['level'], digits=0)} interval {low} to {high}); what else "
            "makes a user click and come more on the same days is not told apart from it."
        )
    return f" The log does not tell it: {told['reason']}." if told.get("reason") else ""


def _sentences(how: BehaviourSettings, learnt: str) -> list[tuple[str, str]]:
    return [
        ("How often users come", _visits(how)),
        ("Having seen it before", _fatigue(how)),
        ("More of the same", _share(
            how.saturation, "Several products of one category in a list do not spoil each other.",
            "Each product of the same category further up costs a product {share} of its appeal.",
        )),
        ("Something new", "A product that is new to a user attracts no more for being new." if not how.novelty else (
            f"A product that the old lists did not show to a user attracts {percent(how.novelty, digits=0)} more on "
            f"the first day; that halves every {setting(how.novelty_half_life)} days."
        )),
        ("Satisfaction", (
            "A visit with a click satisfies, one without does not; the newest visit counts "
            f"{percent(1 - how.satisfaction_memory, digits=0)}, all earlier ones the rest."
        )),
        ("Coming back", _returning(how) + learnt),
        ("Leaving for good", _leaving(how)),
        ("Money", "Nobody runs out of money." if how.budget is None else (
            f"A user can spend {setting(how.budget)} in 30 days on average; two thirds of users lie between "
            f"{number(exp(-how.budget_spread), digits=2)} and {number(exp(how.budget_spread), digits=2)} times the "
            "middle."
        )),
        ("New users", _share(
            how.new_users, "Nobody joins during the test.", "{share} of the users join during the test, evenly over "
                                                            "its days.",
        )),
    ]


def _visits(how: BehaviourSettings) -> str:
    if how.visits_per_day is None:
        return "As often as each came in the log; where there is no log, every second day."
    return (
        f"{setting(how.visits_per_day)} times a day on average; two thirds of users lie between "
        f"{number(exp(-how.activity_spread), digits=2)} and {number(exp(how.activity_spread), digits=2)} times the "
        "middle."
    )


def _returning(how: BehaviourSettings) -> str:
    if not how.return_strength:
        return "Satisfaction does not change how often users come."
    more = change(expm1(0.1 * how.return_strength), digits=0).lstrip("+")
    return (
        "If ten in a hundred of a user’s visits have a click that had none under the old lists, she comes "
        f"{more} more often."
    )


def _fatigue(how: BehaviourSettings) -> str:
    if not how.fatigue:
        return "A product attracts a user the same, however often she has looked at it."
    return (
        f"Each time that a user has looked at a product, it attracts her {percent(how.fatigue, digits=0)} less; a day "
        f"heals {percent(how.recovery, digits=0)} of that."
    )


def _leaving(how: BehaviourSettings) -> str:
    if not how.leave_per_day:
        return "Nobody leaves for good."
    left = f"On a day {percent(how.leave_per_day, digits=2)} of users leave"
    if not how.leave_strength:
        return f"{left}, whether satisfied or not."
    return (
        f"{left}; {change(expm1(0.1 * how.leave_strength), digits=0).lstrip('+')} more of those who have a click in "
        "ten fewer of a hundred visits than under the old lists."
    )


def _share(value: float, none: str, some: str) -> str:
    return some.format(share=percent(value, digits=0)) if value else none
