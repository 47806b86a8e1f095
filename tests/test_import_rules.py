"""Imports point one way: a package uses only packages to its left and the foundation."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ltexpo

ROOT = Path(ltexpo.__file__).parent
FOUNDATION = ("columns", "errors", "plain_yaml", "config", "progress", "sparse", "metrics")
LINE = (
    "data", "encoders", "graph", "fusion", "ranking", "rerank", "exports", "simulate", "monitor", "report", "tracking",
    "engines", "jobs", "cli",
)
LIGHT = ("data", "metrics", "rerank", "exports", "simulate", "monitor", "tracking")
HEAVY = ("torch", "transformers", "open_clip", "torch_geometric", "lightgbm", "pyspark", "mlflow", "tensorboard")


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def ltexpo_imports(path: Path) -> set[str]:
    """The rooms that the module at `path` imports from, wherever in the file."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = [node.module]
            names = [f"ltexpo.{alias.name}" for alias in node.names] if node.module == "ltexpo" else whole
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name and name.startswith("ltexpo.")}
    return rooms - {"__version__"}


MODULES = sorted(ROOT.rglob("*.py"))


def test_every_room_has_its_place():
    assert {room(path) for path in MODULES} - {"__init__", "__main__"} <= {*FOUNDATION, *LINE}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_left(path: Path):
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    allowed = set(FOUNDATION) if here in FOUNDATION else {*FOUNDATION, *LINE[: LINE.index(here) + 1]}
    assert ltexpo_imports(path) <= allowed


def test_the_rule_can_fail(tmp_path: Path):
    module = tmp_path / "wrong.py"
    module.write_text("from ltexpo.cli import main\nimport ltexpo.report.page\nfrom ltexpo import rerank\n")
    assert ltexpo_imports(module) == {"cli", "report", "rerank"}


def test_light_rooms_run_without_heavy_packages():
    code = (
        "import importlib, pkgutil, sys, ltexpo\n"
        f"for room in {LIGHT!r}:\n"
        "    package = importlib.import_module('ltexpo.' + room)\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_pipelines_use_public_packages_only():
    scripts = sorted((ROOT.parent / "pipelines").glob("*.py"))
    for script in scripts:
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ltexpo"):
                assert not any(alias.name.startswith("_") for alias in node.names), script
                assert node.module.count(".") <= 2, script
