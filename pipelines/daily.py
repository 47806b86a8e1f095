"""The day's tables → published lists, every night: python pipelines/daily.py --day 2020-09-19 --path DATA"""

import sys
from pathlib import Path

from ltexpo.jobs.command import pipeline_command

if __name__ == "__main__":
    sys.exit(pipeline_command(Path(__file__).with_suffix(".yaml"), __doc__))
