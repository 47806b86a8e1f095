"""Facts → ten boosts explained: goal, price paid, product displaced, clicks given up."""

from typing import Any

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.report.gather import Facts
from ltexpo.report.goal_words import goal_key, goal_name
from ltexpo.report.markup import Html, html, join
from ltexpo.report.words import NONE, count, number, plural

N_BOOSTS = 10


def boosts_part(facts: Facts) -> Html:
    """The dearest promotions, one a product."""
    promotions = facts.promotions
    if promotions is None or promotions.empty:
        return Html("")
    dear = promotions.sort_values(["clicks_given_up", Columns.Item], ascending=[False, True])
    dear = dear.drop_duplicates(Columns.Item).head(N_BOOSTS)
    titles = facts.dataset.items.set_index(Columns.Item)[Columns.Title]
    named = {goal_key(goal): goal_name(goal) for goal in facts.certificate.get("goals") or []}
    rows = join(
        html(
            '<tr><th scope="row">{promoted}</th><td data-label="rank">{ranks}</td>'
            '<td data-label="in place of">{displaced}</td><td data-label="goal">{goal}</td>'
            '<td data-label="price paid">{price}</td><td data-label="clicks given up">{given_up}</td></tr>',
            promoted=_title(titles, boost[Columns.Item]),
            ranks=f"{NONE if pd.isna(boost['rank_before']) else count(boost['rank_before'])} → "
                  f"{count(boost[Columns.Rank])}",
            displaced=_title(titles, boost["displaced"]), goal=named.get(boost["goal"], boost["goal"]),
            price=number(boost[Columns.Price]), given_up=number(boost["clicks_given_up"]),
        )
        for boost in dear.to_dict("records")
    )
    shown = "These are the dearest, one a product" if len(dear) < len(promotions) else "These are all"
    return html(
        "<h3>Boosts explained</h3><p>{n} made in all. {shown}: the goal that a product was promoted for, the price "
        "paid (added to its score), whose slot it took, and the expected clicks that this slot gave up.</p>"
        '<table class="boosts"><caption class="hidden">Boosts explained</caption><thead><tr><th scope="col">promoted'
        '</th><th scope="col">rank</th><th scope="col">in place of</th><th scope="col">goal</th><th scope="col">price '
        'paid</th><th scope="col">clicks given up</th></tr></thead><tbody>{rows}</tbody></table>',
        n=f"{plural(len(promotions), 'promotion')} {'was' if len(promotions) == 1 else 'were'}", shown=shown, rows=rows,
    )


def _title(titles: "pd.Series[Any]", item_id: object) -> str:
    if pd.isna(item_id):  # type: ignore[call-overload]
        return NONE
    title = titles.get(item_id)
    return str(item_id) if not isinstance(title, str) or not title else title
