"""Facts → the section on real traffic: the judged day, its alarms, exposure, prices and clicks over the days."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.report.goal_words import goal_name, limit
from ltexpo.report.markup import Html, html, join, row, table
from ltexpo.report.monitored import Days
from ltexpo.report.trend_figure import trend_figure
from ltexpo.report.words import NONE, change, count, number, percent, plural, setting

N_GOALS = 3
"""Goals whose days are drawn: those with the highest prices."""
N_DECISIONS = 12

_ROWS: tuple[tuple[str, str], ...] = (
    ("requests", "requests (lists shown)"), ("users", "users"), ("clicks per request", "clicks per request"),
    ("clicks per impression", "clicks per slot"), ("calibration", "clicks per expected click"),
    ("exposure deviation", "goals off by (root mean square)"), ("scores drift", "drift of scores (index)"),
    ("days to first exposure", "days until a new product is first shown (median)"),
)
_SHARES = ("clicks per impression", "exposure deviation")


def monitor_section(days: Days) -> Html:
    """The last judged day, and the days before it as figures."""
    return html(
        "{alarms}{today}{goals}{clicks}{decisions}", alarms=_alarms(days), today=_today(days), goals=_goals(days),
        clicks=_clicks(days), decisions=_decisions(days),
    )


def _alarms(days: Days) -> Html:
    """What a person should look at, and how the prices go on."""
    alarms = list(days.told.get("alarms") or [])
    day = str(days.told.get("day"))
    decision = days.told.get("decision") or {}
    action = {"step": "Prices follow what was shown.", "keep": "No price moves.", "hold": "Prices are held.",
              "rollback": "Prices go back to the last good ones."}.get(str(decision.get("action")), "")
    if not alarms:
        return html("<p><b>{day}: no alarm.</b> {action}</p>{notes}", day=day, action=action, notes=_notes(days))
    lines = join(
        html('<li><b class="state {state}">{kind}</b> <span>{words}</span></li>', kind=alarm["kind"],
             state="broken" if alarm["kind"] == "clicks" else "open", words=alarm["words"])
        for alarm in alarms
    )
    return html("<p><b>{day}: {n}.</b> {action}</p><ul class=\"rails\">{lines}</ul>{notes}", day=day,
                n=plural(len(alarms), "alarm"), action=action, lines=lines, notes=_notes(days))


def _notes(days: Days) -> Html:
    return join(html('<p class="aside">{note}</p>', note=str(note)[:1].upper() + str(note)[1:])
                for note in days.told.get("notes") or [])


def _today(days: Days) -> Html:
    rows = []
    for metric, name in _ROWS:
        found = days.today(metric)
        if found is None:
            continue
        shares = metric in _SHARES
        rows.append(row([
            name, *(percent(found[part]) if shares else number(found[part]) for part in ("value", "low", "high")),
        ]))
    if not rows:
        return Html("")
    return table("The judged day", ["", "value", "from", "to"], rows)


def _goals(days: Days) -> Html:
    """Exposure and price of the dearest goals, side by side."""
    log = days.decisions
    if log.empty:
        return Html("")
    last = log[log["day"] == log["day"].max()]
    dear = last.reindex(last["price_after"].abs().sort_values(ascending=False, kind="stable").index).head(N_GOALS)
    figures = [part for goal in dear.to_dict("records") for part in _goal(days, {str(k): v for k, v in goal.items()})]
    if not figures:
        return Html("")
    more = f" The other {plural(len(last) - len(dear), 'goal')} stand in decisions.parquet." \
        if len(last) > len(dear) else ""
    return html(
        "<h3>Exposure against its targets, and what prices did</h3><p>Prices follow the part of a deviation that "
        "noise does not explain, by a bounded step a day.{more}</p><div class=\"figures\">{figures}</div>",
        more=more, figures=join(figures),
    )


def _goal(days: Days, goal: Mapping[str, Any]) -> list[Html]:
    value = None if goal["value"] is None or goal["value"] != goal["value"] else goal["value"]
    named = {"group": goal["group"], "value": value, "kind": goal["kind"]}
    group = " ".join(str(part) for part in named.values() if part is not None)
    shown = days.trend("exposure", group)
    name = goal_name(named)
    name = name[:1].upper() + name[1:]
    log = days.decisions
    same = log["value"].isna() if value is None else log["value"] == value
    mine = log[(log["group"] == goal["group"]) & same & (log["kind"] == goal["kind"])].drop_duplicates("day")
    held = mine.set_index(pd.to_datetime(mine["day"])).reindex(days.days)
    waits, rolled = (held["action"].eq(action).to_numpy(bool) for action in ("hold", "rollback"))
    marks = [("held", "held")] * bool(waits.any()) + [("rollback", "rolled back")] * bool(rolled.any())
    exposure = trend_figure(
        shown.days, shown.value, title=f"Exposure of {name}, day by day", label="share of exposure", low=shown.low,
        high=shown.high, levels=[(shown.target, "equal")], held=waits, marked=rolled,
    )
    price = trend_figure(
        days.days, held["price_after"].to_numpy(np.float64), title=f"Price of {name}, day by day",
        label="price in expected clicks", levels=[(0.0, "zero")], held=waits, marked=rolled, text=setting,
    )
    share = "max_share" if str(goal["kind"]).startswith("max") else "min_share"
    target = limit({"kind": share, "target": goal.get("target")})  # the monitor's targets are shares, however asked
    parts = []
    if exposure:
        parts.append(_figure(f"{name}: exposure", [("treatment", "shown"), ("equal", target), *marks], exposure))
    if price:
        parts.append(_figure(f"{name}: price decided", [("treatment", "for the next day"), *marks], price))
    return parts


def _clicks(days: Days) -> Html:
    """Clicks per request, and the confidence sequence of their change, over all days that have them."""
    known = days.with_metric("clicks per request")
    rate, moved = (days.trend(name, over=known) for name in ("clicks per request", "change of clicks per request"))
    figures = []
    if rate.known > 1:
        before = rate.before(days.days[0]) if len(days.decisions) else 0
        figures.append(_figure("Clicks per request", [("treatment", "measured")], trend_figure(
            rate.days, rate.value, title="Clicks per request, day by day", label="clicks per request", low=rate.low,
            high=rate.high, text=setting,
        ), f"Read from the events, to compare with: the first {plural(before, 'day')}. Goals and prices are known from "
           f"{days.days[0]:%Y-%m-%d} on." if before else ""))
    if moved.known > 1:
        margin = moved.target[np.isfinite(moved.target)][-1]
        figures.append(_figure(
            "Their change", [("treatment", "against the days before"), ("limit", f"{percent(-margin)} may be lost")],
            trend_figure(
                moved.days, moved.value, title="Change of clicks per request with its confidence sequence",
                label="change", low=moved.low, high=moved.high, levels=[(0.0, "zero"), (float(margin), "limit")],
                marked=moved.alarm, text=lambda tick: change(tick, digits=0),
            ), "A new confidence sequence begins every day; the band is that of the one with the strongest proof of a "
               "loss, and the guardrail is broken (dots) where all of it lies below the margin.",
        ))
    if not figures:
        return Html("")
    return html('<h3>Clicks</h3><div class="figures">{figures}</div>', figures=join(figures))


def _decisions(days: Days) -> Html:
    """Days on which prices did not simply follow, and days with alarms."""
    log = days.decisions
    parts = []
    odd = log[~log["action"].isin(["step", "keep"])].drop_duplicates("day", keep="last")
    odd = odd.sort_values("day", ascending=False)
    if len(odd):
        rows = [row([one["day"], one["action"], one["reason"]]) for one in odd.head(N_DECISIONS).to_dict("records")]
        more = f", the last {N_DECISIONS} of {count(len(odd))}" if len(odd) > N_DECISIONS else ""
        parts.append(html('<div class="decided">{table}</div>', table=table(
            f"Days on which prices were held or rolled back{more}", ["day", "decision", "reason"], rows)))
    raised = days.metrics[days.metrics["alarm"].astype(bool)]
    if len(raised):
        per = raised.groupby(["metric", "group"])["day"].agg(["nunique", "min", "max"]).reset_index()
        per = per.sort_values(["max", "nunique"], ascending=False, kind="stable")
        rows = [
            row([one["metric"] + ("" if one["group"] == "all" else f" ({one['group']})"), count(one["nunique"]),
                 one["min"] or NONE, one["max"] or NONE])
            for one in per.to_dict("records")
        ]
        parts.append(table("Alarms of all days", ["alarm", "days", "first", "last"], rows))
    return join(parts)


def _figure(title: str, keys: list[tuple[str, str]], drawn: Html, text: str = "") -> Html:
    marks = join(html('<span class="key {style}">{name}</span>', style=style, name=name) for style, name in keys)
    caption = html("<figcaption>{text}</figcaption>", text=text) if text else ""
    return html('<figure><h4>{title}</h4><p class="keys">{marks}</p>{drawn}{caption}</figure>', title=title,
                marks=marks, drawn=drawn, caption=caption)
