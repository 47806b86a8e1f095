"""Facts → the section on offline accuracy: both arms by tier, and whatever else was evaluated."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ltexpo.report.gather import Facts
from ltexpo.report.markup import Html, html, join, row, table
from ltexpo.report.words import NONE, signed

_FIRST = ("recall", "ndcg")
"""Accuracy metrics that stand in the open."""
_ACCURACY = (*_FIRST, "map", "mrr", "hit", "precision")


def accuracy_section(facts: Facts) -> Html:
    """Held-out accuracy of both arms by tier, or how to get it; then whatever else was evaluated."""
    evaluation = facts.evaluation
    if evaluation is None:
        return html(
            '<p class="missing">These lists were not evaluated. <code>ltexpo evaluate --control</code> compares them '
            "with the lists before, on a held-out period.</p>"
        )
    name = evaluation["metric"].astype(str).str.lower()
    is_accuracy, is_first = name.str.startswith(_ACCURACY), name.str.startswith(_FIRST)
    if is_accuracy.any():
        first = html(
            "<p>How well the lists hit what users did in the held-out period, before and after. Tail rows count only "
            "the tail products among what users wanted. A difference whose interval keeps clear of zero is bold.</p>"
            "{table}",
            table=_metric_table("Accuracy on the held-out period", evaluation[is_first]),
        )
    else:
        first = html(
            '<p class="missing">No accuracy was measured: the evaluation had no held-out period. Give '
            "<code>ltexpo evaluate</code> a <code>since</code> that leaves events to test on.</p>"
        )
    others = [
        ("Other measures of accuracy", evaluation[is_accuracy & ~is_first]),
        ("Measures of exposure", evaluation[~is_accuracy]),
    ]
    more = join(
        html("<details><summary>{name}</summary>{table}</details>", name=name, table=_metric_table(name, rows))
        for name, rows in others if len(rows)
    )
    return html("{first}{more}", first=first, more=more)


def _metric_table(caption: str, evaluation: pd.DataFrame) -> Html:
    keys = ["metric", "tier"]
    arms = {
        str(arm): rows.set_index(keys)[["value", "low", "high"]]
        for arm, rows in evaluation.groupby("arm", sort=False)
    }
    order = evaluation[keys].drop_duplicates()
    # Together what belongs to one metric, in the order in which metrics first come.
    order = order.iloc[np.argsort(pd.factorize(order["metric"])[0], kind="stable")]
    rows = []
    previous = None
    for metric, tier in order.itertuples(index=False, name=None):
        control, after, shift = (_cell(arms, arm, (metric, tier)) for arm in ("control", "rankings", "difference"))
        clear = shift is not None and (shift["low"] > 0 or shift["high"] < 0)
        told = _interval(shift, plus=True)
        # Said once for the eye, on every row for a screen reader.
        name = metric if metric != previous else html('<span class="hidden">{metric}</span>', metric=metric)
        cells = [name, tier, _interval(control), _interval(after)]
        cells.append(html("<b>{told}</b>", told=told) if clear else told)
        rows.append(row(cells))
        previous = metric
    return table(caption, ["metric", "products", "before", "after", "difference"], rows)


def _cell(arms: Mapping[str, pd.DataFrame], arm: str, key: tuple[str, str]) -> Mapping[Any, float] | None:
    if arm not in arms or key not in arms[arm].index:
        return None
    found: dict[Any, float] = arms[arm].loc[[key]].iloc[0].to_dict()
    return found


def _interval(cell: Mapping[Any, float] | None, *, plus: bool = False) -> Html:
    if cell is None or not np.isfinite(cell["value"]):
        return Html(NONE)
    digits = 4 if abs(cell["value"]) < 10 else 1
    sign = "+" if plus else ""

    def told(value: float) -> str:
        return signed(f"{value:{sign},.{digits}f}")

    if not np.isfinite(cell["low"]):
        return html("{value}", value=told(cell["value"]))
    return html(
        '{value} <span class="range">{low} to {high}</span>',
        value=told(cell["value"]), low=told(cell["low"]), high=told(cell["high"]),
    )
