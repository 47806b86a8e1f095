"""Facts → one HTML page that needs nothing but itself."""

from importlib import resources

from ltexpo import __version__
from ltexpo.report.accuracy_section import accuracy_section
from ltexpo.report.experiment_section import experiment_section
from ltexpo.report.gather import Facts
from ltexpo.report.goals_section import goals_section
from ltexpo.report.health_section import health_section
from ltexpo.report.lists_sections import exposure_section, products_section
from ltexpo.report.markup import Html, html, join
from ltexpo.report.method_section import method_section
from ltexpo.report.monitor_section import monitor_section
from ltexpo.report.settings import ReportSettings
from ltexpo.report.summary import headline, summarise, verdict


def make_page(facts: Facts, settings: ReportSettings) -> Html:
    """The whole document."""
    summary = summarise(facts, level=settings.level)
    watched = [] if facts.monitored is None else [
        ("monitor", "Real traffic, day by day", monitor_section(facts.monitored))
    ]
    sections = [
        *watched,
        ("test", "Simulated A/B test", experiment_section(facts)),
        ("exposure", "Who is seen", exposure_section(facts)),
        ("products", "Products that gained most",
         products_section(facts, n=settings.n_products, n_displaced=settings.n_displaced)),
        ("goals", "What each goal costs", goals_section(facts)),
        ("accuracy", "Offline accuracy", accuracy_section(facts)),
        ("data", "The data’s health", health_section(facts, settings)),
        ("method", "How this was computed", method_section(facts, settings)),
    ]
    return html(
        _DOCUMENT,
        title=settings.title, run=facts.name, version=__version__, style=_style(),
        verdict=verdict(facts, summary), headline=headline(facts, summary),
        links=join(html('<a href="#{key}">{name}</a>', key=key, name=name) for key, name, _ in sections),
        sections=join(
            html('<section id="{key}" aria-labelledby="{key}-name"><h2 id="{key}-name">{name}</h2>{body}</section>',
                 key=key, name=name, body=body)
            for key, name, body in sections
        ),
    )


def _style() -> Html:
    return Html(resources.files("ltexpo.report").joinpath("style.css").read_text(encoding="utf-8"))


PAGE_MARK = '<meta name="generator" content="ltexpo">'
"""What tells a page of ltexpo from anybody else's."""

# The policy is a second lock behind the escaping: even markup that slipped through could run or fetch nothing.
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="ltexpo">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<p class="kicker">ltexpo · run <bdi>{run}</bdi></p>
<h1>{title}</h1>
{verdict}
</header>
<main>
{headline}
<nav aria-label="Sections">{links}</nav>
{sections}
</main>
<footer><p>Made by ltexpo {version} from the tables of this run; every number on this page
was measured, or simulated under the assumptions that stand beside it.</p></footer>
</body>
</html>
"""
