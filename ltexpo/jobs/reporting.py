"""Run folder → one self-contained HTML page."""

from pathlib import Path

from ltexpo.report import ReportSettings, write_report


class ReportJob(ReportSettings):
    """Settings of 'ltexpo report'."""

    out: Path
    """HTML file to write."""


def run_report(job: ReportJob) -> Path:
    """Write the page and return its path."""
    return write_report(job.run, job.out, job)
