"""Run folder → report.html."""

from pathlib import Path

from ltexpo.data.files import write_text
from ltexpo.errors import OutputError
from ltexpo.report.gather import gather
from ltexpo.report.page import PAGE_MARK, make_page
from ltexpo.report.settings import ReportSettings


def write_report(run: Path, out: Path, settings: ReportSettings | None = None) -> Path:
    """One self-contained HTML page about the run folder `run`, at `out`; returns `out`.

    `run` goes before `settings.run`. The same run gives the same bytes. Raises `TableError` when the run holds no
    rankings, `ColumnError` or `TableError` when one of its tables is broken, and
    `OutputError` when `out` is anything but a new page or an earlier report; stages that were not run are named
    on the page.
    """
    _refuse_other_files(out)
    chosen = settings or ReportSettings(run=run)
    facts = gather(run, data=chosen.data, tail=chosen.tail)
    return write_text(make_page(facts, chosen), out)


def _refuse_other_files(out: Path) -> None:
    """Raise `OutputError` unless `out` is a new page or an earlier one of ltexpo."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"--out {out}: is not an .html file. Give one.")
    if out.is_dir():
        raise OutputError(f"--out {out}: is a folder. Give an .html file.")
    if out.exists() and PAGE_MARK not in out.read_text(encoding="utf-8", errors="replace"):
        raise OutputError(f"--out {out}: is a page that ltexpo did not write. Give another file.")
