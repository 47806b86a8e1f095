"""Facts → the sections on exposure and on the products that gained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ltexpo.columns import Columns
from ltexpo.report.changes import by_rank, by_tier, gini_change, lorenz_curves
from ltexpo.report.gainers import Displaced, Gainer, top_gainers
from ltexpo.report.gather import Facts
from ltexpo.report.list_figures import rank_figure
from ltexpo.report.lorenz_figure import lorenz_figure, lorenz_start
from ltexpo.report.markup import Html, html, join, row, table
from ltexpo.report.pictures import picture
from ltexpo.report.words import NONE, count, number, percent, plural, points

Item = Mapping[Any, Any]
"""One row of items."""
SIDE, SMALL_SIDE = 128, 80
"""Longest side in pixels of a gainer's picture and of a displaced product's."""


def exposure_section(facts: Facts) -> Html:
    """Lorenz curve, tail share by rank, and exposure by tier."""
    before, after = lorenz_curves(facts)
    start, gini = lorenz_start(before, after), gini_change(facts)
    most = 0.1 if start < 0.9 else 0.01 if start < 0.99 else 0.001
    top = [1 - float(np.interp(1 - most, curve["item_share"], curve["exposure_share"])) for curve in (before, after)]
    cut = (
        f" The axis starts at {percent(start, digits=0 if start <= 0.99 else 1)}: the products left of it hold less "
        "than 1%." if start else ""
    )
    lorenz_text = html(
        "The most-shown {most} of all products held {first} of the exposure before and hold {second} now; Gini "
        "coefficient {before} → {after}.{cut}",
        most=percent(most, digits=0 if most >= 0.01 else 1), first=percent(top[0]), second=percent(top[1]),
        before=f"{gini.before:.3f}", after=f"{gini.after:.3f}", cut=cut,
    )
    ranks = by_rank(facts)
    first_slot = ranks.iloc[0]
    rank_text = html(
        "In the first slot, {before} of lists showed a tail product before and {after} do now; in the last, {last} "
        "before and {now} now.",
        before=percent(first_slot["before"]), after=percent(first_slot["after"]),
        last=percent(ranks["before"].iloc[-1]), now=percent(ranks["after"].iloc[-1]),
    )
    rank_rows = [
        row([
            count(slot["rank"]), percent(slot["before"]), percent(slot["after"]),
            points(slot["after"] - slot["before"]),
        ])
        for slot in ranks.to_dict("records")
    ]
    return html(
        '<div class="figures">{lorenz}{by_rank}</div>{tiers}<details><summary>Tail share by rank as a table</summary>'
        "{ranks}</details>",
        lorenz=_figure("How evenly exposure is spread", lorenz_figure(
            (before, after), title="Lorenz curve of exposure before and after re-ranking"
        ), lorenz_text, diagonal=True),
        by_rank=_figure("Where in the lists the tail stands", rank_figure(ranks), rank_text),
        tiers=_tier_table(facts),
        ranks=table("Share of slots that show the tail", ["rank", "before", "after", "difference"], rank_rows),
    )


def products_section(facts: Facts, *, n: int, n_displaced: int) -> Html:
    """The products that gained most, with pictures, and whom they displaced."""
    gainers = top_gainers(facts.control, facts.rankings, n=n, n_displaced=n_displaced)
    if not gainers:
        return html('<p class="missing">No product gained exposure: the lists are the same as before.</p>')
    items = _named(facts, gainers)
    most = max(gainer.after for gainer in gainers)
    rows = [_gainer(items, gainer, most, facts.dataset.root) for gainer in gainers]
    return html(
        "<p>Exposure counts how often a product is expected to be looked at when every list is shown once. A displaced "
        "product lost its place, or a better one, to the product on its row; the number is the exposure that went from "
        "one to the other.</p>"
        '<table class="products"><caption class="hidden">Products that gained most exposure and the products they '
        'displaced</caption><thead><tr><th scope="col">product</th><th scope="col">exposure</th><th scope="col">'
        "displaced most, and exposure taken</th></tr></thead><tbody>{rows}</tbody></table>",
        rows=join(rows),
    )


def _figure(title: str, drawn: Html, text: Html, *, diagonal: bool = False) -> Html:
    equal = html('<span class="key equal">all products equal</span>') if diagonal else ""
    return html(
        '<figure><h3>{title}</h3><p class="keys"><span class="key control">before</span>'
        '<span class="key treatment">after</span>{equal}</p>{drawn}<figcaption>{text}</figcaption></figure>',
        title=title, equal=equal, drawn=drawn, text=text,
    )


def _tier_table(facts: Facts) -> Html:
    held = by_tier(facts)
    total = held["items"].sum()
    rows = [
        row([
            tier_badge(tier["tier"]), count(tier["items"]), percent(tier["items"] / total),
            f"{count(tier['shown_before'])} → {count(tier['shown_after'])}",
            percent(tier["share_before"]), percent(tier["share_after"]),
            points(tier["share_after"] - tier["share_before"]),
        ])
        for tier in held.to_dict("records")
    ]
    columns = [
        "tier", "products", "of catalogue", "shown at least once", "exposure before", "exposure after", "difference",
    ]
    return table("Exposure by tier", columns, rows)


def tier_badge(tier: str) -> Html:
    """The tier's name in a small frame."""
    return html('<span class="tier {tier}">{tier}</span>', tier=tier)


