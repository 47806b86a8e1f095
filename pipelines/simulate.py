"""The lists of a run → an A/B test before it is run: python pipelines/simulate.py --out runs/hm"""

import sys
from pathlib import Path

from ltexpo.jobs.command import pipeline_command

if __name__ == "__main__":
    sys.exit(pipeline_command(Path(__file__).with_suffix(".yaml"), __doc__))
