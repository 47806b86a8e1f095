"""A run folder → one self-contained HTML page that a product manager and a search engineer read together."""

from ltexpo.report.settings import ReportSettings
from ltexpo.report.write import write_report

__all__ = ["ReportSettings", "write_report"]
