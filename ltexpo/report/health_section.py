"""Facts → the section on the data's health: sizes, times, tiers, gaps, pictures, and what does not agree."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ltexpo.columns import Columns
from ltexpo.data.images import ImageReport, check_images
from ltexpo.data.tail import tier_summary
from ltexpo.report.changes import tail_share
from ltexpo.report.gather import Facts
from ltexpo.report.lists_sections import tier_badge
from ltexpo.report.markup import Html, html, join, pairs, row, table
from ltexpo.report.settings import ReportSettings
from ltexpo.report.words import NONE, count, percent, plural, scalar


def health_section(facts: Facts, settings: ReportSettings) -> Html:
    """Sizes, times, tiers, gaps, pictures, and what was tolerated or left out."""
    told = facts.described
    items = facts.dataset.items
    events = told.get("events") or {}
    size = [
        ("source", told.get("source") or "not recorded"),
        ("products", count(len(items))),
        ("events", ", ".join(f"{plural(n, kind)}" for kind, n in events.items()) or "none"),
        ("users with events", count(told["users"]) if "users" in told else NONE),
        ("time range", f"{_day(told['from'])} to {_day(told['to'])}" if "from" in told else NONE),
        ("training until", _moment(facts.trained_until)),
        ("lists", f"{count(facts.rankings[Columns.Request].nunique())} of up to {facts.rankings[Columns.Rank].max()}"),
        ("tail", str(facts.tail)),
    ]
    tiers = [
        row([
            tier_badge(tier["tier"]), count(tier["items"]), percent(tier["item_share"]), count(tier["interactions"]),
            percent(tier["interaction_share"]),
        ])
        for tier in tier_summary(facts.tiers).to_dict("records")
    ]
    return html(
        '<dl class="pairs">{size}</dl>{tiers}{missing}<h3>Pictures</h3>{pictures}<h3>Tolerated and left out</h3>'
        "{notes}<h3>Checks</h3>{checks}",
        size=pairs(size),
        tiers=table(
            "Tiers by training interactions", ["tier", "products", "of catalogue", "interactions", "of interactions"],
            tiers,
        ),
        missing=_missing(items),
        pictures=_pictures(facts, settings.n_pictures_checked),
        notes=_notes(told),
        checks=_checks(facts, settings),
    )


def _missing(items: pd.DataFrame) -> Html:
    gaps = [(column, int(items[column].isna().sum())) for column in items.columns]
    rows = [
        row([column, count(gap), percent(gap / len(items))]) for column, gap in gaps if gap
    ]
    named = (Columns.Description, Columns.Brand, Columns.Category, Columns.Seller, Columns.Price, Columns.Image,
             Columns.CreatedAt)
    absent = [column for column in named if column not in items.columns]
    without = html("<p>Not in the catalogue at all: {absent}.</p>", absent=", ".join(absent)) if absent else ""
    if not rows:
        return html("<p>No product lacks a value in any column that the catalogue has.</p>{without}", without=without)
    return html(
        "{table}{without}", without=without,
        table=table("Products without a value, by column", ["column", "products", "of catalogue"], rows),
    )


def _pictures(facts: Facts, n_decoded: int) -> Html:
    items, root = facts.dataset.items, facts.dataset.root
    if Columns.Image not in items.columns:
        return html("<p>The catalogue names no pictures.</p>")
    there = check_images(items, root, decode=False)
    given = items[items[Columns.Image].notna()]
    every = max(1, -(-len(given) // n_decoded)) if n_decoded else 0
    tried = given.iloc[::every] if every else given.iloc[:0]
    decoded = check_images(tried, root) if len(tried) else None
    found = f"{count(there.ok)} of {plural(there.total, 'product')} ({percent(there.ok / there.total)}) have a picture."
    bad = [(there.absent, "name none"), (there.missing, "name a file that is not there"),
           (there.outside, "name a file outside the data folder")]
    told = ", ".join(f"{count(n)} {what}" for n, what in bad if n)
    return html(
        "<p>{found} {told}{unreadable}</p>",
        found=found, told=f"Of the others, {told}. " if told else "", unreadable=_unreadable(decoded, there),
    )


def _unreadable(decoded: ImageReport | None, there: ImageReport) -> str:
    if decoded is None:
        return "None was opened to see whether it can be read."
    tried = decoded.ok + decoded.unreadable
    which = "Each was opened" if tried >= there.ok else f"{count(tried)}, evenly over the catalogue, were opened"
    if not decoded.unreadable:
        return f"{which}, and all can be read."
    example = decoded.examples.get("unreadable")
    return f"{which}; {count(decoded.unreadable)} cannot be read, the first of them that of product {example}."


def _notes(told: Mapping[str, Any]) -> Html:
    lines = [(f"left out: {reason}", n) for reason, n in (told.get("left_out") or {}).items()]
    lines += [(f"tolerated: {reason}", n) for reason, n in (told.get("tolerated") or {}).items()]
    if not lines:
        return html("<p>Nothing was left out and nothing had to be tolerated.</p>")
    return html("<ul>{lines}</ul>", lines=join(
        html("<li>{what}: {n}</li>", what=what.replace("_", " "), n=scalar(n)) for what, n in lines
    ))


def _checks(facts: Facts, settings: ReportSettings) -> Html:
    """What this page worked out again, against what the certificate says."""
    certificate = facts.certificate
    lines = []
    if "tail" in certificate:
        same = certificate["tail"] == str(facts.tail)
        lines.append((same, "the tail is defined as it was when the lists were re-ranked"
                      if same else f"the lists were re-ranked with another tail: {certificate['tail']}"))
    goal = next((g for g in certificate.get("goals") or [] if g.get("group") == "tail"), None)
    if goal is not None and isinstance(goal.get("achieved"), float):
        again = tail_share(facts, level=settings.level).after
        same = abs(goal["achieved"] - again) < 1e-6
        lines.append((same, f"the tail share worked out from the lists ({percent(again, digits=2)}) "
                      + ("is the certificate’s" if same else f"is not the certificate’s "
                         f"({percent(goal['achieved'], digits=2)})")))
    shorter = _shorter(facts)
    lines.append((shorter == 0, "every list is as long after as before" if shorter == 0 else
                  f"{plural(shorter, 'list')} changed their length, which moves exposure by itself"))
    return html('<ul class="checks">{lines}</ul>', lines=join(
        html('<li class="{state}"><b>{word}</b> {text}</li>', state="agrees" if same else "differs",
             word="Agrees:" if same else "Differs:", text=text)
        for same, text in lines
    ))


def _shorter(facts: Facts) -> int:
    before, after = (lists.groupby(Columns.Request).size() for lists in (facts.control, facts.rankings))
    return int((before != after.reindex(before.index)).sum())


def _day(moment: str) -> str:
    return str(moment)[:10]


def _moment(moment: pd.Timestamp | None) -> str:
    return "not recorded: tiers count all events" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
