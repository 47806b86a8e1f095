"""Every night, from the day's tables to published lists: python pipelines/daily.py [YAML] --day 2020-09-19 --path DATA"""

import sys
from pathlib import Path

from ltexpo.jobs.command import pipeline_command

if __name__ == "__main__":
    sys.exit(pipeline_command(Path(__file__).with_suffix(".yaml"), __doc__))
