"""Changes with their intervals → rows of a table in which each is drawn on a common scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ltexpo.report.drawing import ticks
from ltexpo.report.markup import Html, html, join
from ltexpo.report.shifts import Shift, Unit, mark


@dataclass(frozen=True)
class Mark:
    """One change in a row's plot."""

    shift: Shift
    style: str
    """'effect' or 'test'."""
    sure: bool
    """Drawn solid."""


@dataclass(frozen=True)
class ForestRow:
    """The cells of a row, its heading first, and what is drawn at its end."""

    cells: Sequence[tuple[str, Html]]
    """(label on a narrow page, content) of every cell after the heading."""
    heading: Html
    marks: Sequence[Mark]


def forest_block(name: str, rows: Sequence[ForestRow], *, unit: Unit) -> Html:
    """A titled body of the table. Only changes in `unit` are drawn: one scale holds one unit."""
    shifts = [drawn.shift for row in rows for drawn in row.marks if drawn.shift.unit == unit]
    ends = [end for shift in shifts for end in (shift.value, shift.low, shift.high) if np.isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.06 * (high - low) or 0.01
    low, high = low - room, high + room
    labels = join(
        html('<span style="left:{at}%">{text}</span>', at=_at(tick, low, high), text=_tick(tick, unit))
        for tick in _marks(low, high)
    )
    columns = 2 + len(rows[0].cells)
    return html(
        '<tbody><tr class="block"><th colspan="{columns}" scope="rowgroup">{name}</th></tr>{rows}'
        '<tr class="axis" aria-hidden="true"><td colspan="{before}"></td><td class="plot"><div>{labels}</div></td></tr>'
        "</tbody>",
        columns=columns, before=columns - 1, name=name, labels=labels,
        rows=join(_row(row, low, high, unit) for row in rows),
    )


def told(shift: Shift | None, *, strong: bool = False) -> Html:
    """The change, with its interval in small type."""
    if shift is None or not shift.known:
        return html("<span>–</span>")
    value = html("<b>{told}</b>", told=shift.told) if strong else shift.told
    # The unit is said once: the cells are narrow.
    interval = shift.interval.removesuffix(" points")
    return html('<span>{value} <small class="range">{interval}</small></span>', value=value, interval=interval)


def _row(row: ForestRow, low: float, high: float, unit: Unit) -> Html:
    cells = join(html('<td data-label="{label}">{cell}</td>', label=label, cell=cell) for label, cell in row.cells)
    return html(
        '<tr><th scope="row">{heading}</th>{cells}<td class="plot">{plot}</td></tr>', heading=row.heading, cells=cells,
        plot=_plot(row.marks, low, high, unit),
    )


def _plot(marks: Sequence[Mark], low: float, high: float, unit: Unit) -> Html:
    drawn = [one for one in marks if one.shift.unit == unit and one.shift.bounded]
    if not drawn:
        other = any(one.shift.bounded for one in marks)
        return html("<small>{why}</small>", why="not on this scale" if other else "nothing to compare")
    return html(
        '<div class="tracks" aria-hidden="true"><i class="zero" style="left:{zero}%"></i>{tracks}</div>',
        zero=_at(0.0, low, high), tracks=join(_track(one, low, high) for one in drawn),
    )


def _track(one: Mark, low: float, high: float) -> Html:
    start, end = _at(one.shift.low, low, high), _at(one.shift.high, low, high)
    return html(
        '<div class="track {style} {sure}"><i class="bar" style="left:{start}%;width:{width}%"></i>'
        '<i class="dot" style="left:{at}%"></i></div>',
        style=one.style, sure="sure" if one.sure else "unsure", start=start, width=round(end - start, 2),
        at=_at(one.shift.value, low, high),
    )


def _marks(low: float, high: float) -> list[float]:
    """Few round numbers between the ends, since the plots are narrow, but 0 is not to stand alone."""
    found = ([tick for tick in ticks(low, high, about=about) if low <= tick <= high] for about in (3, 4, 5, 6))
    return next((marks for marks in found if len(marks) >= 2), [0.0])


def _at(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 2)


def _tick(at: float, unit: Unit) -> str:
    if not at:
        return "0"
    if unit == "own":
        return mark(at)
    return f"{mark(100 * at)}%" if unit == "percent" else mark(100 * at)
