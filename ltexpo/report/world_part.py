"""What experiment.json says of the environment → where simulated clicks come from, and what is assumed."""

from collections.abc import Mapping
from math import log
from typing import Any

from ltexpo.report.assumed_part import assumed_part
from ltexpo.report.fidelity_part import fidelity_part
from ltexpo.report.markup import Html, html, join
from ltexpo.report.simulated import Simulated
from ltexpo.report.words import count, number, percent, plural
from ltexpo.simulate.result import EFFECT


def world_part(tested: Simulated) -> Html:
    """Paragraphs on the clicks' origin and on the size of the test, and the list of assumptions."""
    return html(
        "<p>{clicks}</p>{fidelity}<p>{size}</p>{assumed}", clicks=_clicks(tested.facts), fidelity=fidelity_part(tested),
        size=_size(tested), assumed=assumed_part(tested.facts),
    )


def _clicks(facts: Mapping[str, Any]) -> Html:
    if facts.get("environment") == "known":
        return html("<b>Where the clicks come from.</b> This shop is made, so who likes what is known: clicks and "
                    "purchases come from that truth, never from the scores that ordered the lists.")
    if facts.get("environment") != "fitted":
        return html("<b>Where the clicks come from.</b> {source}.", source=facts.get("source") or "Not recorded")
    parts = [html(
        "<b>Where the clicks come from.</b> A model of another family than the ranker, fitted on the shop’s own events "
        "{when}, which the ranker has not seen{rows}.", when=_when(facts), rows=_rows(facts),
    )]
    loss = facts.get("attraction_held_out_log_loss")
    if isinstance(loss, float):
        parts.append(html("On users it was not fitted on, its log loss is {loss}{plain}.", loss=number(loss),
                          plain=_plain(facts)))
    model = facts.get("click_model")
    if model:
        parts.append(html("How lists are read: {model}.", model=model))
    attraction = facts.get("mean_attraction_assumed")
    if isinstance(attraction, float):
        parts.append(html("The log does not tell how often a looked-at product is clicked: {share} on average is "
                          "assumed, so counts of clicks are relative.", share=percent(attraction, digits=0)))
    return join(parts, " ")


def _rows(facts: Mapping[str, Any]) -> str:
    names = (("fitted_impressions", "impression"), ("fitted_clicks", "click"), ("fitted_purchases", "purchase"))
    held = [plural(facts[key], name) for key, name in names if isinstance(facts.get(key), int)]
    if not held and isinstance(facts.get("attraction_taken"), int):
        held = [plural(facts["attraction_taken"], "interaction")]
    return f" ({', '.join(held)})" if held else ""


def _plain(facts: Mapping[str, Any]) -> str:
    """What predicting the mean alone would lose, where the rows tell it."""
    rows, taken = facts.get("attraction_rows"), facts.get("attraction_taken")
    if not (isinstance(rows, int) and isinstance(taken, int) and 0 < taken < rows):
        return ""
    share = taken / rows
    loss = -share * log(share) - (1 - share) * log(1 - share)
    return f", where saying the mean of everything loses {number(loss)}"


def _size(tested: Simulated) -> Html:
    facts = tested.facts
    users, visits = facts.get("users") or {}, facts.get("visits") or {}
    total = sum(users.values())
    before = facts.get("before_days")
    warm = f", after {plural(before, 'day')} in which all saw the control’s" if before else ""
    arms = ", ".join(f"{count(visits[arm])} visits with the lists of {arm}" for arm in visits)
    if tested.best == EFFECT:
        how = (
            "<b>What the lists do</b> is read from everybody living in every arm’s world with the same chance, which "
            "no real test can do: it is far sharper. <b>What a test would read</b> is the same users dealt to arms "
            "({dealt}), each seen in one only, with the intervals that such a test would print."
        )
    else:
        how = (
            "The arms learn from one log, so each user lives in one arm only ({dealt}): this is what a test would read."
        )
    dealt = ", ".join(f"{count(n)} in {arm}" for arm, n in users.items())
    retrained = facts.get("retrain_every")
    again = f" The recommenders learn anew every {plural(retrained, 'day')} from " + (
        "the log of all arms." if facts.get("log") == "shared" else "the log of their own arm.") if retrained else ""
    return html("{users} over {days}{warm}: {visits}. " + how + "{again}", users=plural(total, "user"),
                days=plural(facts.get("days", 0), "day"), warm=warm, visits=arms or "visits were not recorded",
                dealt=dealt, again=again)


def _when(facts: Mapping[str, Any]) -> str:
    start, end = (str(facts.get(name) or "unknown")[:10] for name in ("from", "to"))
    return f"of {start}" if start == end else f"from {start} to {end}"
