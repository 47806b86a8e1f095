"""Facts → the verdict in plain words and the four figures that carry it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ltexpo.report.breaches import breaches
from ltexpo.report.changes import Change, expected_clicks, products_shown, tail_share, user_count
from ltexpo.report.gather import Facts
from ltexpo.report.goals_section import asked
from ltexpo.report.markup import Html, html, join
from ltexpo.report.shifts import shift_of
from ltexpo.report.simulated import CLICKS
from ltexpo.report.simulated_words import simulated_words
from ltexpo.report.words import change, changes_to, count, digits_for, number, percent, points, points_to


@dataclass(frozen=True)
class Summary:
    """The changes that both the verdict and the headline figures state."""

    tail: Change
    clicks: Change | None
    shown: Change
    simulated: Mapping[Any, Any] | None
    """The experiment's row of clicks per visit, of the reading that says most."""
    level: float
    users: int


def summarise(facts: Facts, *, level: float) -> Summary:
    """Work out the headline changes once."""
    tested = facts.experiment
    simulated = None if tested is None else tested.row(tested.lead, tested.best, CLICKS)
    return Summary(
        tail_share(facts, level=level), expected_clicks(facts, level=level), products_shown(facts), simulated, level,
        user_count(facts),
    )


def verdict(facts: Facts, summary: Summary) -> Html:
    """One paragraph: what was asked, what it gave, what it costs, how sure that is."""
    sentences = [
        asked(facts.certificate), _gave(facts, summary), _costs(summary), simulated_words(facts.experiment),
        _held_out(facts),
    ]
    against = breaches(
        facts.certificate, None if facts.experiment is None else facts.experiment.facts,
        None if facts.monitored is None else facts.monitored.told,
    )
    stop = html('<p class="stop"><b>Not to be published.</b> Guardrail breached: {against}.</p>',
                against="; ".join(against)) if against else ""
    lead = join((sentence for sentence in sentences if sentence), " ")
    proof = _proof(facts.certificate)
    return html('{stop}<p class="verdict">{lead}</p>{proof}', stop=stop, lead=lead,
                proof=html('<p class="aside">{proof}</p>', proof=proof) if proof else "")


def headline(facts: Facts, summary: Summary) -> Html:
    """Four figures, before → after, with their intervals."""
    tail, clicks, shown, simulated = summary.tail, summary.clicks, summary.shown, summary.simulated
    level = percent(summary.level, digits=0)
    cards = [
        _card("Tail share of exposure", percent(tail.before), percent(tail.after), points(tail.difference),
              f"{level} interval {points_to(tail.low, tail.high)}"),
    ]
    if clicks is None:
        cards.append(_unknown_card("Expected clicks per list", "the lists carry no scores"))
    else:
        digits = digits_for(clicks.relative, clicks.relative_low, clicks.relative_high)
        cards.append(_card(
            "Expected clicks per list", number(clicks.before), number(clicks.after),
            change(clicks.relative, digits=digits),
            f"{level} interval {changes_to(clicks.relative_low, clicks.relative_high, digits=digits)}",
        ))
    cards.append(_card(
        "Products shown at least once", count(shown.before), count(shown.after), change(shown.relative),
        f"of {count(len(facts.dataset.items))} in the catalogue; counted, so without an interval",
    ))
    if simulated is None or facts.experiment is None:
        cards.append(_recall_card(facts) or _unknown_card("Clicks per visit, simulated", "no A/B test was simulated"))
    else:
        shift = shift_of(simulated)
        cards.append(_card(
            "Clicks per visit, simulated", number(simulated["control"]), number(simulated["treatment"]), shift.told,
            f"{percent(facts.experiment.level, digits=0)} interval {shift.interval}",
        ))
    return html('<ul class="cards">{cards}</ul>', cards=join(cards))


def _card(label: str, before: str, after: str, shift: str, note: str) -> Html:
    return html(
        '<li class="card"><h3>{label}</h3><p class="figure-pair"><span class="before"><span class="hidden">before '
        '</span>{before}</span><span class="arrow" aria-hidden="true">→</span><span class="after"><span class="hidden">'
        'after </span>{after}</span></p><p class="shift">{shift}</p><p class="note">{note}</p></li>',
        label=label, before=before, after=after, shift=shift, note=note,
    )


def _unknown_card(label: str, why: str) -> Html:
    return html('<li class="card"><h3>{label}</h3><p class="shift">unknown</p><p class="note">{why}</p></li>',
                label=label, why=why)


