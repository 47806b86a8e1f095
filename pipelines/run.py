"""A pipeline's YAML → a run folder: python pipelines/run.py pipelines/hm.yaml --path DATA --out runs/hm"""

import argparse
import logging
import sys
from pathlib import Path

import yaml

from ltexpo.config import read_settings
from ltexpo.errors import LtexpoError
from ltexpo.jobs.pipeline import Pipeline, run_pipeline


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pipeline", type=Path, help="YAML of the run")
    parser.add_argument("--path", type=Path, help="where the source's files lie, for the import step")
    parser.add_argument("--out", type=Path, help="run folder")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        pipeline = read_settings(Pipeline, options.pipeline, {"out": options.out, "seed": options.seed})
        if options.path is not None:
            imported = {**(pipeline.import_ or {}), "path": options.path}
            pipeline = pipeline.model_copy(update={"import_": imported})
        results = run_pipeline(pipeline, source=str(options.pipeline))
    except LtexpoError as error:
        print(f"run: {error}", file=sys.stderr)
        return error.exit_code
    for step, result in results.items():
        print(f"\n{step}\n{yaml.safe_dump(result, sort_keys=False) if isinstance(result, dict) else result}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
