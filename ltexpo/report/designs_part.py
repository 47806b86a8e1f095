"""Item-side designs → what a test that treats products instead of users would say of the boost, beside the truth."""

from ltexpo.report.markup import Html, html, row, table
from ltexpo.report.simulated import Simulated
from ltexpo.report.words import NONE, number, percent


def designs_part(tested: Simulated) -> Html:
    """Nothing where none was simulated."""
    held = tested.designs
    if held is None or held.empty:
        return Html("")
    rows = [
        row([
            line["design"], line["outcome"], number(line["estimate"]),
            f"{number(line['low'])} to {number(line['high'])}", number(line["total"]), _factor(line["factor"]),
            "yes" if line["low"] <= line["total"] <= line["high"] else "no",
        ])
        for line in held.to_dict("records")
    ]
    return html(
        "<h3>If products were split instead of users</h3><p>Boosted products take slots from one another, so a test "
        "that boosts only some of them does not see what boosting all does. Each design’s estimate for a boosted "
        "product stands beside the total effect, which the simulation knows.</p>{table}",
        table=table("Designs that treat products",
                    ["design", "outcome", "estimate", f"{percent(tested.level, digits=0)} interval", "total effect",
                     "factor", "interval holds it"], rows),
    )


def _factor(factor: float) -> str:
    return NONE if factor != factor else f"{factor:.2f}×"