def _named(facts: Facts, gainers: list[Gainer]) -> dict[str, Item]:
    """The items, with their tier, of every product that the table shows."""
    wanted = {gainer.item_id for gainer in gainers}
    wanted |= {loser.item_id for gainer in gainers for loser in gainer.displaced}
    items = facts.dataset.items.drop(columns=Columns.Tier, errors="ignore")
    held = items[items[Columns.Item].isin(wanted)].merge(facts.tiers[[Columns.Item, Columns.Tier]], on=Columns.Item)
    return {record[Columns.Item]: record for record in held.to_dict("records")}


def _gainer(items: Mapping[str, Item], gainer: Gainer, most: float, root: Path | None) -> Html:
    item = items[gainer.item_id]
    others = gainer.displaced_products - len(gainer.displaced)
    more = html("<li class='more'>and {others} more</li>", others=count(others)) if others > 0 else ""
    displaced = join(_displaced(items[loser.item_id], loser, root) for loser in gainer.displaced)
    return html(
        '<tr><th scope="row"><div class="product">{picture}<div><bdi class="title">{title}</bdi>'
        '<p class="facts">{facts}</p><p class="facts">{tier}{price}</p></div></div></th>'
        '<td data-label="exposure"><p class="figure-pair small"><span class="before">{before}</span>'
        '<span class="arrow" aria-hidden="true">→</span><span class="after">{after}</span></p>'
        '<div class="gain" aria-hidden="true"><i style="width:{was}%"></i><b style="width:{now}%"></b></div>'
        '<p class="facts">in {lists}</p></td>'
        '<td data-label="displaced most"><ul class="displaced">{displaced}{more}</ul></td></tr>',
        picture=picture(item, root, side=SIDE), title=_title(item), facts=_maker(item),
        tier=tier_badge(item[Columns.Tier]), price=_price(item),
        before=number(gainer.before, digits=3), after=number(gainer.after, digits=3),
        was=round(100 * gainer.before / most, 1), now=round(100 * (gainer.after - gainer.before) / most, 1),
        lists=plural(gainer.lists, "list"), displaced=displaced, more=more,
    )


def _displaced(item: Item, loser: Displaced, root: Path | None) -> Html:
    return html(
        '<li>{picture}<span><bdi class="title">{title}</bdi><span class="facts">−{exposure}</span></span></li>',
        picture=picture(item, root, side=SMALL_SIDE), title=_title(item), exposure=number(loser.exposure, digits=3),
    )


def _title(item: Item) -> str:
    title = item.get(Columns.Title)
    return title if isinstance(title, str) and title.strip() else f"untitled ({item[Columns.Item]})"


def _maker(item: Item) -> Html:
    """Brand, category and seller, as far as they are known."""
    named = [(Columns.Brand, ""), (Columns.Category, ""), (Columns.Seller, "seller ")]
    parts = [f"{word}{item[column]}" for column, word in named if isinstance(item.get(column), str)]
    return join((html("<bdi>{part}</bdi>", part=part) for part in parts), " · ") if parts else Html(NONE)


def _price(item: Item) -> str:
    if Columns.Price not in item:
        return ""
    price = item[Columns.Price]
    if price is None or not np.isfinite(price):
        return " price unknown"
    return f" price {price:,.2f}" if price >= 1 else f" price {number(price)}"
