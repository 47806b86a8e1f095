"""Facts → the section on how everything was computed: words, settings, seeds, versions."""

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from ltexpo import __version__
from ltexpo.columns import Columns
from ltexpo.report.gather import Facts
from ltexpo.report.markup import Html, html, join, pairs
from ltexpo.report.settings import ReportSettings
from ltexpo.report.words import percent, scalar

_WORDS = (
    ("exposure", "of a product or a group: the sum of the attention of every slot it is shown in."),
    ("attention", "the probability that a slot is looked at; it falls with the rank in the list."),
    ("head, tail, new", "{tail}."),
    ("score", "the probability that a user who looks at the product clicks on it, as the maker of the candidates "
     "calibrated it; without impressions, that the user takes it."),
    ("price", "of a goal: what one more unit of its exposure costs in expected clicks."),
    ("boost", "of a product: the prices of its goals together, which its score is raised by."),
    ("before, control", "the plain best k of the same candidates, by score."),
    ("after, treatment", "the same candidates, re-ranked."),
    ("expected clicks", "the sum of attention × score over a list’s slots."),
    ("coverage", "how many products of the catalogue stand in at least one list."),
    ("sellers with half a fair share", "sellers who get at least half of the exposure that their share of the products "
     "would give them, among all."),
    ("day-7 retention", "the share of a user’s active days after which the user was active again 7 days later."),
    ("Lorenz curve, Gini", "how unequally exposure is spread over the full catalogue; a Gini of 0 is equal, near 1 is "
     "all on one product."),
    ("interval", "made so that, over many draws of such users, {level} of them hold the true value; users are the "
     "independent units, and before and after are compared user by user."),
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
        ("Evaluation", facts.evaluation_facts),
        ("Simulated A/B test", facts.experiment.facts if facts.experiment else {}),
    ]
    recorded = join(
        html('<h3>{name}</h3><dl class="pairs">{held}</dl>', name=name, held=pairs(_flat(figures)))
        for name, figures in stages if figures
    )
    return html(
        '<dl class="pairs words">{words}</dl><details><summary>Settings and figures on record, by stage</summary>'
        '{recorded}</details><h3>Versions</h3><dl class="pairs">{versions}</dl>',
        words=pairs(words), recorded=recorded or html("<p>None were recorded.</p>"), versions=pairs(versions),
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
                yield label, ", ".join(scalar(entry) for entry in value)
        else:
            yield label, scalar(value)
