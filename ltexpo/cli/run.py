"""Words on a command line → one job, and the exit code that tells how it went."""

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from rich.logging import RichHandler

from ltexpo.cli.commands import app
from ltexpo.cli.saying import refuse
from ltexpo.errors import Stopped, heeding_signals, outcome


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; unless all is done (0), with one line on stderr.

    2 bad input, 3 goals that cannot be met, 4 a guardrail breached and nothing published, 130 or 143 stopped by Ctrl-C
    or SIGTERM, 1 the rest.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "-v" in words or "--verbose" in words
    log = logging.getLogger("ltexpo")
    if not log.handlers:
        log.addHandler(RichHandler(console=_stderr(), show_path=False, show_level=False, markup=False))
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        with heeding_signals():
            code = app(args=words, standalone_mode=False)
    except typer.Abort:
        code = refuse("stopped.", 1)
    except typer.TyperException as error:
        # A usage error words itself best through the method that adds the option's name and near misses.
        code = refuse(str(getattr(error, "format_message", error.__str__)()), 2)
    except (Exception, Stopped) as error:
        if verbose:
            traceback.print_exc()
        code = refuse(*outcome(error))
    sys.exit(code if isinstance(code, int) else 0)


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)
