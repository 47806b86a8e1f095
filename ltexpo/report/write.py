"""Run folder → report.html."""

from pathlib import Path

from ltexpo.data.tables import write_text
from ltexpo.report.gather import gather
from ltexpo.report.page import make_page
from ltexpo.report.settings import ReportSettings


def write_report(run: Path, out: Path, settings: ReportSettings | None = None) -> Path:
    """One self-contained HTML page about the run folder `run`, at `out`; returns `out`.

    `run` goes before `settings.run`. The same run gives the same bytes. Raises `TableError` when the run holds no
    rankings, and `ColumnError` or `TableError` when one of its tables is broken; stages that were not run are named
    on the page.
    """
    chosen = settings or ReportSettings(run=run)
    facts = gather(run, data=chosen.data, tail=chosen.tail)
    return write_text(make_page(facts, chosen), out)
