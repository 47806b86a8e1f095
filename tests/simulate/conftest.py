"""What benchmarks/ makes with all of it known (small lists, visits) serves the tests too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
