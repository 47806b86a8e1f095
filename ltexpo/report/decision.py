"""A treatment's verdict → what to do, why, and how its guardrails stand, in plain sentences."""

from collections.abc import Mapping
from typing import Any

from ltexpo.report.markup import Html, html, join
from ltexpo.report.planning import CHANCE, to_decide
from ltexpo.report.shifts import Shift, shift_of, unit_of
from ltexpo.report.simulated import Row, Simulated
from ltexpo.report.words import about, count, percent, plural
from ltexpo.simulate.result import EFFECT, TEST

_AFFORDABLE = 1000
"""So many times the users of this test are more than anybody would test on."""
_STATES = {"held": "holds", "broken": "broken", "open": "open"}


def decision_part(tested: Simulated, arm: str) -> Html:
    """The verdict with its reason, and the guardrails."""
    told = tested.verdict(arm)
    if not told:
        return Html("")
    rails = told.get("guardrails") or []
    listed = html(
        '<ul class="rails">{rails}</ul>', rails=join(_rail(tested, arm, rail) for rail in rails)
    ) if rails else html("<p>No guardrail was asked for.</p>")
    return html(
        '<div class="decision {decision}"><p class="word">{word}</p><div><p>{reason}</p>{rails}</div></div>',
        decision=str(told["decision"]).lower(), word=told["decision"], reason=reason(tested, arm), rails=listed,
    )


def reason(tested: Simulated, arm: str) -> Html:
    """What a test of this size would find, and what it would take to decide where it cannot."""
    told = tested.verdict(arm)
    split: Mapping[str, Any] = tested.facts.get("sample_ratio") or {}
    if not split.get("ok", True):
        return html("The split of the users is broken: the arms do not hold the shares that were planned (p = {p}), so "
                    "nothing that this test reads can be believed.", p=f"{split['p_value']:.2g}")
    parts = [_primary(tested, arm, str(told["primary"]))]
    rails = told.get("guardrails") or []
    parts += [_lost(tested, arm, rail) for rail in rails if rail["state"] != "held"]
    if rails and all(rail["state"] == "held" for rail in rails):
        parts.append(html("Every guardrail holds." if len(rails) > 1 else "The guardrail holds."))
    if told["decision"] == "HOLD":
        parts.append(_more(tested, arm))
    return join(parts, " ")


def _primary(tested: Simulated, arm: str, metric: str) -> Html:
    test = tested.row(arm, TEST, metric)
    shift = _shift(tested, arm, metric, TEST)
    if test is None or shift is None or not shift.known:
        return html("{metric} could not be compared.", metric=_capital(metric))
    if not shift.sure:
        return html("{metric} is not proven better: {told} ({interval}).", metric=_capital(metric), told=shift.told,
                    interval=shift.interval)
    return html(
        "{metric} is proven {how}: <b>{told}</b> ({interval}).", metric=_capital(metric), told=shift.told,
        interval=shift.interval, how="better" if shift.value > 0 else "worse",
    )


def _lost(tested: Simulated, arm: str, rail: Mapping[str, Any]) -> Html:
    metric, margin = str(rail["metric"]), percent(rail["margin"])
    test = tested.row(arm, TEST, metric)
    if test is None or not test["relative_low"] > -float("inf"):
        return html("{metric} cannot be judged.", metric=_capital(metric))
    if rail["state"] == "broken":
        return html("{metric} loses more than the {margin} that may be lost.", metric=_capital(metric), margin=margin)
    return html("{metric} may be up to {bound} worse, and only {margin} may be lost.", metric=_capital(metric),
                bound=percent(-test["relative_low"]), margin=margin)


def _more(tested: Simulated, arm: str) -> Html:
    told = tested.verdict(arm)
    asked = "no affordable number of users"
    if told.get("more_users"):
        days = f" ({plural(told['more_days'], 'more day')})" if told.get("more_days") else ""
        asked = f"about {count(told['more_users'])} more users{days}"
    if tested.best != EFFECT:
        return html("By what it read, <b>{asked}</b> would probably decide.", asked=asked)
    needed, users = to_decide(tested, arm), sum((tested.facts.get("users") or {}).values())
    alone = html(" The test alone would ask for {asked}, at the change that it reads and with guardrails that lose "
                 "nothing.", asked=asked)
    if not needed < _AFFORDABLE * users:
        return html("Given what the lists do here, no affordable number of users would decide it.{alone}", alone=alone)
    return html("Given what the lists do here, <b>about {needed} users</b> in all would decide it with a chance of "
                "{chance}.{alone}", needed=about(needed), chance=percent(CHANCE, digits=0), alone=alone)


def _rail(tested: Simulated, arm: str, rail: Mapping[str, Any]) -> Html:
    metric, state = str(rail["metric"]), str(rail["state"])
    margin = float(rail["margin"])
    test, effect = (_shift(tested, arm, metric, reading) for reading in (TEST, EFFECT))
    parts = [html("a test reads {told} ({interval})", told=test.told, interval=test.interval)] if test else []
    if effect is not None and effect.known:
        parts.append(html(
            "what the lists do is {told} ({interval}), {where}", told=effect.told, interval=effect.interval,
            where=_against(tested.row(arm, EFFECT, metric), margin),
        ))
    return html(
        '<li><b class="state {state}">{word}</b> <span><b>{metric}</b> may lose {margin} at most: {parts}.</span></li>',
        state=state, word=_STATES.get(state, state), metric=metric, margin=percent(margin), parts=join(parts, "; "),
    )


def _against(row: Row | None, margin: float) -> str:
    """How what the lists do stands to the margin."""
    if row is None or row["relative_low"] != row["relative_low"]:
        return "which says nothing of the margin"
    if row["relative_low"] > -margin:
        return "within the margin"
    return "beyond the margin" if row["relative_high"] < -margin else "too near the margin to tell"


def _shift(tested: Simulated, arm: str, metric: str, reading: str) -> Shift | None:
    """The change of one reading, in the unit that suits both."""
    rows = {name: tested.row(arm, name, metric) for name in (EFFECT, TEST)}
    chosen = rows[reading]
    return None if chosen is None else shift_of(chosen, unit_of([row for row in rows.values() if row is not None]))


def _capital(metric: str) -> str:
    return metric[:1].upper() + metric[1:]
