"""Facts → what other tail shares would cost: the figure, the knee in words, and the table."""

import numpy as np
import pandas as pd

from ltexpo.columns import Columns
from ltexpo.report.gather import IN_TAIL, Facts
from ltexpo.report.list_figures import frontier_figure
from ltexpo.report.markup import Html, html, row, table
from ltexpo.report.words import below, number, percent


def frontier_part(facts: Facts) -> Html:
    """The trade-off, or how to get it."""
    points = facts.frontier
    if points is None:
        return html(
            '<p class="missing">What other tail shares would cost was not worked out. <code>ltexpo frontier</code> '
            "does.</p>"
        )
    knee = facts.frontier_facts.get("knee_row")
    knee_share = points["share"].iloc[knee] if isinstance(knee, int) and knee < len(points) else np.nan
    points = points[points["feasible"]].reset_index(drop=True)
    if len(points) < 2:
        return Html("")
    exposure = facts.rankings[Columns.Exposure].to_numpy(np.float64)
    share = float(exposure[facts.rankings[IN_TAIL].to_numpy(bool)].sum() / exposure.sum())
    chosen = (share, float(facts.certificate.get("click_loss", 0.0)))
    found = np.flatnonzero(points["share"] == knee_share)
    knee = int(found[0]) if len(found) else None
    told = ""
    if knee is not None:
        at = points.iloc[knee]
        told = (
            f" The curve bends most at a share of {percent(at['share'])}, which costs {percent(at['loss'], digits=2)}:"
            " at this knee a further point costs what it costs on average over the whole curve, beyond it more."
        )
    least = 1 - points["upper_bound"] * (1 - points["loss"]) / points["clicks"]
    return html(
        '<h3>What other shares would cost</h3><div class="alone">{figure}</div>'
        "<p>By the ranker’s scores, each point is the least that any lists under the same guardrails lose: the "
        "certificate’s bound lies {room} of the clicks below the curve, everywhere. The band is the curve’s 95% "
        "interval over users, the dot is where this run stands.{told}</p>"
        "<details><summary>The frontier as a table</summary>{table}</details>",
        figure=frontier_figure(points.assign(least=least), chosen=chosen, knee=knee), told=told,
        room=below(float((points["loss"] - least).max())), table=_points(points.assign(least=least)),
    )


def _points(points: pd.DataFrame) -> Html:
    """The frontier, one row a share; the column on the scores only where their errors are known."""
    columns = ["tail share", "loss of clicks", "at least", "95% over users", "price"]
    of_scores = bool("score_low" in points and points["score_low"].notna().any())
    rows = [
        row([
            percent(point["share"]), percent(point["loss"], digits=2), percent(point["least"], digits=2),
            _range(point["loss_low"], point["loss_high"]), number(point.get("price")),
            *([_range(point["score_low"], point["score_high"])] if of_scores else []),
        ])
        for point in points.to_dict("records")
    ]
    return table("What every tail share costs", [*columns, "95% over scores"] if of_scores else columns, rows)


def _range(low: float, high: float) -> str:
    return f"{percent(low, digits=2)} to {percent(high, digits=2)}"
