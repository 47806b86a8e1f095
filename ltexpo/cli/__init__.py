"""Words on a command line → one job; its result printed, or one line that says what to change."""

from ltexpo.cli.commands import JOBS, app
from ltexpo.cli.run import main

__all__ = ["JOBS", "app", "main"]
