"""Events and catalogue → a trained model: python pipelines/train.py --path DATA --out runs/train"""

import sys
from pathlib import Path

from ltexpo.jobs.command import pipeline_command

if __name__ == "__main__":
    sys.exit(pipeline_command(Path(__file__).with_suffix(".yaml"), __doc__))
