"""Words on a pipeline script's command line → one run, its stages printed; the exit code of the command line."""

import argparse
import datetime as dt
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltexpo.config import documented_yaml, read_settings
from ltexpo.errors import GuardrailError, Stopped, heeding_signals, outcome
from ltexpo.jobs.pipeline import STAGES, Pipeline, run_pipeline


def pipeline_command(default: Path, about: str, arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline YAML that the words name, or `default`; returns 0 done, 2 bad input, 3 goals cannot be met,
    4 a guardrail is breached and nothing was published, 130 or 143 stopped by Ctrl-C or SIGTERM, 1 the rest.
    """
    options = _parser(default, about).parse_args(arguments)
    if options.settings is not None:
        from ltexpo.jobs.running.steps import STEPS  # brings the stage's libraries

        print(documented_yaml(STEPS[options.settings].model), end="")
        return 0
    log = logging.getLogger("ltexpo")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    name = Path(sys.argv[0]).stem or "run"
    given: dict[str, Any] = {key: getattr(options, key) for key in ("out", "seed", "day", "data", "previous")}
    try:
        pipeline = read_settings(Pipeline, options.pipeline, given)
        if options.path is not None:
            imported = {**(pipeline.import_ or {}), "path": options.path}
            pipeline = pipeline.model_copy(update={"import_": imported})
        with heeding_signals():
            run = run_pipeline(pipeline, source=str(options.pipeline), force=_forced(options.force), tell=_tell)
    except Stopped as stop:
        print(f"{name}: stopped; run again to go on from there.", file=sys.stderr)
        return stop.exit_code
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        message, code = outcome(error)
        if isinstance(error, GuardrailError) and (page := pipeline.out / "report.html").exists():
            message += f" See {page}."
        print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
        return code
    print(f"\n{run}")
    return 0


def _parser(default: Path, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("pipeline", type=Path, nargs="?", default=default,
                        help=f"YAML of the run; by default {default.name}")
    parser.add_argument("--out", type=Path, help="run folder")
    parser.add_argument("--path", help="where the source's files lie, for the import stage; or an address (s3://…)")
    parser.add_argument("--data", type=Path, help="dataset folder, where nothing is imported")
    parser.add_argument("--day", type=dt.date.fromisoformat, help="the day whose lists are made, as 2020-09-19")
    parser.add_argument("--previous", help="run folder of an earlier day, or 'latest'")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--force", nargs="*", metavar="STAGE", choices=STAGES,
                        help="run these stages all the same; without a name, all")
    parser.add_argument("--settings", metavar="STAGE", choices=STAGES,
                        help="print the settings of a stage, with what each means, and end")
    parser.add_argument("-v", "--verbose", action="store_true", help="log every step; show the trace of an error")
    return parser


def _forced(named: list[str] | None) -> bool | list[str]:
    return False if named is None else named or True


def _tell(stage: str, summary: str) -> None:
    print(f"\n{stage}\n{summary}", flush=True)
