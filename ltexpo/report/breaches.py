"""Certificate, simulation and monitor → what stands against publishing: the gate refuses it, the page opens with it."""

from collections.abc import Mapping
from typing import Any

STOP, HOLD = "STOP", "HOLD"
_BREAKS = "clicks"
"""The monitor's kind of alarms that break a guardrail."""


def breaches(
    certificate: Mapping[str, Any] | None, experiment: Mapping[str, Any] | None, monitor: Mapping[str, Any] | None
) -> list[str]:
    """A clause for each guardrail of certificate.json that is not kept, each arm of experiment.json whose verdict is
    STOP, and a monitor.json that says breached; None: not looked at."""
    found = [
        f"the lists break '{rail['kind']}' ({rail.get('achieved')} where {rail.get('value')} is allowed)"
        for rail in (certificate or {}).get("guardrails") or [] if rail.get("kept") is False
    ]
    found += verdicts(experiment, STOP)
    if monitor is not None and monitor.get("breached"):
        named = [str(alarm["words"]) for alarm in monitor["alarms"] if alarm["kind"] == _BREAKS]
        found.append(f"the monitor says so of {monitor['day']} ({'; '.join(named) or 'a breach that stands'})")
    return found


def verdicts(experiment: Mapping[str, Any] | None, decision: str) -> list[str]:
    """A clause for each arm whose verdict is `decision`."""
    return [
        f"the simulation says {decision} for '{arm}' ({verdict.get('reason', 'see experiment.json')})"
        for arm, verdict in ((experiment or {}).get("verdicts") or {}).items() if verdict["decision"] == decision
    ]
