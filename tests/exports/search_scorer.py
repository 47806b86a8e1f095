"""A search body + documents → scores, as the engines' documentation words them; only what our bodies use.

Scores are 32-bit floats. A function's score below zero refuses the request, as does a field without a value where no
`missing` is given; a feature keeps 9 significant bits (the rest is cut off) and must be a positive normal float.
"""

from typing import Any

import numpy as np

Documents = dict[str, dict[str, Any]]


def apply_bulk(lines: str, documents: Documents) -> int:
    """Carry out bulk updates; returns how many named no document."""
    import json

    pairs = iter(lines.splitlines())
    unknown = 0
    for action in pairs:
        (verb, target), = json.loads(action).items()
        assert verb == "update" and set(target) == {"_id"}
        body = json.loads(next(pairs))
        assert set(body) == {"doc"}
        if target["_id"] in documents:
            documents[target["_id"]] |= body["doc"]
        else:
            unknown += 1
    return unknown


def search(body: dict[str, Any], documents: Documents, mapping: dict[str, Any]) -> dict[str, np.float32]:
    """_id → score of every document that matches."""
    assert set(body) == {"query"}
    found = {}
    for name, source in documents.items():
        score = _score(body["query"], source, mapping["properties"])
        if score is not None:
            found[name] = score
    return found


def _score(query: dict[str, Any], source: dict[str, Any], fields: dict[str, Any]) -> np.float32 | None:
    (kind, told), = query.items()
    if kind == "match_all":
        return np.float32(1)
    if kind == "function_score":
        return _function_score(told, source, fields)
    if kind == "bool":
        assert set(told) <= {"must", "should"}
        musts = [_score(part, source, fields) for part in told["must"]]
        if any(part is None for part in musts):
            return None
        shoulds = [_score(part, source, fields) for part in told.get("should", [])]
        return np.float32(sum(float(part) for part in [*musts, *shoulds] if part is not None))
    if kind == "rank_feature":
        return _rank_feature(told, source, fields)
    raise AssertionError(f"unknown query {kind}")


def _function_score(told: dict[str, Any], source: dict[str, Any], fields: dict[str, Any]) -> np.float32 | None:
    assert set(told) <= {"query", "functions", "score_mode", "boost_mode"}
    inner = _score(told["query"], source, fields)
    if inner is None:
        return None
    assert told["score_mode"] == "sum"
    function = 0.0
    for one in told["functions"]:
        (kind, factor), = one.items()
        assert kind == "field_value_factor" and set(factor) <= {"field", "factor", "modifier", "missing"}
        assert fields[factor["field"]]["type"] in ("double", "float")
        value = source.get(factor["field"])
        if value is None:
            value = factor["missing"]
        assert factor.get("modifier", "none") == "none"
        made = value * factor.get("factor", 1.0)
        if made < 0:
            raise ValueError("field value function must not produce negative scores")
        function += made
    return np.float32(function) if told["boost_mode"] == "replace" else np.float32(float(inner) + function)


def _rank_feature(told: dict[str, Any], source: dict[str, Any], fields: dict[str, Any]) -> np.float32 | None:
    assert fields[told["field"]] == {"type": "rank_feature"}
    assert set(told) <= {"field", "boost", "linear", "saturation"}
    value = source.get(told["field"])
    if value is None:
        return None
    feature = np.float32(value)
    if not np.isfinite(feature) or feature < np.finfo(np.float32).tiny:
        raise ValueError("a feature must be a positive normal float")
    kept = (feature.view(np.int32) >> 15 << 15).view(np.float32)
    boost = np.float32(told.get("boost", 1.0))
    if "linear" in told:
        assert told["linear"] == {}
        return boost * kept
    pivot = np.float32(told["saturation"]["pivot"])
    return boost * (np.float32(1) - pivot / (kept + pivot))
