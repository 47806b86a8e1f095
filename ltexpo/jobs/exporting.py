"""Folder of 'ltexpo rerank' → what search engines and lookups load, and export.json, which says how."""

from pathlib import Path

import pyarrow as pa

from ltexpo.columns import Columns
from ltexpo.data.dataset import ITEMS_FILE, table_place
from ltexpo.data.files import read_json, write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.schema import ITEMS, read_table
from ltexpo.data.tables import read_frame
from ltexpo.errors import GuardrailError, TableError
from ltexpo.exports import (
    BOOST_FORMATS,
    BoostTable,
    ExportedFile,
    ExportResult,
    ExportSettings,
    export_boosts,
    export_lists,
)
from ltexpo.jobs.job import trained_until
from ltexpo.jobs.reranking import BOOSTS_FILE, CERTIFICATE_FILE, RANKINGS_FILE
from ltexpo.progress import logged

EXPORT_FILE = "export.json"


class ExportJob(ExportSettings):
    """Settings of 'ltexpo export'."""

    data: Path
    """Dataset folder: products that no goal moves get their boost taken back."""
    rankings: Path
    """Folder that 'ltexpo rerank' wrote."""
    out: Path
    """Folder to write export.json and the files of each format to."""


def run_export(job: ExportJob) -> ExportResult:
    """Write every format, all or nothing."""
    with output_folder(job.out, verb="export", inputs=(job.data, job.rankings)) as folder:
        certificate = _certificate(job.rankings)
        items = read_table(table_place(job.data, ITEMS_FILE) or job.data / ITEMS_FILE, ITEMS).frame[Columns.Item]
        files: list[ExportedFile] = []
        notes: list[str] = []
        if any(name in BOOST_FORMATS for name in job.formats):
            source = job.rankings / BOOSTS_FILE
            with logged("boosts"):
                files, notes = export_boosts(BoostTable.of(read_frame(source), items, where=str(source)), job, folder)
            notes += _not_in_a_boost(certificate)
        with logged("lists"):
            made, said = export_lists(job.rankings / RANKINGS_FILE, pa.array(items, pa.large_string()), job, folder)
        result = ExportResult((*files, *made), (*notes, *said), {
            "key": job.key, "trained_until": trained_until(job.rankings / RANKINGS_FILE),
            "requests": certificate.get("requests"), "k": certificate.get("k"),
        })
        write_json(result.to_dict(), folder / EXPORT_FILE)
    return result


def _certificate(folder: Path) -> dict[str, object]:
    """What 'rerank' said of its lists; raises `TableError` where it did not write them, and `GuardrailError`."""
    for name in (CERTIFICATE_FILE, RANKINGS_FILE, BOOSTS_FILE):
        if not (folder / name).exists():
            raise TableError(f"--rankings {folder}: holds no {name}, so 'ltexpo rerank' did not write it. Give the "
                             "folder that it wrote.")
    certificate = read_json(folder / CERTIFICATE_FILE)
    if not isinstance(certificate, dict) or "goals" not in certificate:
        raise TableError(f"{folder / CERTIFICATE_FILE}: is no certificate of 'ltexpo rerank'. Run it again.")
    for rail in certificate.get("guardrails", []):
        if rail.get("kept") is False:
            raise GuardrailError(
                f"{folder}: guardrail {rail['kind']} is not kept ({rail['value']} is allowed, these lists have "
                f"{rail.get('achieved')}), so nothing is exported. Ease the goals or the guardrail and rank again."
            )
    return certificate


def _not_in_a_boost(certificate: dict[str, object]) -> list[str]:
    """Guardrails that hold within one list, and so are in no boost."""
    rails = certificate.get("guardrails")
    kinds = [str(rail["kind"]) for rail in rails if isinstance(rail, dict)] if isinstance(rails, list) else []
    kept = [kind for kind in kinds if kind != "max_click_loss"]
    if not kept:
        return []
    return [f"Boosts alone do not keep what the re-ranker keeps list by list: {', '.join(kept)}. Serve the lists, or "
            "rank without these guardrails where boosts are to meet the goals by themselves."]
