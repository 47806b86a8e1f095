"""Facts → the section on the simulated A/B test: verdict, metrics, days, segments, arms, power, validity."""

import pandas as pd

from ltexpo.metrics.inequality import lorenz
from ltexpo.report.arms_figure import arms_figure
from ltexpo.report.days_figure import days_figure
from ltexpo.report.decision import decision_part
from ltexpo.report.designs_part import designs_part
from ltexpo.report.drawing import arm_class
from ltexpo.report.gather import Facts
from ltexpo.report.lorenz_figure import lorenz_figure, lorenz_start
from ltexpo.report.markup import Html, html, join
from ltexpo.report.metrics_table import metrics_table
from ltexpo.report.off_policy_part import off_policy_part
from ltexpo.report.power_part import power_part
from ltexpo.report.segments_part import segments_part
from ltexpo.report.shifts import is_share
from ltexpo.report.simulated import CLICKS, CONTROL, Simulated
from ltexpo.report.validity_part import validity_part
from ltexpo.report.words import percent, plural
from ltexpo.report.world_part import world_part
from ltexpo.simulate.result import EFFECT


def experiment_section(facts: Facts) -> Html:
    """The simulated A/B test, or how to get one; and what the log alone says, where it was asked."""
    tested = facts.experiment
    log = off_policy_part(facts.off_policy, tested)
    if tested is None:
        return html(
            '<p class="missing">No A/B test was simulated in this run. <code>ltexpo simulate</code> adds it: with the '
            "known preferences of a made shop, or in an environment fitted on events that the ranker has not seen.</p>"
            "{log}", log=log,
        )
    several = len(tested.arms) > 1
    decisions = join(
        html("{name}{decision}", name=_arm(arm, several), decision=decision_part(tested, arm)) for arm in tested.arms
    )
    details = join(_details(tested, arm) for arm in sorted(tested.arms, key=lambda arm: arm != tested.lead))
    return html(
        "{decisions}{world}<p>An interval that keeps clear of zero is drawn solid and its change bold; one that "
        "touches zero is hollow.</p>{details}{arms}{designs}{validity}{log}",
        decisions=decisions, world=world_part(tested), details=details, arms=_arms(tested),
        designs=designs_part(tested), validity=validity_part(tested), log=log,
    )


def _arm(arm: str, several: bool) -> Html:
    return html('<h3 class="arm"><bdi>{arm}</bdi> against control</h3>', arm=arm) if several else Html("")


def _details(tested: Simulated, arm: str) -> Html:
    """Metrics, days, segments and power of an arm; folded away for all but the one that the summary speaks of."""
    parts = html(
        "{metrics}{days}{segments}{power}", metrics=metrics_table(tested, arm), days=_days(tested, arm),
        segments=segments_part(tested, arm), power=power_part(tested, arm),
    )
    if arm == tested.lead:
        return html("{name}{parts}", name=_arm(arm, len(tested.arms) > 1), parts=parts)
    return html("<details><summary><bdi>{arm}</bdi> in detail</summary>{parts}</details>", arm=arm, parts=parts)


def _days(tested: Simulated, arm: str) -> Html:
    """The test as one would have watched it, for every watched metric."""
    margins = {rail["metric"]: float(rail["margin"]) for rail in tested.verdict(arm).get("guardrails") or []}
    figures = []
    for metric in tested.watched(arm):
        looks = tested.looks[(tested.looks["arm"] == arm) & (tested.looks["metric"] == metric)].sort_values("day")
        effect = tested.row(arm, EFFECT, metric)
        control = float(effect["control"] if effect else looks["control"].iloc[-1])
        margin = -margins[metric] * abs(control) if metric in margins else None
        drawn = days_figure(
            looks, title=f"Difference in {metric}, day by day", share=is_share(metric),
            effect=None if effect is None else effect["difference"], margin=margin,
        )
        if drawn:
            keys = [("treatment", "what the test reads so far")]
            keys += [("equal", "what the lists do")] if effect else []
            keys += [("limit", f"its margin, {percent(margins[metric])} of the control")] if margin is not None else []
            figures.append(_figure(metric[:1].upper() + metric[1:], keys, drawn))
    if not figures:
        return Html("")
    return html(
        "<h3>The test, day by day</h3><p>The light band may be looked at on every day and still holds the truth with "
        "{level}: whoever stops as soon as it leaves zero is not misled. The dark band inside is the usual interval, "
        'which holds for a single look at the end only.</p><div class="figures">{figures}</div>',
        level=percent(tested.level, digits=0), figures=join(figures),
    )


def _arms(tested: Simulated) -> Html:
    """Exposure, clicks and retention of every arm."""
    names = [CONTROL, *tested.arms]
    keys = [(arm_class(place), name) for place, name in enumerate(names)]
    per_day = {name: tested.days[tested.days["arm"] == name].set_index("day").sort_index() for name in names}
    figures = []
    exposure = [_exposure(tested, name) for name in names]
    if all(held.sum() > 0 for held in exposure):
        curves = [lorenz(held) for held in exposure]
        start = lorenz_start(*curves)
        cut = f"The axis starts at {percent(start, digits=0 if start <= 0.99 else 1)} of the products." if start else ""
        figures.append(_figure(
            "How evenly simulated exposure is spread", [*keys, ("equal", "all products equal")],
            lorenz_figure(curves, title="Lorenz curves of the arms’ simulated exposure"), cut,
        ))
    clicks = {name: held["clicks"] / held["visits"].where(held["visits"] > 0) for name, held in per_day.items()}
    stay = {name: held["stay"] / held["users"].where(held["users"] > 0) for name, held in per_day.items()}
    active = {name: held["active"] / held["users"].where(held["users"] > 0) for name, held in per_day.items()}
    last = int(tested.days["day"].max())
    ends = ", ".join(f"{percent(series.iloc[-1])} with {name}" for name, series in stay.items())
    for title, series, label, share, text in (
        ("Clicks per visit on each day", clicks, CLICKS, False, ""),
        ("Users who have not left for good", stay, "share of users", True,
         f"After {plural(last, 'day')} there are still {ends}."),
        ("Users who came on the day", active, "share of users", True,
         "Day-1 and day-7 retention, with intervals, stand in the table of metrics."),
    ):
        figures.append(_figure(title, keys, arms_figure(series, title=title, label=label, share=share), text))
    return html('<h3>The arms side by side</h3><div class="figures">{figures}</div>', figures=join(figures))


def _exposure(tested: Simulated, arm: str) -> "pd.Series[float]":
    return tested.items.loc[tested.items["arm"] == arm, "exposure"]


def _figure(title: str, keys: list[tuple[str, str]], drawn: Html, text: str = "") -> Html:
    marks = join(html('<span class="key {style}">{name}</span>', style=style, name=name) for style, name in keys)
    caption = html("<figcaption>{text}</figcaption>", text=text) if text else ""
    return html('<figure><h4>{title}</h4><p class="keys">{marks}</p>{drawn}{caption}</figure>', title=title,
                marks=marks, drawn=drawn, caption=caption)
