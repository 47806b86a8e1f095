"""The simulated A/B test → a table in which every change stands beside its interval, drawn on a common scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.report.figures import ticks
from ltexpo.report.markup import Html, html, join
from ltexpo.report.words import change, changes_to, digits_for, number, percent

_GROUPS = (("What the tail gets", True), ("What it does to everything else", False))


def forest_table(metrics: pd.DataFrame, *, level: float) -> Html:
    """One block for the tail's metrics and one for the rest: their changes differ too much in size for one scale."""
    is_tail = metrics["metric"].astype(str).str.contains("tail")
    blocks = [
        _block(name, metrics[is_tail == wanted].to_dict("records"))
        for name, wanted in _GROUPS
        if (is_tail == wanted).any()
    ]
    return html(
        '<table class="forest"><caption>Change of each metric with its {level} interval</caption><thead><tr>'
        '<th scope="col">metric</th><th scope="col">control</th><th scope="col">treatment</th>'
        '<th scope="col">change</th><th scope="col">{level} interval</th><th scope="col" class="plot">'
        "<span>interval of the change</span></th></tr></thead>{blocks}</table>",
        level=percent(level, digits=0), blocks=join(blocks),
    )


def _block(name: str, records: list[dict[Any, Any]]) -> Html:
    ends = [
        record[column] for record in records for column in ("relative", "relative_low", "relative_high")
        if np.isfinite(record[column])
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.06 * (high - low) or 0.01
    low, high = low - room, high + room
    marks = [mark for mark in ticks(low, high, about=5) if low <= mark <= high]
    rows = join(_row(record, low, high) for record in records)
    labels = join(
        html('<span style="left:{at}%">{text}</span>', at=_at(mark, low, high), text=_tick(mark))
        for mark in marks
    )
    return html(
        '<tbody><tr class="block"><th colspan="6" scope="rowgroup">{name}</th></tr>{rows}'
        '<tr class="axis" aria-hidden="true"><td colspan="5"></td><td class="plot"><div>{labels}</div></td></tr>'
        "</tbody>",
        name=name, rows=rows, labels=labels,
    )


def _row(record: Mapping[Any, Any], low: float, high: float) -> Html:
    value, first, last = record["relative"], record["relative_low"], record["relative_high"]
    digits = digits_for(value, first, last)
    share = "share" in str(record["metric"]) or "rate" in str(record["metric"])
    control, treatment = (
        percent(record[arm], digits=2) if share else number(record[arm]) for arm in ("control", "treatment")
    )
    return html(
        '<tr><th scope="row">{metric}</th><td data-label="control">{control}</td>'
        '<td data-label="treatment" class="strong">{treatment}</td><td data-label="change" class="strong">{change}</td>'
        '<td data-label="interval">{interval}</td><td class="plot">{plot}</td></tr>',
        metric=record["metric"], control=control, treatment=treatment, change=change(value, digits=digits),
        interval=changes_to(first, last, digits=digits), plot=_plot(value, first, last, low, high),
    )


def _plot(value: float, first: float, last: float, low: float, high: float) -> Html:
    if not np.isfinite([value, first, last]).all():
        return html("<small>nothing to compare</small>")
    start, end = _at(first, low, high), _at(last, low, high)
    return html(
        '<div class="track {sure}" aria-hidden="true"><i class="zero" style="left:{zero}%"></i>'
        '<i class="bar" style="left:{start}%;width:{width}%"></i><i class="dot" style="left:{at}%"></i></div>',
        sure="sure" if first > 0 or last < 0 else "unsure",
        zero=_at(0.0, low, high), start=start, width=round(end - start, 2), at=_at(value, low, high),
    )


def _at(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 2)


def _tick(mark: float) -> str:
    digits = next((n for n in range(4) if abs(round(100 * mark, n) - 100 * mark) < 1e-9), 4)
    return change(mark, digits=digits) if mark else "0"
