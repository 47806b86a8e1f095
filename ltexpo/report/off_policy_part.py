"""Off-policy evaluation of the lists beside the simulator → a small table, and a warning where they disagree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ltexpo.report.markup import Html, html, join, row, table
from ltexpo.report.simulated import CLICKS, Row, Simulated
from ltexpo.report.words import NONE, count, number, percent, plural
from ltexpo.simulate.ope.diagnostics import CANNOT_SAY, OK

_PER_VISIT = {"click": CLICKS, "purchase": "purchases per visit", "revenue": "revenue per visit"}
"""The reward of a list in the log → the experiment's metric that measures the same."""
RANKINGS = "rankings.parquet"
"""The file of a run that holds the lists under test; any other policy is not what was simulated."""


def off_policy_part(told: Mapping[str, Any], tested: Simulated | None) -> Html:
    """Every estimator's answer; nothing where none was asked."""
    estimators: Mapping[str, Mapping[str, Any]] = told.get("estimators") or {}
    if not estimators:
        return Html("")
    unit = "slot" if told.get("per") == "slot" else "list"
    own = told["on_policy"]
    rows = [
        row([_named(name), number(held["value"]), _range(held), _count(held.get("effective_sample_size")),
             _count(held.get("largest_weight"))])
        for name, held in estimators.items() if held["verdict"] == OK
    ]
    columns = ["estimator", "value", "interval", "effective sample size", "largest weight"]
    first = [row(["the log’s own lists", number(own["value"]), _range(own), NONE, NONE])]
    simulated = _simulated(told, tested)
    if simulated is not None and tested is not None:
        spread = {"low": simulated[1], "high": simulated[2]}
        first.append(row([f"simulated ({tested.lead})", number(simulated[0]), _range(spread), NONE, NONE]))
    return html(
        "<h3>What the log alone says</h3><p>{reward} per {unit} that the judged lists ({policy}) would have had, "
        "worked out from {n} of the log by weighing what happens to have been shown as they would show it. No model of "
        "users stands behind it, so it can contradict the simulation.</p>{warning}{table}{refused}",
        policy=Path(str(told.get("policy", "policy"))).name,
        reward=str(told.get("reward", "reward")).capitalize() + "s" * (told.get("reward") != "revenue"), unit=unit,
        n=plural(told.get("requests", 0), unit), warning=_warning(told, simulated),
        table=table(f"Value per {unit}, {percent(told.get('level', 0.95), digits=0)} intervals", columns,
                    [*first, *rows]),
        refused=_refused(estimators),
    )


def apart(told: Mapping[str, Any], simulated: tuple[float, float, float]) -> list[str]:
    """The estimators that can say something and differ from `simulated` (value, low, high) by more than both intervals
    allow: by more than √(h₁² + h₂²), h being half of an interval."""
    value, low, high = simulated
    return [
        name for name, held in (told.get("estimators") or {}).items()
        if held["verdict"] == OK
        and abs(held["value"] - value) > np.hypot((high - low) / 2, (held["high"] - held["low"]) / 2)
    ]


def _simulated(told: Mapping[str, Any], tested: Simulated | None) -> tuple[float, float, float] | None:
    """The simulated lists' value per visit with its interval, where it is these lists that were judged and the reward
    is one of the experiment's metrics."""
    if Path(str(told.get("policy", ""))).name != RANKINGS:
        return None
    metric = _PER_VISIT.get(str(told.get("reward")))
    if tested is None or metric is None or told.get("per") == "slot":
        return None
    found: Row | None = tested.row(tested.lead, tested.best, metric)
    if found is None or not np.isfinite([found["treatment"], found["treatment_error"]]).all():
        return None
    half = 1.96 * found["treatment_error"]
    return found["treatment"], found["treatment"] - half, found["treatment"] + half


def _warning(told: Mapping[str, Any], simulated: tuple[float, float, float] | None) -> Html:
    saying = [name for name, held in told["estimators"].items() if held["verdict"] == OK]
    if not saying:
        return html('<p class="warning">No estimator can say what these lists would have earned: the reasons stand '
                    "below.</p>")
    if simulated is None:
        return Html("")
    names = apart(told, simulated)
    if not names:
        return html("<p>The simulation’s answer fits that of every estimator that can say.</p>")
    return html(
        '<p class="warning">The simulation and the log disagree: simulated {value} ({low} to {high}), beyond chance '
        "from {names} ({n} of {all} that can say). Trust neither before you know why.</p>",
        value=number(simulated[0]), low=number(simulated[1]), high=number(simulated[2]),
        names=join((_named(name) for name in names), ", "), n=len(names), all=len(saying),
    )


def _refused(estimators: Mapping[str, Mapping[str, Any]]) -> Html:
    """Who cannot say, by reason."""
    reasons: dict[str, list[str]] = {}
    for name, held in estimators.items():
        if held["verdict"] != OK:
            reasons.setdefault(str(held["verdict"]).removeprefix(f"{CANNOT_SAY}: "), []).append(_named(name))
    lines = join(
        html("<li><b>{names}</b>: {reason}</li>", names=", ".join(names), reason=reason)
        for reason, names in reasons.items()
    )
    return html("<p>These cannot say:</p><ul>{lines}</ul>", lines=lines) if reasons else Html("")


def _named(estimator: str) -> str:
    """'snips' → 'SNIPS', 'cascade_dr' → 'cascade DR'."""
    words = ("cascade", "switch", "shrinkage")
    return " ".join(part if part in words else part.upper() for part in estimator.split("_"))


def _range(held: Mapping[str, Any]) -> str:
    return f"{number(held['low'])} to {number(held['high'])}"


def _count(value: float | None) -> str:
    return NONE if value is None or not np.isfinite(value) else number(value, digits=3) if value < 100 else count(value)

