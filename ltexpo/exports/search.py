"""The boost table → what Elasticsearch and OpenSearch need to rank by score + boost: mapping, documents, query bodies.

function_score: the boost is a number field that `field_value_factor` reads and the query's own score is added to. A
function's score may not be negative (the engines refuse the request), so negative boosts are shifted, all alike.
rank_feature: the boost is a feature, which the engine need not read for documents that cannot win; it must be positive
and keeps 9 significant bits. Scores are 32-bit floats in both.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltexpo.data.files import write_json
from ltexpo.errors import ColumnError
from ltexpo.exports.boosts import BoostTable
from ltexpo.exports.bulk import load_command, write_bulk
from ltexpo.exports.result import ExportedFile
from ltexpo.exports.settings import ExportSettings

MAPPING_FILE, QUERY_FILE, SATURATION_FILE = "mapping.json", "query.json", "query_saturation.json"
YOUR_QUERY: dict[str, Any] = {"match_all": {}}
"""Stands where the query goes whose score is the one that the lists were ranked by."""
_NEAR_LINEAR = 1024
"""Pivot of a saturation, in largest features: S / (S + pivot) bends by a thousandth, and floats still tell it apart."""


def write_function_score(
    table: BoostTable, settings: ExportSettings, folder: Path
) -> tuple[list[ExportedFile], list[str]]:
    """mapping.json, boosts-*.ndjson and query.json in `folder`; what they are, and notes."""
    table.refuse_long_ids()
    stored = table.boosts + table.shift
    _refuse_overflow(stored)
    folder.mkdir()
    write_json({"properties": {settings.field: {"type": "double"}}}, folder / MAPPING_FILE)
    write_json(function_score_body(settings.field, missing=table.shift), folder / QUERY_FILE)
    count, _ = write_bulk(_rows(table, stored), settings.field, folder)
    files = _files("function_score", settings, count, "score + boost, as function_score")
    notes = ["function_score: put your query in the place of match_all; its score must be in the unit of the score "
             "that the lists were ranked by."]
    if table.shift:
        notes.append(
            f"function_score: boosts reach down to {table.boosts.min():.6g}, but a function's score may not be "
            f"negative: every document gets {table.shift:g} more, which changes no order. Load query.json with it."
        )
    return files, notes


def function_score_body(field: str, *, missing: float) -> dict[str, Any]:
    """A search body whose score is that of the query + `field`; documents without it count as `missing`."""
    factor = {"field": field, "factor": 1.0, "modifier": "none", "missing": missing}
    return {
        "query": {
            "function_score": {
                "query": YOUR_QUERY, "functions": [{"field_value_factor": factor}],
                "score_mode": "sum", "boost_mode": "sum",
            }
        }
    }


def write_rank_feature(
    table: BoostTable, settings: ExportSettings, folder: Path
) -> tuple[list[ExportedFile], list[str]]:
    """mapping.json, boosts-*.ndjson, query.json and query_saturation.json in `folder`; what they are, and notes."""
    table.refuse_long_ids()
    wanted = table.boosts + table.shift
    _refuse_overflow(wanted)
    kept = nine_bits(wanted)
    field = f"{settings.field}_feature"
    folder.mkdir()
    write_json({"properties": {field: {"type": "rank_feature"}}}, folder / MAPPING_FILE)
    write_json(rank_feature_body(field, {"linear": {}}), folder / QUERY_FILE)
    most = float(kept.max(initial=0.0))
    pivot = _NEAR_LINEAR * 2.0 ** np.ceil(np.log2(most)) if most > 0 else 1.0
    write_json(rank_feature_body(field, {"saturation": {"pivot": pivot}, "boost": pivot}), folder / SATURATION_FILE)
    count, _ = write_bulk(_rows(table, kept), field, folder)
    files = _files("rank_feature", settings, count, "score + feature, linear in the boost")
    files.append(ExportedFile(
        f"rank_feature/{SATURATION_FILE}", "rank_feature", 1,
        "query body for versions whose rank_feature lacks 'linear': within 0.1% of the largest feature of it",
        _search_command("rank_feature", SATURATION_FILE, settings.index),
    ))
    off = float(np.abs(kept - wanted).max(initial=0.0))
    notes = [f"rank_feature: features keep 9 significant bits; a boost is off by {off:.3g} at most. Where that matters "
             "use function_score."]
    if table.shift:
        notes.append(f"rank_feature: features must be positive, so every document of the catalogue has {table.shift:g} "
                     "more; documents outside it have no feature and stand as if they were boosted that much less.")
    return files, notes


def rank_feature_body(field: str, function: dict[str, Any]) -> dict[str, Any]:
    """A search body whose score is that of the query + `function` of the feature `field`."""
    return {
        "query": {"bool": {"must": [YOUR_QUERY], "should": [{"rank_feature": {"field": field, **function}}]}}
    }


def nine_bits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`values` rounded to what a feature keeps: a float32 without its last 15 bits, which the engines cut off."""
    bits = values.astype(np.float32).view(np.int32)
    rounded: npt.NDArray[np.float64] = ((bits + 0x4000) & ~0x7FFF).view(np.float32).astype(np.float64)
    # less than the least normal float is no feature
    return np.where(rounded < np.finfo(np.float32).tiny, 0.0, rounded)


def _rows(table: BoostTable, stored: npt.NDArray[np.float64]) -> Iterator[tuple[str, float | None]]:
    """Every item: what it was given before is replaced; an item without a boost has no field."""
    for item, value in zip(table.item_ids.tolist(), stored.tolist(), strict=True):
        yield item, value if value > 0 else None


def _refuse_overflow(stored: npt.NDArray[np.float64]) -> None:
    most = float(stored.max(initial=0.0))
    if most > float(np.finfo(np.float32).max) / 2:
        raise ColumnError(f"boosts: {most:.6g} is more than a search engine's 32-bit scores can hold. "
                          "Run 'ltexpo rerank' with scores of a common size.")


def _files(name: str, settings: ExportSettings, count: int, what: str) -> list[ExportedFile]:
    return [
        ExportedFile(
            f"{name}/boosts-*.ndjson", name, count,
            f"bulk updates that set every product's boost; {MAPPING_FILE} makes the field",
            load_command(name, settings.index, MAPPING_FILE),
        ),
        ExportedFile(
            f"{name}/{QUERY_FILE}", name, 1, f"query body: {what}",
            _search_command(name, QUERY_FILE, settings.index),
        ),
    ]


def _search_command(name: str, file: str, index: str) -> str:
    return (f"curl -sS -f -H 'Content-Type: application/json' -X POST \"$SEARCH_URL/{index}/_search\" "
            f"--data-binary @{name}/{file}")
