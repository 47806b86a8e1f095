"""Item → value → bulk update requests (NDJSON) in files that a search engine takes whole."""

import json
from collections.abc import Iterable
from pathlib import Path

PART_BYTES = 10_000_000
"""A bulk request may hold 100 MB by default; some 10 MB load fastest."""


def write_bulk(
    rows: Iterable[tuple[str, float | None]], field: str, folder: Path, *, part_bytes: int = PART_BYTES
) -> tuple[int, int]:
    """Write boosts-00000.ndjson and so on; returns rows and parts.

    Each row is an update of `field` alone in the document whose _id is the item; None empties the field. Documents
    that are not in the index are not made. Both engines leave a document alone whose field already holds the value.
    """
    count = parts = size = 0
    lines: list[bytes] = []

    def flush() -> None:
        nonlocal parts, size
        if lines:
            (folder / f"boosts-{parts:05d}.ndjson").write_bytes(b"".join(lines))
            parts, size = parts + 1, 0
            lines.clear()

    for item, value in rows:
        action = json.dumps({"update": {"_id": item}}, ensure_ascii=False)
        document = json.dumps({"doc": {field: value}}, ensure_ascii=False, allow_nan=False)
        line = f"{action}\n{document}\n".encode()
        if size + len(line) > part_bytes:
            flush()
        lines.append(line)
        size += len(line)
        count += 1
    flush()
    return count, parts


def load_command(folder: str, index: str, mapping: str) -> str:
    """The shell command that sets the mapping and then loads every part; SEARCH_URL names the engine.

    It fails where a request fails, which ends it, and where the engine takes a part and refuses some of its updates,
    which the answer tells; the other parts are loaded first, so that one refused product keeps none from its boost.
    """
    send = "curl -sS -f -H 'Content-Type: application/"
    return (
        f'{send}json\' -X PUT "$SEARCH_URL/{index}/_mapping" --data-binary @{folder}/{mapping} && '
        f"(refused=0; for part in {folder}/boosts-*.ndjson; do answer=$({send}x-ndjson' -X POST "
        f'"$SEARCH_URL/{index}/_bulk?filter_path=errors,items.*.error" --data-binary "@$part") || exit 1; '
        "printf '%s\\n' \"$answer\"; printf '%s' \"$answer\" | grep -q '\"errors\" *: *false' || refused=1; done; "
        "exit $refused)"
    )
