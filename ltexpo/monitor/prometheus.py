"""Named numbers with labels → the Prometheus text exposition format, version 0.0.4, as its textfile collector reads."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_NAME = re.compile(r"[^a-z0-9_]+")


class Sample(NamedTuple):
    """One number."""

    name: str
    help: str
    labels: Mapping[str, str]
    value: float


def metric_name(words: str) -> str:
    """`words` as a metric's name with the prefix of this package: "clicks per request" → ltexpo_clicks_per_request."""
    return "ltexpo_" + _NAME.sub("_", words.lower()).strip("_")


def exposition(samples: Iterable[Sample]) -> str:
    """HELP and TYPE lines and one line a sample, all of one name together; all are gauges, without timestamps."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for name, group in by_name.items():
        lines += [f"# HELP {name} {_escaped(group[0].help)}", f"# TYPE {name} gauge"]
        for sample in group:
            labels = ",".join(f'{label}="{_quoted(value)}"' for label, value in sample.labels.items())
            lines.append(f"{name}{{{labels}}} {_number(sample.value)}" if labels else f"{name} {_number(sample.value)}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))
