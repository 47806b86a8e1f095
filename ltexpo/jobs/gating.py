"""What a run found → nothing, or the refusal to publish: the one place that stands between a run and the world."""

import logging
from pathlib import Path
from typing import Any

from ltexpo.config import Settings
from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.errors import GuardrailError
from ltexpo.report.breaches import HOLD, breaches, verdicts

log = logging.getLogger("ltexpo")

GATE_FILE = "gate.json"


class GateJob(Settings):
    """Which findings are looked at; a pipeline names those of the stages that it runs."""

    certificate: Path | None = None
    """certificate.json of 'ltexpo rerank': every guardrail must have been kept."""
    experiment: Path | None = None
    """experiment.json of 'ltexpo simulate': no arm's verdict may be STOP; HOLD is remarked on."""
    monitor: Path | None = None
    """monitor.json of 'ltexpo monitor': yesterday's lists must not have breached a guardrail."""
    out: Path
    """Folder to write gate.json to, when everything holds."""


def run_gate(job: GateJob) -> dict[str, Any]:
    """What was looked at; raises `GuardrailError` naming every breach, and then writes nothing."""
    inputs = {"certificate": job.certificate, "experiment": job.experiment, "monitor": job.monitor}
    with output_folder(job.out, verb="gate", inputs=inputs.values()) as folder:
        found = {name: None if path is None else read_json(path) for name, path in inputs.items()}
        against = breaches(**found)
        if against:
            raise GuardrailError(
                f"guardrail breached: nothing is published, what was published stays. {'; '.join(against)}."
            )
        looked_at = sorted(name for name, told in found.items() if told is not None)
        remarks = verdicts(found["experiment"], HOLD)
        for remark in remarks:
            log.warning("%s; it is published all the same.", remark)
        write_json({"passed": True, "looked_at": looked_at, "remarks": remarks}, folder / GATE_FILE)
    return {"passed": True, "looked at": ", ".join(looked_at) or "nothing", "remarks": "; ".join(remarks) or "none"}
