"""A fitted environment's predictions beside a later log → how far the simulation may be trusted."""

from ltexpo.report.markup import Html, html, row, table
from ltexpo.report.simulated import Simulated
from ltexpo.report.words import change, count, percent, points_to

_BY = {"all": "everything", "rank": "rank", "popularity": "tenth of the products by popularity,"}


def fidelity_part(tested: Simulated) -> Html:
    """Nothing where no later log was held back."""
    held, told = tested.fidelity, tested.facts.get("fidelity")
    if held is None or held.empty or not isinstance(told, dict):
        return Html("")
    rows = [
        row([
            line["what"], _BY.get(line["by"], line["by"]) + ("" if line["by"] == "all" else f" {count(line['group'])}"),
            percent(line["predicted"], digits=2), percent(line["actual"], digits=2),
            points_to(line["low"], line["high"], digits=2),
        ])
        for line in held.to_dict("records")
    ]
    off = float(told["clicks_off"])
    return html(
        "<p><b>How well it predicts.</b> On later events that it was not fitted on, it predicts {off} {less} clicks "
        "than there were, and {held} of its {n} intervals hold what happened; {level} would if it were right. An error "
        "that is the same for both arms cancels in their comparison; one that differs by popularity does not, as the "
        "arms show products of different popularity.</p>"
        "<details><summary>What it predicts beside what happened, by rank and popularity</summary>{table}</details>",
        off=change(abs(off)).lstrip("+"), less="fewer" if off < 0 else "more",
        held=percent(told["intervals_that_hold"], digits=0), n=count(len(held)), level=percent(told["level"], digits=0),
        table=table("Predicted and actual", ["what", "of", "predicted", "actual", "predicted − actual"], rows),
    )
