"""Every metric of a simulated test → what it is, in a line: for settings, tables and pages alike."""

from collections.abc import Mapping
from typing import Final

from ltexpo.simulate.item_readings import ITEM_METRICS
from ltexpo.simulate.readings import METRICS

DEFINITIONS: Final[Mapping[str, str]] = {name: metric.meaning for name, metric in METRICS.items()} | ITEM_METRICS
"""Those that can be the primary metric or a guardrail, then those of all items together."""
