"""The simulated test → its sentences in the page's first paragraph."""

from ltexpo.report.markup import Html, html, join
from ltexpo.report.shifts import Shift, shift_of
from ltexpo.report.simulated import CLICKS, Simulated
from ltexpo.report.words import count, percent, plural
from ltexpo.simulate.item_readings import GINI

_UNSAID = ("click-through rate", GINI)
"""Falls with clicks per visit, so that naming it too says nothing new; is better when it falls."""


def simulated_words(tested: Simulated | None) -> Html:
    """What the lists do to clicks in the simulation, what else they lower, and the verdict."""
    if tested is None:
        return html("No A/B test was simulated, so what users would do rests on those scores alone.")
    arm = tested.lead
    row = tested.row(arm, tested.best, CLICKS)
    shift = None if row is None else shift_of(row)
    said = html("The simulated A/B test saw too few clicks to compare its arms.")
    if shift is not None and shift.known:
        said = html(
            "In a simulated A/B test{size}, {arm}clicks per visit changed by <b>{told}</b> ({level} interval "
            "{interval}), {judgement}.{worse}",
            size=_size(tested), arm=html("in the arm <bdi>{arm}</bdi> ", arm=arm) if len(tested.arms) > 1 else "",
            told=shift.told, level=percent(tested.level, digits=0), interval=shift.interval,
            judgement=_judgement(shift), worse=_worse(tested, arm),
        )
    decision = tested.verdict(arm).get("decision")
    return join([said, html("A real test of that size would end in <b>{decision}</b>.", decision=decision)] if decision
                else [said], " ")


def _size(tested: Simulated) -> str:
    days, users = tested.facts.get("days"), tested.facts.get("users")
    size = f" of {plural(days, 'day')}" if isinstance(days, int) else ""
    return size + (f" with {count(sum(users.values()))} users" if isinstance(users, dict) else "")


def _judgement(shift: Shift) -> str:
    if shift.sure:
        return "a loss that is more than chance" if shift.value < 0 else "a gain that is more than chance"
    worst = Shift(abs(shift.low), shift.low, shift.high, shift.unit).told.lstrip("+")
    return f"which cannot be told from no change; it rules out a loss beyond {worst}"


def _worse(tested: Simulated, arm: str) -> str:
    """The other metrics that fell beyond chance, after Holm's adjustment for their number."""
    rows = tested.rows(arm, tested.best)
    fell = rows[(rows["p_holm"] < 1 - tested.level) & (rows["difference"] < 0)]
    fell = fell[~fell["metric"].isin([CLICKS, *_UNSAID])]
    told = [f"{row['metric']} ({shift_of(row).told})" for row in fell.to_dict("records")]
    return f" Beyond chance also fell: {', '.join(told)}." if told else ""
