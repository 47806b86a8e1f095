"""Effects over everybody → the table of metrics: what the lists do beside what a test of them would say."""

from collections.abc import Mapping

import pandas as pd

from ltexpo.report.forest import ForestRow, Mark, forest_block, told
from ltexpo.report.markup import Html, escape, html, join, pairs
from ltexpo.report.shifts import shift_of, unit_of, value_of
from ltexpo.report.simulated import Row, Simulated
from ltexpo.report.words import percent
from ltexpo.simulate.definitions import DEFINITIONS
from ltexpo.simulate.item_readings import COVERAGE, GINI, SELLERS
from ltexpo.simulate.result import EFFECT, TEST

_GROUPS = (("What the tail and the catalogue get", True), ("What it does to everything else", False))
_READINGS = {EFFECT: "what the lists do", TEST: "what a test would read"}


def metrics_table(tested: Simulated, arm: str) -> Html:
    """One block for the tail's metrics and one for the rest: their changes differ too much in size for one scale."""
    readings = [reading for reading in (EFFECT, TEST) if len(tested.rows(arm, reading))]
    held = {reading: tested.rows(arm, reading).set_index("metric", drop=False) for reading in readings}
    metrics = held[readings[0]]["metric"].astype(str)
    blocks = []
    for name, wanted in _GROUPS:
        chosen = [metric for metric in metrics if _of_the_tail(metric) == wanted]
        if chosen:
            rows = [_row(metric, arm, held) for metric in chosen]
            blocks.append(forest_block(name, rows, unit=rows[0].marks[0].shift.unit))
    columns = join(html('<th scope="col">{name}</th>', name=_READINGS[reading]) for reading in readings)
    return html(
        '<table class="forest metrics"><caption>Each metric’s change, with its {level} interval</caption><thead><tr>'
        '<th scope="col">metric</th><th scope="col">control</th><th scope="col">{arm}</th>{columns}'
        '<th scope="col" class="plot"><span>{key}</span></th></tr></thead>{blocks}</table>'
        '<details><summary>What each metric is</summary><dl class="pairs">{defined}</dl></details>',
        level=percent(tested.level, digits=0), arm=arm, columns=columns, blocks=join(blocks),
        defined=pairs((metric, DEFINITIONS[metric]) for metric in metrics if metric in DEFINITIONS),
        key=join(html('<span class="key {reading}">{name}</span>', reading=reading, name=_READINGS[reading])
                 for reading in readings),
    )


def _of_the_tail(metric: str) -> bool:
    return "tail" in metric or metric in (COVERAGE, GINI, SELLERS)


def _row(metric: str, arm: str, held: Mapping[str, pd.DataFrame]) -> ForestRow:
    rows: dict[str, Row] = {reading: table.loc[metric].to_dict() for reading, table in held.items()}
    unit = unit_of(rows.values())
    shifts = {reading: shift_of(row, unit) for reading, row in rows.items()}
    first = next(iter(rows.values()))
    cells = [
        (label, html("<span>{value}</span>", value=value_of(metric, first[side])))
        for label, side in (("control", "control"), (arm, "treatment"))
    ]
    cells += [(_READINGS[reading], told(shift, strong=shift.sure)) for reading, shift in shifts.items()]
    marks = [Mark(shift, reading, shift.sure) for reading, shift in shifts.items()]
    return ForestRow(cells, escape(metric), marks)
