"""The small lists of benchmarks/made_slates.py, all of whose probabilities are known, serve the tests too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
