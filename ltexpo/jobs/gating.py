"""What a run found → nothing, or the refusal to publish: the one place that stands between a run and the world."""

from pathlib import Path
from typing import Any

from ltexpo.config import Settings
from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.errors import GuardrailError

GATE_FILE = "gate.json"


class GateJob(Settings):
    """Which findings are looked at; a pipeline names those of the stages that it runs."""

    certificate: Path | None = None
    """certificate.json of 'ltexpo rerank': every guardrail must have been kept."""
    experiment: Path | None = None
    """experiment.json of 'ltexpo simulate': no arm's verdict may be STOP."""
    monitor: Path | None = None
    """monitor.json of 'ltexpo monitor': yesterday's lists must not have breached a guardrail."""
    out: Path
    """Folder to write gate.json to, when everything holds."""


def run_gate(job: GateJob) -> dict[str, Any]:
    """What was looked at; raises `GuardrailError` naming every breach, and then writes nothing."""
    inputs = (job.certificate, job.experiment, job.monitor)
    breaches: list[str] = []
    with output_folder(job.out, verb="gate", inputs=inputs) as folder:
        if job.certificate is not None:
            breaches += _of_certificate(read_json(job.certificate))
        if job.experiment is not None:
            breaches += _of_experiment(read_json(job.experiment))
        if job.monitor is not None:
            breaches += _of_monitor(read_json(job.monitor))
        if breaches:
            raise GuardrailError(
                f"guardrail breached: nothing is published, what was published stays. {'; '.join(breaches)}."
            )
        looked_at = {
            name: str(path) for name, path in zip(("certificate", "experiment", "monitor"), inputs, strict=True)
            if path is not None
        }
        write_json({"passed": True, "looked_at": sorted(looked_at)}, folder / GATE_FILE)
    return {"passed": True, "looked at": ", ".join(sorted(looked_at)) or "nothing"}


def _of_certificate(told: dict[str, Any]) -> list[str]:
    return [
        f"the lists break '{rail['kind']}' ({rail.get('achieved')} where {rail.get('value')} is allowed)"
        for rail in told["guardrails"] if rail.get("kept") is False
    ]


def _of_experiment(told: dict[str, Any]) -> list[str]:
    return [
        f"the simulation says STOP for '{arm}' ({verdict.get('reason', 'see experiment.json')})"
        for arm, verdict in told["verdicts"].items() if verdict["decision"] == "STOP"
    ]


def _of_monitor(told: dict[str, Any]) -> list[str]:
    if not told["breached"]:
        return []
    named = sorted({str(alarm["kind"]) for alarm in told["alarms"]})
    return [f"the monitor says breached for {told['day']} ({', '.join(named) or 'no alarm'})"]