def _recall_card(facts: Facts) -> Html | None:
    recall = _recall(facts)
    if recall is None:
        return None
    name, held = recall
    digits = digits_for(held.before, held.after)
    return _card(
        f"{name.capitalize()} on the held-out period", percent(held.before, digits=digits),
        percent(held.after, digits=digits), points(held.difference, digits=digits),
        f"95% interval {points_to(held.low, held.high, digits=digits)}",
    )


def _gave(facts: Facts, summary: Summary) -> Html:
    tail, shown = summary.tail, summary.shown
    if tail.difference == 0 and shown.difference == 0:
        return html("It changed nothing: the tail still holds <b>{share}</b> of exposure.", share=percent(tail.after))
    verb = "rose" if tail.difference > 0 else "fell" if tail.difference < 0 else "went"
    more = "more" if shown.difference >= 0 else "fewer"
    return html(
        "The tail’s share of exposure {verb} from {before} to <b>{after}</b> ({points}; {level} interval {interval}), "
        "and {n} {more} of the catalogue’s {items} products are now shown to somebody.",
        verb=verb, before=percent(tail.before), after=percent(tail.after), points=points(tail.difference),
        level=percent(summary.level, digits=0), interval=points_to(tail.low, tail.high),
        n=count(abs(shown.difference)), more=more, items=count(len(facts.dataset.items)),
    )


def _costs(summary: Summary) -> Html:
    clicks = summary.clicks
    if clicks is None:
        return html("The lists carry no scores, so the cost in expected clicks is unknown.")
    if abs(clicks.relative) < 1e-9:
        return html("By the ranker’s own scores this costs nothing.")
    digits = digits_for(clicks.relative, clicks.relative_low, clicks.relative_high)
    level = percent(summary.level, digits=0)
    verb = "costs" if clicks.difference < 0 else "adds"
    ends = sorted(abs(end) for end in (clicks.relative_low, clicks.relative_high))
    low, high = (percent(end, digits=digits) for end in ends)
    interval = f" ({level} interval {low} to {high})" if np.isfinite(ends[0]) else ""
    return html(
        "By the ranker’s own scores this {verb} <b>{loss}</b> of expected clicks{interval}.",
        verb=verb, loss=percent(abs(clicks.relative), digits=digits), interval=interval,
    )


def _held_out(facts: Facts) -> Html:
    """What recall on the held-out period says, where it was measured."""
    recall = _recall(facts)
    if recall is None:
        return Html("")
    name, held = recall
    digits = digits_for(held.before, held.after)
    return html(
        "On the held-out period {name} went from {before} to <b>{after}</b> ({points}; 95% interval {interval}).",
        name=name, before=percent(held.before, digits=digits), after=percent(held.after, digits=digits),
        points=points(held.difference, digits=digits), interval=points_to(held.low, held.high, digits=digits),
    )


def _recall(facts: Facts) -> tuple[str, Change] | None:
    """Recall over all products at the largest cutoff, both arms and their paired difference; None if not measured."""
    if facts.evaluation is None:
        return None
    rows = facts.evaluation
    rows = rows[rows["metric"].astype(str).str.startswith("recall") & (rows["tier"] == "all")].sort_values("k")
    arms = dict(zip(rows["arm"], rows.to_dict("records"), strict=True))
    if not {"control", "rankings", "difference"} <= set(arms):
        return None
    shift = arms["difference"]
    before, after = (float(arms[arm]["value"]) for arm in ("control", "rankings"))
    return str(shift["metric"]), Change(before, after, float(shift["low"]), float(shift["high"]))


def _proof(certificate: Mapping[str, Any]) -> Html | None:
    bound, clicks = certificate.get("upper_bound"), certificate.get("clicks_after")
    if not certificate.get("feasible", True):
        return html("The certificate says that the goals cannot all be met with these candidates.")
    if not bound or not clicks:
        return None
    room = bound / clicks - 1
    if room <= 5e-5:
        return html(
            "The certificate bounds the price: by the ranker’s scores, no other order of the same candidates gives the "
            "promoted products as much exposure and keeps more expected clicks."
        )
    return html(
        "The certificate bounds the price: by the ranker’s scores, no other lists that meet the goals under the same "
        "guardrails keep more than {room} more expected clicks.", room=percent(room, digits=2),
    )
