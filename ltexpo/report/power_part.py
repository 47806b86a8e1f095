"""What a test of this size would find, and larger ones → figures, a table, a sentence."""

import numpy as np

from ltexpo.report.markup import Html, html, join, row, table
from ltexpo.report.planning import CHANCE, Planned, to_see, to_settle
from ltexpo.report.power_figure import power_figure
from ltexpo.report.shifts import Shift, Unit, shift_of, unit_of
from ltexpo.report.simulated import Row, Simulated
from ltexpo.report.words import NONE, about, percent, plural
from ltexpo.simulate.result import TEST

_FARTHEST = 20
"""The figure ends at so many times the users of this test at most."""


_FEW = 100


def power_part(tested: Simulated, arm: str) -> Html:
    """Figures, table and sentence; nothing where the test tells no errors."""
    margins = {rail["metric"]: float(rail["margin"]) for rail in tested.verdict(arm).get("guardrails") or []}
    figures, rows, least = [], [], []
    users = 0
    for metric in tested.watched(arm):
        best, test = tested.row(arm, tested.best, metric), tested.row(arm, TEST, metric)
        seen = to_see(metric, best, test, tested.level) if best and test else None
        if seen is None or best is None or test is None:
            continue
        users = seen.users
        settled = to_settle(metric, margins[metric], best, test, tested.level) if metric in margins else None
        figures.append(_figure(seen, settled, margins.get(metric)))
        unit = unit_of([best, test])
        smallest = _smallest(seen, best, unit)
        least.append(f"{metric} of {smallest}")
        rows.append(row([
            f"{metric} changes", shift_of(best, unit).told, percent(seen.chance, digits=0), _users(seen.needed),
            smallest,
        ]))
        if settled is not None:
            rows.append(row([
                f"{metric}: margin of {percent(margins[metric])} is settled", shift_of(best, unit).told,
                percent(settled.chance, digits=0), _users(settled.needed), NONE,
            ]))
    if not figures:
        return Html("")
    return html(
        "<h3>How large a test must be</h3><p>With {users}, a test finds with a chance of {chance} a change in {least} "
        "or more. The curves show the chance to find what the lists do here. A guardrail can ask for more users, since "
        'its loss must be told from its margin and not from zero.</p><div class="figures">{figures}</div>{table}',
        users=plural(users, "user"), chance=percent(CHANCE, digits=0), least=_listed(least), figures=join(figures),
        table=table(
            f"Chance that a test finds it, of {plural(users, 'user')} and of more",
            ["that", "what the lists do", "chance in this test", f"users for {percent(CHANCE, digits=0)}",
             "least change found"], rows,
        ),
    )


def _smallest(seen: Planned, best: Row, unit: Unit) -> str:
    size = seen.least / abs(best["control"]) if unit == "percent" else seen.least
    return Shift(size, np.nan, np.nan, unit).told.lstrip("+")


def _users(needed: float) -> str:
    """Below a hundred users the normal limit is no guide."""
    if not np.isfinite(needed):
        return "no number"
    return about(needed) if needed >= _FEW else f"under {_FEW}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _figure(seen: Planned, settled: Planned | None, margin: float | None) -> Html:
    asked = [seen] if settled is None else [seen, settled]
    needed = [plan.needed for plan in asked if np.isfinite(plan.needed)]
    last = min(max([1.25 * seen.users, *(1.25 * n for n in needed)]), float(_FARTHEST * seen.users))
    users = np.linspace(4, last, 121)
    curves = dict(zip(("treatment", "control"), (plan.at(users) for plan in asked), strict=False))
    other = "" if margin is None else html(
        '<span class="key control">its margin of {margin} is settled</span>', margin=percent(margin)
    )
    return html(
        '<figure><h4>{name}</h4><p class="keys"><span class="key treatment">its change is seen</span>{other}'
        '<span class="key equal">{chance}</span></p>{drawn}</figure>',
        name=seen.metric[:1].upper() + seen.metric[1:], other=other, chance=percent(CHANCE, digits=0),
        drawn=power_figure(
            users, curves, here=seen.users, aim=CHANCE,
            title=f"Chance to find what the lists do to {seen.metric}, by number of users",
        ),
    )
