"""Facts → the sections on offline accuracy, on the data's health, and on how everything was computed."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from ltexpo import __version__
from ltexpo.columns import Columns
from ltexpo.data.images import ImageReport, check_images
from ltexpo.data.tail import tier_summary
from ltexpo.report.changes import tail_share
from ltexpo.report.gather import Facts
from ltexpo.report.lists_sections import tier_badge
from ltexpo.report.markup import Html, html, join, row, table
from ltexpo.report.settings import ReportSettings
from ltexpo.report.words import NONE, count, percent, plural, setting, signed

_FIRST = ("recall", "ndcg")
"""Accuracy metrics that stand in the open."""
_ACCURACY = (*_FIRST, "map", "mrr", "hit", "precision")
_WORDS = (
    ("exposure", "of a product or a group: the sum of the attention of every slot it is shown in."),
    ("attention", "the probability that a slot is looked at; it falls with the rank in the list."),
    ("head, tail, new", "{tail}."),
    ("score", "the ranker’s probability that a user who looks at the product clicks on it."),
    ("price", "what one row’s score was raised by; it is what a unit of the goal’s exposure costs in expected clicks."),
    ("before, control", "the plain best k of the same candidates, by score."),
    ("after, treatment", "the same candidates, re-ranked."),
    ("expected clicks", "the sum of attention × score over a list’s slots."),
    ("coverage", "how many products of the catalogue stand in at least one list."),
    ("Lorenz curve, Gini", "how unequally exposure is spread over the full catalogue; a Gini of 0 is equal, near 1 is "
     "all on one product."),
    ("interval", "made so that, over many draws of such users, {level} of them hold the true value; users are the "
     "independent units, and before and after are compared user by user."),
)


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
        size=_pairs(size),
        tiers=table(
            "Tiers by training interactions", ["tier", "products", "of catalogue", "interactions", "of interactions"],
            tiers,
        ),
        missing=_missing(items),
        pictures=_pictures(facts, settings.n_pictures_checked),
        notes=_notes(told),
        checks=_checks(facts, settings),
    )


def method_section(facts: Facts, settings: ReportSettings) -> Html:
    """Definitions, then every setting, seed and version that is on record."""
    words = [
        (word, text.format(tail=facts.tail, level=percent(settings.level, digits=0))) for word, text in _WORDS
    ]
    versions = [("ltexpo", __version__), ("Python", platform.python_version())]
    versions += [(package, metadata.version(package)) for package in ("numpy", "pandas", "pyarrow", "scipy")]
    stages = [
        ("Candidates", facts.candidates_facts), ("Re-ranking (certificate)", facts.certificate),
        ("Evaluation", facts.evaluation_facts), ("Simulated A/B test", facts.experiment_facts),
    ]
    recorded = join(
        html('<h3>{name}</h3><dl class="pairs">{pairs}</dl>', name=name, pairs=_pairs(_flat(held)))
        for name, held in stages if held
    )
    return html(
        '<dl class="pairs words">{words}</dl><details><summary>Settings and figures on record, by stage</summary>'
        '{recorded}</details><h3>Versions</h3><dl class="pairs">{versions}</dl>',
        words=_pairs(words), recorded=recorded or html("<p>None were recorded.</p>"), versions=_pairs(versions),
    )


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
        html("<li>{what}: {n}</li>", what=what.replace("_", " "), n=_scalar(n)) for what, n in lines
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


def _pairs(pairs: Iterable[tuple[str, object]]) -> Html:
    return join(
        html("<div><dt>{name}</dt><dd>{value}</dd></div>", name=name, value=value) for name, value in pairs
    )


def _flat(held: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every single figure or word of nested settings; tables and whatever names users or requests are skipped."""
    for name, value in held.items():
        label = f"{prefix}{name}".replace("_", " ")
        if name in (Columns.User, Columns.Request, "metrics"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{label} · ")
        elif isinstance(value, list):
            if all(isinstance(entry, Mapping) for entry in value):
                for position, entry in enumerate(value[:12], start=1):
                    yield from _flat(entry, f"{label} {position} · ")
            elif len(value) <= 24 and all(isinstance(entry, int | float | str) for entry in value):
                yield label, ", ".join(_scalar(entry) for entry in value)
        else:
            yield label, _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return setting(float(f"{value:.6g}"))
    return NONE if value is None else str(value)


def _day(moment: str) -> str:
    return str(moment)[:10]


def _moment(moment: pd.Timestamp | None) -> str:
    return "not recorded: tiers count all events" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
