"""What a run did, stage by stage ↔ OUT/manifest.json; and whether a stage has anything to do."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from ltexpo.errors import OutputError, unwritable
from ltexpo.jobs.running.hashing import CACHE_FILE, Content, Hashes
from ltexpo.jobs.running.versions import versions_of

MANIFEST_FILE = "manifest.json"
RUN = "RUN"
"""Stands for the run folder in the manifest's paths, so that the folder may be moved."""


class Error(TypedDict):
    """Why a stage failed."""

    type: str
    message: str
    exit_code: int


class Entry(TypedDict):
    """What the manifest says of a stage."""

    state: str
    """running (while it runs, or where it was cut), done, failed or stopped."""
    settings: dict[str, Any]
    inputs: list[Content]
    versions: dict[str, str]
    seed: int | None
    start: str
    end: NotRequired[str]
    seconds: NotRequired[float]
    cpu_seconds: NotRequired[float]
    peak_memory_mb: NotRequired[float]
    outputs: NotRequired[list[Content]]
    exit_code: NotRequired[int]
    error: NotRequired[Error]
    summary: NotRequired[str]


class Manifest:
    """OUT/manifest.json; each `write` replaces it at once."""

    def __init__(self, out: Path) -> None:
        self.out = Path(os.path.abspath(out))  # noqa: PTH100 (as the user names it, links and all)
        self.hashes = Hashes(out)
        try:
            stored = json.loads((out / MANIFEST_FILE).read_text(encoding="utf-8"))
            self.pipeline: Any = stored["pipeline"]
            self.stages: dict[str, Entry] = dict(stored["stages"])
        except FileNotFoundError:
            self.pipeline, self.stages = None, {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{out / MANIFEST_FILE}: is not a manifest that ltexpo wrote ({error}). Move it away or give another "
                "folder; without it every stage runs."
            ) from error

    def write(self) -> None:
        """Put what is known into the folder."""
        whole = {"format": 1, "pipeline": self.pipeline, "stages": self.stages}
        _replace(self.out / MANIFEST_FILE, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
        _replace(self.out / CACHE_FILE, self.hashes.kept())

    def content(self, path: str) -> Content:
        """What lies at `path`, which may begin with `RUN`."""
        return {**self.hashes.of(self.real(path)), "path": path}

    def real(self, path: str) -> Path:
        """The place that a path of the manifest names."""
        return self.out / path.removeprefix(RUN).lstrip("/") if path.split("/")[0] == RUN else Path(path)

    def named(self, path: Path) -> str:
        """`path` as the manifest writes it."""
        whole = Path(os.path.abspath(path))  # noqa: PTH100
        return (Path(RUN) / whole.relative_to(self.out)).as_posix() if whole.is_relative_to(self.out) else str(whole)

    def stale(self, stage: str, settings: Mapping[str, Any] | None = None, inputs: list[str] | None = None) -> str:
        """Why `stage` must run, in words; empty when all is as it was: settings, inputs, versions and outputs.

        None: as noted, for whoever knows that these would be the same.
        """
        entry = self.stages.get(stage)
        if entry is None:
            return "it was not run yet"
        if entry["state"] != "done":
            return {"running": "it was cut", "stopped": "it was stopped"}.get(entry["state"], "it failed")
        if settings is not None and settings != entry["settings"]:
            return f"setting {_difference(entry['settings'], settings)}"
        noted = {content["path"]: content for content in entry["inputs"]}
        for path in noted if inputs is None else inputs:
            if path not in noted:
                return f"{path} is a new input"
            if self.content(path).get("sha256") != noted[path].get("sha256"):
                return f"{path} changed"
        if inputs is not None and (less := sorted(set(noted) - set(inputs))):
            return f"{less[0]} is no longer an input"
        now = versions_of(name for name in entry["versions"] if name not in ("ltexpo", "python"))
        if now != entry["versions"]:
            return f"version of {_difference(entry['versions'], now)}"
        for output in entry.get("outputs", []):
            if self.content(output["path"]).get("sha256") != output.get("sha256"):
                return f"{output['path']} is not what it wrote"
        return ""

    def outputs(self, place: str, rows: Mapping[str, int]) -> list[Content]:
        """What lies at `place`: its files one by one, a folder below it as one; `rows` by path."""
        self.hashes.forget(self.real(place))
        root = self.real(place)
        parts = sorted(root.iterdir()) if root.is_dir() else [root] if root.exists() else []
        found: list[Content] = []
        for part in parts:
            if part.name.startswith("."):
                continue
            path = self.named(part)
            content = self.content(path)
            if path in rows:
                content["rows"] = rows[path]
            found.append(content)
        return found


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> str:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            if isinstance(old, dict) and isinstance(new, dict):
                return _difference(old, new, f"{within}{name}.")
            return f"{within}{name}: {_short(old)} → {_short(new)}"
    return "none"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name.lstrip('.')}.new")  # one name: only the holder of the lock writes
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise unwritable(path, error) from error
