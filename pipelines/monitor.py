"""The lists of a day and what users did → alarms and prices: python pipelines/monitor.py --day 2020-09-19"""

import sys
from pathlib import Path

from ltexpo.jobs.command import pipeline_command

if __name__ == "__main__":
    sys.exit(pipeline_command(Path(__file__).with_suffix(".yaml"), __doc__))
