"""What is exported, and how: the settings of 'ltexpo export' beside its paths."""

import difflib
from typing import Any, Literal

from pydantic import Field, field_validator

from ltexpo.config import Settings

Format = Literal["function_score", "rank_feature", "redis", "csv", "parquet", "jsonl"]
FORMATS: tuple[Format, ...] = ("function_score", "rank_feature", "redis", "csv", "parquet", "jsonl")
BOOST_FORMATS = ("function_score", "rank_feature")
"""Of the boost table; the others are of the lists."""
_ALSO_CALLED = {
    "elasticsearch": "function_score", "opensearch": "function_score", "elastic": "function_score",
    "json": "jsonl", "ndjson": "jsonl", "valkey": "redis", "pq": "parquet",
}


class ExportSettings(Settings):
    """Which systems are served, and how their files look."""

    formats: tuple[Format, ...] = Field(("function_score", "jsonl"), min_length=1)
    """function_score and rank_feature: each product's boost, for Elasticsearch and OpenSearch; redis, csv, parquet and
    jsonl: each list, for a lookup by key."""
    key: Literal["request", "user"] = "request"
    """What lists are looked up by: request_id, or user_id, which then may own one list only."""
    details: bool = False
    """Beside each item of a list its rank, score and price (boost); false: item_ids in the order of ranks."""
    prefix: str = Field("ltexpo:", max_length=200)
    """Redis: stands before each key."""
    ttl: int | None = Field(None, ge=1)
    """Redis: seconds after which a list that was not replaced vanishes; null: it stays."""
    index: str = Field("products", pattern=r"^[a-z0-9][a-z0-9_.\-]*$", max_length=255)
    """Elasticsearch, OpenSearch: the index of the products, whose documents have item_id as _id."""
    field: str = Field("ltexpo_boost", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)
    """Elasticsearch, OpenSearch: the field that holds the boost; for rank_feature with '_feature' after it."""

    @field_validator("formats", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple):
            return names
        for name in names:
            if isinstance(name, str) and name not in FORMATS:
                close = difflib.get_close_matches(name.lower(), [*FORMATS, *_ALSO_CALLED], 1)
                near = _ALSO_CALLED.get(close[0], close[0]) if close else None
                guess = f" Did you mean '{near}'?" if near else ""
                raise ValueError(f"unknown format '{name}'.{guess} Known: {', '.join(FORMATS)}")
        return tuple(dict.fromkeys(names))
