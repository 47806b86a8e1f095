"""Names of packages → the versions that a stage's result depends on."""

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ltexpo

_WATCHED = {
    "numpy": "numpy", "pandas": "pandas", "pyarrow": "pyarrow", "scipy": "scipy", "numba": "numba",
    "sklearn": "scikit-learn", "torch": "torch", "torchvision": "torchvision", "torch_geometric": "torch-geometric",
    "transformers": "transformers", "tokenizers": "tokenizers", "open_clip": "open_clip_torch",
    "lightgbm": "lightgbm", "pyspark": "pyspark", "PIL": "pillow",
}
"""Module → its package: those whose next version may give other numbers or other files."""


def used_packages(modules: Iterable[str]) -> list[str]:
    """The packages among the imported `modules` whose versions count."""
    loaded = set(modules)
    return sorted(package for module, package in _WATCHED.items() if module in loaded)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """ltexpo with the hash of its sources, Python, and the `packages`; one that is not there has the version none."""
    return {
        "ltexpo": f"{ltexpo.__version__}+{_sources()}", "python": platform.python_version(),
        **{package: _version(package) for package in packages},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@cache
def _sources() -> str:
    """A working copy changes without a new version number."""
    whole = hashlib.sha256()
    root = Path(ltexpo.__file__).parent
    for file in sorted(root.rglob("*.py")):
        whole.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()[:12]
